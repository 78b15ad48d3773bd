import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createPeerRouter, Endpoint, SecretKey } from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { type Program, startProgram } from "../support/process.ts";

test("a device that is killed ends its call, and is called again when it was started anew", async (t) => {
  await using hub = await Endpoint.bind({
    bind: "127.0.0.1:0",
    transport: { idleTimeoutMs: 2_000 },
  });
  const router = createPeerRouter(hub);
  const seed = randomBytes(32);
  const id = SecretKey.fromBytes(seed).publicKey;
  const all: Program[] = [];
  t.after(() => Promise.all(all.map((program) => program.kill())));
  const start = async (): Promise<Program> => {
    const program = await startProgram(new URL("./device.ts", import.meta.url), {
      args: [hub.ticket(), seed.toString("hex")],
    });
    all.push(program);
    return program;
  };
  const patient = router.transportTo(id, { waitForReady: true, dialTimeoutMs: 30_000 });
  const hasty = router.transportTo(id);
  const echo = createClient(EchoService, patient);

  const first = echo.echo({ message: "x" });
  const device = await start();
  assert.equal((await first).message, "x");
  const call = echo.echo({ message: "wait" });
  await echo.echo({ message: "x" });
  await device.kill();
  await assert.rejects(call, hasCode(Code.Unavailable, /connection to [0-9a-f]{10} lost/));
  await assert.rejects(createClient(EchoService, hasty).echo({}), hasCode(Code.Unavailable));
  const second = echo.echo({ message: "y" });
  await start();
  assert.equal((await second).message, "y");
  await router.close({ graceMs: 0 });
});
