import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseSocketAddress } from "../../src/base/socket-address.ts";
import { EndpointAddr, EndpointTicket, SecretKey } from "../../src/index.ts";
import { type Program, startProgram } from "../support/process.ts";
import { runTypeScript } from "../support/run-typescript.ts";

let server: Program;
let ticket = "";

before(async () => {
  server = await startProgram(new URL("./server.ts", import.meta.url));
  ({ ticket } = server.greeting as { ticket: string });
});

after(() => server.close());

/** Runs a scenario to its own end, and rejects when it is still there after a minute or its exit code is not 0. */
async function runClient(scenario: string, target = ticket): Promise<string> {
  const program = fileURLToPath(new URL("./client.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [runTypeScript, program, scenario, target],
    { timeout: 60_000 },
  );
  return stdout;
}

const endings: ReadonlyArray<readonly [scenario: string, what: string]> = [
  ["unused", "an endpoint that was never used"],
  ["idle", "an idle connection of a transport"],
  ["connection", "an open connection"],
  ["closed", "what is left of a closed endpoint"],
  ["router", "what is left of a closed router"],
  ["staying", "an idle connection that is to stay"],
];

for (const [scenario, what] of endings) {
  test(`F5: ${what} does not keep the process alive`, async () => {
    assert.match(await runClient(scenario), /done\n$/);
  });
}

test("F5: a pending call keeps the process alive, also before a connection exists", async () => {
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  await once(silent, "listening");
  const address = parseSocketAddress(`127.0.0.1:${silent.address().port}`);
  const nobody = EndpointAddr.from({
    id: SecretKey.generate().publicKey,
    addrs: [{ type: "ip", address }],
  });
  const output = await runClient("waiting", new EndpointTicket(nobody).toString());
  assert.match(output, /deadline_exceeded/);
  assert.match(output, /done\n$/);
  silent.close();
});
