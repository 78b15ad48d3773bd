import assert from "node:assert/strict";
import { type BytesValue, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  encodeBinaryHeader,
  type Transport,
} from "@connectrpc/connect";
import { BytesService } from "../../../gen/connectquic/interop/v1/bytes_pb.ts";

type BytesClient = Client<typeof BytesService>;

/** Calls of BytesService, each with what has to come of it: as those in checks.go. */
export const checks: Readonly<Record<string, (client: BytesClient) => Promise<void>>> = {
  unary: (client) => echoes(client, new TextEncoder().encode("hello")),

  metadata: async (client) => {
    const binary = encodeBinaryHeader(new TextEncoder().encode("größer"));
    const headers = new Headers({ "x-note": "a", "x-note-bin": binary });
    headers.append("x-note", "b");
    let header = new Headers();
    let trailer = new Headers();
    await client.echo(
      {},
      {
        headers,
        onHeader: (fields) => {
          header = fields;
        },
        onTrailer: (fields) => {
          trailer = fields;
        },
      },
    );
    assert.equal(header.get("x-note"), "a, b");
    assert.equal(header.get("x-note-bin"), binary);
    assert.equal(trailer.get("x-noted"), "a, b");
    assert.equal(trailer.get("x-noted-bin"), binary);
  },

  "1 MB": (client) => echoes(client, new Uint8Array(1_000_000).fill(7)),

  "server stream": (client) => repeats(client, 100, 70_000),

  "client stream": async (client) => {
    const { value } = await client.collect(
      (async function* () {
        for (let number = 0; number < 100; number++) {
          yield { value: new Uint8Array(70_000).fill(number) };
        }
      })(),
    );
    assert.equal(new TextDecoder().decode(value), "100 7000000");
  },

  "both ways": async (client) => {
    let count = 0;
    let answered = (): void => {};
    const requests = (async function* () {
      for (let number = 0; number < 100; number++) {
        const answer = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { value: new Uint8Array(number * 1_000).fill(number) };
        await answer;
      }
    })();
    for await (const { value } of client.converse(requests)) {
      assert.ok(sameBytes(value, count * 1_000, count));
      count += 1;
      answered();
    }
    assert.equal(count, 100);
  },

  "error with details": async (client) => {
    const error = await failure(client.fail({ value: new Uint8Array([1, 2]) }));
    assert.equal(error.code, Code.FailedPrecondition);
    assert.equal(error.rawMessage, "größer als 100 %");
    assert.deepEqual(
      error.findDetails(BytesValueSchema).map(({ value }) => value),
      [new Uint8Array([1, 2])],
    );
  },

  cancellation: async (client) => {
    const controller = new AbortController();
    const responses = await hanging(client, { signal: controller.signal });
    controller.abort();
    assert.equal((await failure(responses.next())).code, Code.Canceled);
  },

  deadline: async (client) => {
    const responses = await hanging(client, { timeoutMs: 1_000 });
    assert.equal((await failure(responses.next())).code, Code.DeadlineExceeded);
  },

  "10,000 messages beside a stalled stream": async (client) => {
    const controller = new AbortController();
    const { signal } = controller;
    const command = { value: new TextEncoder().encode("100 30000") };
    const stalled = client.repeat(command, { signal })[Symbol.asyncIterator]();
    await stalled.next();
    await repeats(client, 10_000, 100);
    controller.abort();
  },
};

export async function runChecks(transport: Transport): Promise<void> {
  const client = createClient(BytesService, transport);
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(client);
    } catch (error) {
      throw new Error(`${name} failed`, { cause: error });
    }
  }
}

async function echoes(client: BytesClient, value: Uint8Array): Promise<void> {
  const answer = await client.echo({ value });
  assert.ok(Buffer.from(answer.value).equals(value));
}

async function repeats(client: BytesClient, count: number, size: number): Promise<void> {
  let number = 0;
  const command = new TextEncoder().encode(`${count} ${size}`);
  for await (const { value } of client.repeat({ value: command })) {
    assert.ok(sameBytes(value, size, number % 256), `message ${number}`);
    number += 1;
  }
  assert.equal(number, count);
}

/** A call whose handler has begun and waits to be cancelled. */
async function hanging(
  client: BytesClient,
  options: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
): Promise<AsyncIterator<BytesValue>> {
  const ended = (async function* () {})();
  const responses = client.hang(ended, options)[Symbol.asyncIterator]();
  await responses.next();
  return responses;
}

function sameBytes(bytes: Uint8Array, size: number, value: number): boolean {
  return bytes.length === size && bytes.every((byte) => byte === value);
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError);
  return error;
}
