import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../test/generate.ts";
import { protocGenConnectQuic } from "./plugin.ts";

const proto = {
  "eliza/v1/eliza.proto": `
    syntax = "proto3";
    package eliza.v1;
    service ElizaService { rpc Say(SayRequest) returns (SayResponse); }
    message SayRequest {}
    message SayResponse {}`,
};

/** The lines of a generated file below its preamble, without the doc comments. */
function codeOf(text: string | undefined): string[] {
  assert.ok(text !== undefined, "the file is not generated");
  const [, ...paragraphs] = text.split("/* eslint-disable */\n");
  const code = paragraphs.join("").replace(/\/\*\*.*?\*\/\n/gs, "");
  return code.split("\n").filter((line) => line !== "");
}

const { version } = protocGenConnectQuic;

test("the plugin generates a client, a registration and the ALPN for a service", () => {
  const files = generate(proto, "target=ts,import_extension=js");
  assert.deepEqual(Object.keys(files), ["eliza/v1/eliza_quic.ts"]);
  assert.deepEqual(codeOf(files["eliza/v1/eliza_quic.ts"]), [
    'import type { Client, ServiceImpl } from "@connectrpc/connect";',
    'import { createClient } from "@connectrpc/connect";',
    'import { ElizaService } from "./eliza_pb.js";',
    'import type { Endpoint, PeerRouter, PeerServiceOptions, QuicTransportOptions, Target } from "connect-quic";',
    'import { createQuicTransport } from "connect-quic";',
    "export type ElizaClient = Client<typeof ElizaService>;",
    "export function createElizaClient(",
    "  endpoint: Endpoint,",
    "  target: Target,",
    '  options?: Omit<QuicTransportOptions, "endpoint" | "to">,',
    "): ElizaClient {",
    "  return createClient(ElizaService, createQuicTransport({ ...options, endpoint, to: target }));",
    "}",
    "export type ElizaServiceImpl = ServiceImpl<typeof ElizaService>;",
    "export function registerElizaService(",
    "  router: PeerRouter,",
    "  implementation: Partial<ElizaServiceImpl>,",
    "  options?: PeerServiceOptions,",
    "): void {",
    "  router.service(ElizaService, implementation, options);",
    "}",
    'export const ElizaServiceAlpn = "/eliza.v1.ElizaService/1.0";',
  ]);
});

test("the plugin generates JavaScript and its declarations by default", () => {
  const files = generate(proto);
  assert.deepEqual(Object.keys(files).sort(), [
    "eliza/v1/eliza_quic.d.ts",
    "eliza/v1/eliza_quic.js",
  ]);
  assert.deepEqual(codeOf(files["eliza/v1/eliza_quic.js"]), [
    'import { createClient } from "@connectrpc/connect";',
    'import { ElizaService } from "./eliza_pb";',
    'import { createQuicTransport } from "connect-quic";',
    "export function createElizaClient(",
    "  endpoint,",
    "  target,",
    "  options,",
    ") {",
    "  return createClient(ElizaService, createQuicTransport({ ...options, endpoint, to: target }));",
    "}",
    "export function registerElizaService(",
    "  router,",
    "  implementation,",
    "  options,",
    ") {",
    "  router.service(ElizaService, implementation, options);",
    "}",
    'export const ElizaServiceAlpn = "/eliza.v1.ElizaService/1.0";',
  ]);
  assert.deepEqual(codeOf(files["eliza/v1/eliza_quic.d.ts"]), [
    'import type { Client, ServiceImpl } from "@connectrpc/connect";',
    'import type { ElizaService } from "./eliza_pb";',
    'import type { Endpoint, PeerRouter, PeerServiceOptions, QuicTransportOptions, Target } from "connect-quic";',
    "export type ElizaClient = Client<typeof ElizaService>;",
    "export declare function createElizaClient(",
    "  endpoint: Endpoint,",
    "  target: Target,",
    '  options?: Omit<QuicTransportOptions, "endpoint" | "to">,',
    "): ElizaClient;",
    "export type ElizaServiceImpl = ServiceImpl<typeof ElizaService>;",
    "export declare function registerElizaService(",
    "  router: PeerRouter,",
    "  implementation: Partial<ElizaServiceImpl>,",
    "  options?: PeerServiceOptions,",
    "): void;",
    'export declare const ElizaServiceAlpn = "/eliza.v1.ElizaService/1.0";',
  ]);
});

test("the plugin generates CommonJS with js_import_style=legacy_commonjs", () => {
  const files = generate(proto, "target=js,js_import_style=legacy_commonjs");
  const code = codeOf(files["eliza/v1/eliza_quic.js"]);
  assert.equal(code[0], '"use strict";');
  assert.ok(code.includes('const { createQuicTransport } = require("connect-quic");'));
  assert.ok(code.includes("exports.createElizaClient = createElizaClient;"));
});

