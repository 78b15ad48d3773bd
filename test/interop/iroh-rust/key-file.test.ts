// Files with secret keys, as programs with iroh write and read them: the bytes (applications, by `SecretKey::to_bytes`), hex
// (what sendme, dumbpipe and others take in IROH_SECRET), and OpenSSH's format (iroh-doctor, iroh-persist, iroh-node-util).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { SecretKey } from "../../../src/index.ts";
import { currentVersion, keyFileProgram } from "./rust-peer.ts";

const options = { skip: currentVersion.skip, timeout: 60_000 };

const folder = mkdtempSync(join(tmpdir(), "connect-quic-keys-"));
after(() => rmSync(folder, { recursive: true }));

/** What the Rust program says is the id. */
async function rust(action: "write" | "read", format: string, path: string): Promise<string> {
  return (await promisify(execFile)(keyFileProgram, [action, format, path])).stdout.trim();
}

for (const format of ["raw", "hex", "openssh"] as const) {
  test(`a key file of iroh's programs is loaded here: ${format}`, options, async () => {
    const path = join(folder, `${format}-of-rust`);
    const id = await rust("write", format, path);
    // Whatever the mask of who runs this.
    chmodSync(path, 0o600);
    const key = await SecretKey.load(path, { strict: true });
    assert.equal(key.publicKey.toString(), id);
  });

  test(`a key file of ours is loaded by iroh's programs: ${format}`, options, async () => {
    const path = join(folder, `${format}-of-ours`);
    const key = SecretKey.generate();
    await key.save(path, { format });
    assert.equal(await rust("read", format, path), key.publicKey.toString());
  });
}
