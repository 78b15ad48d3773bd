import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { formatSocketAddress } from "../../src/base/socket-address.ts";
import { Endpoint, SecretKey } from "../../src/index.ts";
import { startProgram } from "../support/process.ts";

const serverProgram = new URL("./server.ts", import.meta.url);
/** Short, so that the test is; the peer's default of 30 s is longer and does not count. */
const transport = { idleTimeoutMs: 1_500, keepAliveIntervalMs: 200 };

/** The code of an open server stream when it ends. */
async function codeOf(stream: AsyncIterator<unknown>): Promise<Code> {
  try {
    await stream.next();
    return assert.fail("the stream went on");
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

test("F2, F3: a frozen peer ends every call on its connection with Unavailable, and calls work again once it thaws", async () => {
  await using server = await startProgram(serverProgram);
  const { ticket } = server.greeting as { ticket: string };
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", transport });
  const client = createEchoClient(endpoint, ticket);
  const streams = Array.from({ length: 10 }, () =>
    client.repeat({ message: "x", count: 2 })[Symbol.asyncIterator](),
  );
  await Promise.all(streams.map((stream) => stream.next()));
  const [connection] = endpoint.connections;
  assert.ok(connection);

  server.signal("SIGSTOP");
  const codes = await Promise.all(streams.map(codeOf));
  assert.deepEqual(new Set(codes), new Set([Code.Unavailable]));
  assert.deepEqual(await connection.closed, { type: "timeout", handshaking: false });

  server.signal("SIGCONT");
  assert.equal((await client.echo({ message: "again" })).message, "again");
});

test("F1, F3, F19: a peer that is killed ends its calls; the next call works as soon as there is a peer of that key", async () => {
  const secretKey = SecretKey.generate();
  const env = { SECRET_KEY: secretKey.toHex() };
  const first = await startProgram(serverProgram, { env });
  const { ticket } = first.greeting as { ticket: string };
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", transport });
  const client = createEchoClient(endpoint, ticket);
  const stream = client.repeat({ message: "x", count: 2 })[Symbol.asyncIterator]();
  await stream.next();
  const address = endpoint.connections.values().next().value?.remoteAddress;
  assert.ok(address?.type === "ip");

  await first.kill();
  assert.equal(await codeOf(stream), Code.Unavailable);
  await using second = await startProgram(serverProgram, {
    env: { ...env, BIND: formatSocketAddress(address.address) },
  });
  assert.equal((second.greeting as { ticket: string }).ticket, ticket);
  assert.equal((await client.echo({ message: "back" })).message, "back");
});