test("the plugin leads a file with its license, with what made it, and of what", () => {
  const file = generate(
    {
      "eliza.proto": `// Copyright Joseph Weizenbaum.

        syntax = "proto3";
        // The first of its kind.
        package eliza;
        service ElizaService {}`,
    },
    "target=ts,rewrite_imports=connect-quic:@example/quic",
  )["eliza_quic.ts"];
  assert.deepEqual(file?.split("\n").slice(0, 9), [
    "// Copyright Joseph Weizenbaum.",
    "",
    `// @generated by protoc-gen-connect-quic ${version} with parameter "target=ts"`,
    "// @generated from file eliza.proto (package eliza, syntax proto3)",
    "/* eslint-disable */",
    "",
    "// The first of its kind.",
    "",
    'import type { Client, ServiceImpl } from "@connectrpc/connect";',
  ]);
});

test("the plugin keeps the comments on a service", () => {
  const file = generate(
    {
      "eliza.proto": `syntax = "proto3";
        // Talks /* quietly */.
        //
        //   Indented.
        service ElizaService {
        }`,
    },
    "target=ts",
  )["eliza_quic.ts"];
  assert.ok(
    file?.includes(
      [
        "/**",
        " * Makes a client of ElizaService on the peer `target`, which the first call dials.",
        " * Clients of the same endpoint and peer share one connection, which the endpoint closes.",
        " *",
        " * Talks /* quietly *\\/.",
        " *",
        " *   Indented.",
        " *",
        " * @generated from service ElizaService",
        " */",
        "export function createElizaClient(",
      ].join("\n"),
    ),
    file,
  );
});

for (const [what, fileOption, serviceOption] of [
  ["service", "", "option deprecated = true;"],
  ["file", "option deprecated = true;", ""],
]) {
  test(`the plugin marks all that it generates for a deprecated ${what} as deprecated`, () => {
    const files = generate({
      "eliza.proto": `syntax = "proto3"; ${fileOption} service ElizaService { ${serviceOption} }`,
    });
    const count = (text: string | undefined) => text?.split("\n * @deprecated\n */\nexport").length;
    assert.equal(count(files["eliza_quic.d.ts"]), 1 + 5);
    assert.equal(count(files["eliza_quic.js"]), 1 + 3);
  });
}

test("the plugin generates nothing for a file without services, except with keep_empty_files", () => {
  const protos = { ...proto, "empty.proto": 'syntax = "proto3"; message Empty {}' };
  assert.deepEqual(Object.keys(generate(protos, "target=ts")), ["eliza/v1/eliza_quic.ts"]);
  const kept = generate(protos, "target=ts,keep_empty_files=true");
  assert.deepEqual(Object.keys(kept).sort(), ["eliza/v1/eliza_quic.ts", "empty_quic.ts"]);
  assert.match(kept["empty_quic.ts"] ?? "", /@generated from file empty\.proto/);
});

test("the plugin generates no code for imported files that it was not asked for", () => {
  const file = generate(
    {
      "a.proto": `syntax = "proto3"; import "google/protobuf/empty.proto";
        service A { rpc Call(google.protobuf.Empty) returns (google.protobuf.Empty); }`,
    },
    "target=ts",
  );
  assert.deepEqual(Object.keys(file), ["a_quic.ts"]);
});

test("the plugin rewrites imports as all plugins of its family do", () => {
  const files = generate(
    proto,
    "target=ts,rewrite_imports=connect-quic:../src/index.ts,rewrite_imports=./eliza/**/*_pb.js:@example/protos",
  );
  const imports = codeOf(files["eliza/v1/eliza_quic.ts"]).filter((line) => / from "/.test(line));
  assert.deepEqual(
    imports.map((line) => line.replace(/.* from /, "")),
    [
      '"@connectrpc/connect";',
      '"@connectrpc/connect";',
      '"@example/protos/eliza/v1/eliza_pb";',
      '"../../../src/index.ts";',
      '"../../../src/index.ts";',
    ],
  );
});

test("the plugin gives a service without a package an ALPN without one", () => {
  const file = generate({ "eliza.proto": 'syntax = "proto3"; service Eliza {}' }, "target=ts");
  assert.ok(file["eliza_quic.ts"]?.includes('export const ElizaAlpn = "/Eliza/1.0";'));
});

test("the plugin imports a service under another name where it is called as a parameter is", () => {
  const file = generate({ "a.proto": 'syntax = "proto3"; service endpoint {}' }, "target=ts");
  const code = codeOf(file["a_quic.ts"]);
  assert.ok(code.includes('import { endpoint as endpoint$1 } from "./a_pb";'));
  assert.ok(
    code.includes(
      "  return createClient(endpoint$1, createQuicTransport({ ...options, endpoint, to: target }));",
    ),
  );
});

test("the plugin says with the version of its package what it is", () => {
  assert.equal(protocGenConnectQuic.name, "protoc-gen-connect-quic");
  assert.match(version, /^v\d+\.\d+\.\d+/);
});

for (const option of [
  "target=rust",
  "import_extension=mjs",
  "transport=tcp",
  "rewrite_imports=a",
]) {
  test(`the plugin refuses the option ${option} by its name`, () => {
    assert.throws(() => generate(proto, option), {
      name: "PluginOptionError",
      message: new RegExp(`^invalid option "${option}"`),
    });
  });
}
