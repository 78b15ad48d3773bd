import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { it } from "node:test";

const wasm = readFileSync(new URL("./quic-core.wasm", import.meta.url));
const record = JSON.parse(readFileSync(new URL("./quic-core.json", import.meta.url), "utf8"));
const notice = readFileSync(new URL("../../../NOTICE", import.meta.url), "utf8");

it("quic-core.wasm is what quic-core.json says", () => {
  assert.equal(createHash("sha256").update(wasm).digest("hex"), record.sha256);
  assert.equal(wasm.length, record.bytes);
  assert.match(record.tools.rustc, /^rustc \d/);
});

it("quic-core.wasm holds no path of the machine that built it", () => {
  const text = wasm.toString("latin1");
  const paths = text.match(
    /[\w./-]*(?:\/(?:root|home|usr|tmp|work|opt|var|mnt|Users|builds?)\/|\.cargo|rustlib|registry\/src|\.rs\b)[\w./-]*/g,
  );
  assert.deepEqual(paths ?? [], []);
});

it("NOTICE names every crate in quic-core.wasm", () => {
  for (const crate of record.crates) {
    assert(notice.includes(`\n  ${crate} (`), crate);
  }
});
