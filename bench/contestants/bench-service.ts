// What contestants that speak Connect have in common: the service, and a client of it as a Caller.

import type { Client, ServiceImpl } from "@connectrpc/connect";
import type { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import type { Caller } from "../contestant.ts";

export const benchService: ServiceImpl<typeof BenchService> = {
  echo: (request) => ({ payload: request.payload }),
  async *download({ count, size }) {
    const payload = new Uint8Array(size);
    for (let sent = 0; sent < count; sent++) {
      yield { payload };
    }
  },
  async upload(requests) {
    let bytes = 0;
    for await (const { payload } of requests) {
      bytes += payload.length;
    }
    return { bytes: BigInt(bytes) };
  },
};

/** `close` ends whatever the client runs on. */
export function benchCaller(
  client: Client<typeof BenchService>,
  close: () => Promise<void>,
): Caller {
  return {
    async echo(payload) {
      const answer = await client.echo({ payload });
      expectBytes(answer.payload.length, payload.length);
    },
    async download(count, size) {
      let bytes = 0;
      for await (const { payload } of client.download({ count, size })) {
        bytes += payload.length;
      }
      expectBytes(bytes, count * size);
    },
    async upload(count, payload) {
      async function* requests() {
        for (let sent = 0; sent < count; sent++) {
          yield { payload };
        }
      }
      const { bytes } = await client.upload(requests());
      expectBytes(Number(bytes), count * payload.length);
    },
    close,
  };
}

function expectBytes(found: number, expected: number): void {
  if (found !== expected) {
    throw new Error(`${found} bytes came back, expected ${expected}`);
  }
}
