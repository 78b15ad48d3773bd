import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { noticeFor } from "./usage.ts";

const program = fileURLToPath(new URL("../bin/protoc-gen-connect-quic", import.meta.url));

function run(args: readonly string[], input: Uint8Array | string = "") {
  return spawnSync(process.execPath, [program, ...args], { input, encoding: "utf8" });
}

test("noticeFor lets buf and protoc have their way: no arguments, a request on standard input", () => {
  assert.equal(noticeFor([], { version: "v1.2.3", stdinIsTerminal: false }), undefined);
});

test("noticeFor explains the plugin to someone at a terminal instead of waiting", () => {
  const notice = noticeFor([], { version: "v1.2.3", stdinIsTerminal: true });
  assert.equal(notice?.exitCode, 1);
  assert.match(notice.text, /is run by buf or protoc/);
});

test("noticeFor names an argument that it does not know", () => {
  const notice = noticeFor(["--out=gen"], { version: "v1.2.3", stdinIsTerminal: false });
  assert.equal(notice?.exitCode, 1);
  assert.match(notice.text, /^unknown argument: --out=gen\n/);
});

test("the program answers --version and --help on standard output", () => {
  const version = run(["--version"]);
  assert.match(version.stdout, /^protoc-gen-connect-quic v\d+\.\d+\.\d+\n$/);
  assert.equal(version.status, 0);
  const help = run(["--help"]);
  assert.match(help.stdout, /buf\.gen\.yaml/);
  assert.equal(help.status, 0);
});

test("the program refuses input that is no request, and says who it is", () => {
  const { status, stdout, stderr } = run([], new Uint8Array([0xff, 0xff, 0xff]));
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^protoc-gen-connect-quic: /);
});
