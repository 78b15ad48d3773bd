import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { LineProcess } from "../../bench/line-process.ts";
import type { Arrivals, CallsOutcome, HubCommand } from "../../bench/reverse-calls.ts";
import {
  createPeerRouter,
  Endpoint,
  EndpointAddr,
  EndpointTicket,
  SecretKey,
} from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { lastingPort } from "../support/lasting-port.ts";
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

test("devices whose hub is killed come back to the next one with its key, and are called by it", async (t) => {
  const seed = randomBytes(32);
  const address = `127.0.0.1:${await lastingPort()}`;
  const id = SecretKey.fromBytes(seed).publicKey;
  const ticket = new EndpointTicket(EndpointAddr.from({ id, addrs: [address] })).toString();
  const startHub = async (): Promise<LineProcess<HubCommand>> => {
    const args = [seed.toString("hex"), address];
    const hub = new LineProcess<HubCommand>("./reverse-hub.ts", args);
    t.after(() => hub.kill());
    await hub.read();
    return hub;
  };
  const callDevices = async (hub: LineProcess<HubCommand>): Promise<void> => {
    const { peers } = await hub.ask<Arrivals>({ type: "await", peers: 2, timeoutMs: 120_000 });
    assert.equal(peers, 2, "both devices are there");
    const outcome = await hub.ask<CallsOutcome>({ type: "call", each: 10, atOnce: 4 });
    assert.deepEqual([outcome.done, outcome.errors], [20, []]);
  };

  const hub = await startHub();
  for (let number = 0; number < 2; number += 1) {
    const device = await startProgram(new URL("./device.ts", import.meta.url), {
      args: [ticket, randomBytes(32).toString("hex"), "6000"],
    });
    t.after(() => device.kill());
  }
  await callDevices(hub);
  const unfinished = hub.ask({ type: "call", each: 20_000, atOnce: 4 });
  const failed = assert.rejects(unfinished, /a process has ended/);
  await hub.kill();
  await failed;
  await callDevices(await startHub());
});
