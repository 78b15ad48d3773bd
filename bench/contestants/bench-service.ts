// What contestants that carry calls have in common: the service, and a client of it as a Caller.

import { setMaxListeners } from "node:events";
import type { Client, ServiceImpl } from "@connectrpc/connect";
import type { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { deferred } from "../../src/base/deferred.ts";
import { type Caller, expectBytes } from "../contestant.ts";

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
  async *chat(requests) {
    for await (const { payload } of requests) {
      yield { payload };
    }
  },
};

/** `close` ends the connection that the client runs on. */
export function benchCaller(
  client: Client<typeof BenchService>,
  close: () => void | Promise<void>,
): Caller {
  let held: AbortController | undefined;
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
      const { bytes } = await client.upload(repeat(count, payload));
      expectBytes(Number(bytes), count * payload.length);
    },
    async chat(count, payload) {
      let bytes = 0;
      for await (const answer of client.chat(repeat(count, payload))) {
        bytes += answer.payload.length;
      }
      expectBytes(bytes, count * payload.length);
    },
    async hold(payload) {
      held ??= new AbortController();
      const { signal } = held;
      setMaxListeners(0, signal);
      const over = deferred<void>();
      async function* requests() {
        yield { payload };
        await over.promise;
      }
      const answers = client.chat(requests(), { signal })[Symbol.asyncIterator]();
      const { value } = await answers.next();
      expectBytes(value?.payload.length, payload.length);
      // What keeps a stream open is who reads it.
      answers.next().then(
        () => over.resolve(),
        () => over.resolve(),
      );
    },
    async close() {
      held?.abort();
      await close();
    },
  };
}

async function* repeat(count: number, payload: Uint8Array) {
  for (let sent = 0; sent < count; sent++) {
    yield { payload };
  }
}
