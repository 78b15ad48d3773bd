import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { generate, writeFiles } from "../test/generate.ts";

const program = fileURLToPath(new URL("../bin/protoc-gen-connect-quic", import.meta.url));

const protos = {
  "eliza.proto": `syntax = "proto3";

// Talks.
service ElizaService {
  rpc Say(Sentence) returns (Sentence);
}

message Sentence {}
`,
};

/** protoc itself, or the one in the Python package grpcio-tools. */
const protoc = [["protoc"], ["python3", "-m", "grpc_tools.protoc"]].find(
  ([command = "", ...args]) => spawnSync(command, [...args, "--version"]).status === 0,
);

test("protoc runs the plugin and gets what buf gets", {
  skip: protoc === undefined && "there is neither protoc nor the Python package grpcio-tools",
}, () => {
  assert.ok(protoc !== undefined);
  const [command = "", ...args] = protoc;
  const folder = mkdtempSync(join(tmpdir(), "protoc-gen-connect-quic-"));
  try {
    writeFiles(folder, protos);
    const { status, stderr } = spawnSync(
      command,
      [
        ...args,
        `--plugin=protoc-gen-connect-quic=${program}`,
        "--proto_path=.",
        "--connect-quic_out=.",
        "--connect-quic_opt=target=ts",
        "--connect-quic_opt=import_extension=js",
        "eliza.proto",
      ],
      { cwd: folder, encoding: "utf8" },
    );
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.equal(
      readFileSync(join(folder, "eliza_quic.ts"), "utf8"),
      generate(protos, "target=ts,import_extension=js")["eliza_quic.ts"],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
