import assert from "node:assert/strict";
import { test } from "node:test";
import { notYet, testAlpn } from "../../../test/support/engine-pair.ts";
import { testCredentials } from "../../../test/support/test-credentials.ts";
import { deferred } from "../../base/deferred.ts";
import { nodePlatform } from "../../base/node-platform.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import type { EngineEndpoint } from "../engine.ts";
import { noq } from "./noq.ts";

test("what is written when promises have settled leaves in the same turn", async () => {
  const client: SocketAddress = { family: 4, host: "10.0.0.1", port: 4_433 };
  const server: SocketAddress = { family: 4, host: "10.0.0.2", port: 4_433 };
  const events: string[] = [];
  const done = deferred<void>();
  const credentials = [testCredentials(1), testCredentials(2)] as const;
  const endpoints: EngineEndpoint[] = [];
  const carry =
    (from: SocketAddress, to: number) => (_: unknown, bytes: Uint8Array, size: number) => {
      for (let at = 0; at < bytes.length; at += size) {
        endpoints[to]?.receive(from, bytes.slice(at, at + size));
      }
    };
  const shared = { platform: nodePlatform, transport: { multipath: false, maxMtu: 0 } };
  endpoints.push(
    noq.createEndpoint({
      ...shared,
      credentials: credentials[0],
      alpns: [],
      transmit: carry(client, 1),
      handler: { incoming: () => {}, failed: done.reject },
    }),
    noq.createEndpoint({
      ...shared,
      credentials: credentials[1],
      alpns: [testAlpn],
      transmit: (to, bytes, size) => {
        if (events.length > 0) {
          events.push("sent");
          done.resolve();
        }
        carry(server, 0)(to, bytes, size);
      },
      handler: {
        failed: done.reject,
        incoming: (connection) => {
          connection.handler = {
            ...notYet,
            streamOpened: (stream) => {
              stream.read();
              // As a reader, the code that it wakes, and who gathers what that writes.
              void Promise.resolve().then(() => {
                nodePlatform.settled(() => {
                  events.push("written");
                  nodePlatform.settled(() => {
                    nodePlatform.settled(() => events.push("turn over"));
                  });
                  stream.write(Uint8Array.of(1), true);
                });
              });
            },
          };
        },
      },
    }),
  );
  const connection = endpoints[0]?.connect({
    remote: server,
    expected: { type: "raw-key", publicKey: credentials[1].publicKey },
    alpns: [testAlpn],
    handler: {
      ...notYet,
      connected: () => void connection?.openStream("bidirectional")?.write(Uint8Array.of(1), true),
    },
  });
  await done.promise;
  assert.deepEqual(events, ["written", "sent"]);
  for (const endpoint of endpoints) {
    endpoint.destroy();
  }
});
