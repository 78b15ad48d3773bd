// examples/custom-protocol and its twin in Rust, src/bin/iroh-digest.rs: both speak to each other.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { promisify } from "node:util";
import {
  digest,
  digestAlpn,
  digestHandler,
} from "../../../examples/custom-protocol/digest-protocol.ts";
import { Endpoint, Router } from "../../../src/index.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { currentVersion, digestProgram } from "./rust-peer.ts";

const options = { skip: currentVersion.skip, timeout: 60_000 };

stayAlive();

const folder = mkdtempSync(join(tmpdir(), "connect-quic-digest-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "file");
const bytes = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251));
writeFileSync(path, bytes);
const expected = createHash("sha256").update(bytes).digest("hex");

/** The twin as it serves, and the ticket that it prints. */
async function serve() {
  const child = spawn(digestProgram, { stdio: ["ignore", "pipe", "ignore"] });
  const [ticket] = await once(createInterface({ input: child.stdout }), "line");
  return { ticket: String(ticket), [Symbol.dispose]: () => void child.kill() };
}

async function askTwin(ticket: string): Promise<string> {
  return (await promisify(execFile)(digestProgram, [ticket, path])).stdout.trim();
}

test("we call the twin in Rust, and its streams are served side by side", options, async () => {
  using twin = await serve();
  await using endpoint = await Endpoint.bind();
  await using connection = await endpoint.connect(twin.ticket, digestAlpn);
  const sums = await Promise.all([1, 2, 3].map(() => digest(connection, createReadStream(path))));
  assert.deepEqual(
    sums.map((sum) => Buffer.from(sum).toString("hex")),
    [expected, expected, expected],
  );
});

test("the twin in Rust calls us", options, async () => {
  await using endpoint = await Endpoint.bind();
  await using protocols = new Router(endpoint);
  protocols.accept(digestAlpn, digestHandler);
  assert.equal(await askTwin(endpoint.ticket()), expected);
});

test("the twin in Rust calls itself", options, async () => {
  using twin = await serve();
  assert.equal(await askTwin(twin.ticket), expected);
});
