// Early data between two processes, on real sockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { EarlyService } from "../../gen/connectquic/test/v1/early_pb.ts";
import { createQuicTransport, Endpoint, SecretKey } from "../../src/index.ts";
import { type Program, startProgram } from "../support/process.ts";

interface Greeting {
  readonly ticket: string;
  readonly port: number;
}

test("calls come back with early data, and to a server that was killed and started anew", async (t) => {
  const key = SecretKey.generate().toHex();
  const programs: Program[] = [];
  t.after(() => Promise.all(programs.map((program) => program.kill())));
  const start = async (port = 0): Promise<Greeting> => {
    const program = await startProgram(new URL("../support/early-server.ts", import.meta.url), {
      args: [key, String(port)],
    });
    programs.push(program);
    return program.greeting as Greeting;
  };
  const { ticket, port } = await start();
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  let visits = 0;
  /** Looks and pays on a connection of its own. True when it was looked at before the handshake was done. */
  const visit = async (): Promise<boolean> => {
    await using transport = createQuicTransport({ endpoint, to: ticket, earlyData: true });
    const client = createClient(EarlyService, transport);
    const [looked, paid] = await Promise.all([client.look({ text: "x" }), client.pay({})]);
    assert.equal(looked.text, "x");
    visits += 1;
    assert.equal(paid.text, String(visits), "each payment was made once");
    return looked.early;
  };
  /** A server that is kept from running can find the end of the handshake beside its beginning, but not always. */
  const comesEarly = async (): Promise<boolean> => {
    for (let times = 0; times < 20; times++) {
      if (await visit()) {
        return true;
      }
    }
    return false;
  };
  assert.equal(await visit(), false);
  assert.equal(await comesEarly(), true);
  await programs[0]?.kill();
  visits = 0;
  await start(port);
  assert.equal(await visit(), false);
  assert.equal(await comesEarly(), true);
});
