import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encodeBase32 } from "../base/base32.ts";
import { IdentityError, type IdentityErrorCode } from "./identity-error.ts";
import { type KeyFormat, SecretKey } from "./secret-key.ts";

const windows = process.platform === "win32";

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const failsWith =
  (code: IdentityErrorCode, message: RegExp) =>
  (error: unknown): boolean =>
    error instanceof IdentityError && error.code === code && message.test(error.message);

test("a key is loaded as it was saved, in every format, from a file that its owner alone can read", () =>
  inFolder(async (folder) => {
    const key = SecretKey.generate();
    const formats: readonly (KeyFormat | undefined)[] = [undefined, "pem", "hex", "raw", "openssh"];
    for (const format of formats) {
      const path = join(folder, "made", `${format}.key`);
      await key.save(path, { format });
      const loaded = await SecretKey.load(path, { strict: true });
      assert.equal(loaded.toHex(), key.toHex());
      assert.ok(windows || ((await stat(path)).mode & 0o777) === 0o600);
    }
    assert.deepEqual((await readdir(join(folder, "made"))).sort(), [
      "hex.key",
      "openssh.key",
      "pem.key",
      "raw.key",
      "undefined.key",
    ]);
    assert.match(await readFile(join(folder, "made/undefined.key"), "utf8"), /^-----BEGIN PRIVATE/);
    assert.equal(await readFile(join(folder, "made/hex.key"), "utf8"), `${key.toHex()}\n`);
    assert.deepEqual(new Uint8Array(await readFile(join(folder, "made/raw.key"))), key.bytes);
  }));

test("a key is loaded from base32 and from text with white space around it", () =>
  inFolder(async (folder) => {
    const key = SecretKey.generate();
    const path = join(folder, "key");
    for (const text of [
      key.toHex(),
      encodeBase32(key.bytes),
      ` ${key.toHex()}\r\n`,
      `\n${key.toPem()}`,
    ]) {
      await writeFile(path, text, { mode: 0o600 });
      assert.equal((await SecretKey.load(path)).toHex(), key.toHex());
    }
  }));

test("save does not replace a key unless it is told to", () =>
  inFolder(async (folder) => {
    const path = join(folder, "key");
    const [one, other] = [SecretKey.generate(), SecretKey.generate()];
    await one.save(path);
    await assert.rejects(other.save(path), failsWith("key-file", /cannot save .* exist/));
    assert.equal((await SecretKey.load(path)).toHex(), one.toHex());
    await other.save(path, { overwrite: true, format: "hex" });
    assert.equal((await SecretKey.load(path)).toHex(), other.toHex());
    assert.ok(windows || ((await stat(path)).mode & 0o777) === 0o600);
    assert.deepEqual(await readdir(folder), ["key"]);
  }));

test("loadOrCreate makes a key once, however many call it at the same time", () =>
  inFolder(async (folder) => {
    const path = join(folder, "key");
    for (let round = 0; round < 20; round++) {
      const keys = await Promise.all(
        Array.from({ length: 8 }, () => SecretKey.loadOrCreate(path, { format: "raw" })),
      );
      const saved = await SecretKey.load(path, { strict: true });
      assert.deepEqual(new Set(keys.map((key) => key.toHex())), new Set([saved.toHex()]));
      assert.deepEqual(await readdir(folder), ["key"]);
      await rm(path);
    }
  }));

test("loadOrCreate leaves a file alone that holds no key", () =>
  inFolder(async (folder) => {
    const path = join(folder, "key");
    await writeFile(path, "important", { mode: 0o600 });
    await assert.rejects(
      SecretKey.loadOrCreate(path),
      failsWith("invalid-key", /cannot load .*key: invalid secret key: 9 characters/),
    );
    assert.equal(await readFile(path, "utf8"), "important");
  }));

test("a key file that others can read is a warning, or an error if asked", { skip: windows }, () =>
  inFolder(async (folder) => {
    const path = join(folder, "key");
    const key = SecretKey.generate();
    await key.save(path);
    await chmod(path, 0o640);
    await assert.rejects(
      SecretKey.load(path, { strict: true }),
      failsWith("key-file", /mode 0640.*chmod 600/),
    );
    const [[warning], loaded] = await Promise.all([once(process, "warning"), SecretKey.load(path)]);
    assert.equal(loaded.toHex(), key.toHex());
    assert.equal(warning.code, "CONNECT_QUIC_KEY_FILE_MODE");
    assert.match(warning.message, /mode 0640/);
  }),
);

test("a file that is missing, too large, or a folder is an IdentityError", () =>
  inFolder(async (folder) => {
    await assert.rejects(
      SecretKey.load(join(folder, "none")),
      (error) =>
        failsWith("key-file", /cannot load key file .*none: ENOENT/)(error) &&
        error instanceof IdentityError &&
        error.cause instanceof Error,
    );
    await assert.rejects(SecretKey.load(folder), failsWith("key-file", /EISDIR|EPERM|EACCES|mode/));
    const large = join(folder, "large");
    await writeFile(large, new Uint8Array(20_000), { mode: 0o600 });
    await assert.rejects(SecretKey.load(large), failsWith("key-file", /20000 bytes, at most/));
    await assert.rejects(
      SecretKey.generate().save(join(large, "key")),
      failsWith("key-file", /cannot save/),
    );
    const empty = join(folder, "empty");
    await writeFile(empty, "", { mode: 0o600 });
    await assert.rejects(SecretKey.load(empty), failsWith("invalid-key", /0 characters/));
  }));
