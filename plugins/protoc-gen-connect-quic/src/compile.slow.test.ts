import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bufGenerate, writeFiles } from "../test/generate.ts";
import { typeCheck } from "../test/type-check.ts";

const message = "message M {}";
const call = "rpc Call(M) returns (M);";

const protos = {
  // Services called as what the generated code uses, or might use.
  "names.proto": `syntax = "proto3"; package names; ${message}
    ${[
      ...["Object", "Function", "Promise", "Error", "String", "Array", "Record", "Omit", "Partial"],
      ...["Client", "ServiceImpl", "createPeerClient", "createQuicTransport", "Transport"],
      ...["Endpoint", "Target", "PeerRouter", "PeerServiceOptions", "QuicTransportOptions"],
      ...["endpoint", "target", "router", "implementation", "options", "service"],
      ...["Service", "class", "function", "import", "undefined", "globalThis", "default"],
      ...["lower", "with_underscores", "_leading", "trailing_", "Digits123", "x"],
    ]
      .map((name) => `service ${name} { ${call} }`)
      .join("\n")}`,
  // Services whose names differ in little.
  "clashes.proto": `syntax = "proto3"; package clashes; ${message}
    ${[
      ...["Echo", "echo", "ECHO", "EchoService", "echoService", "EchoServiceService"],
      ...["EchoClient", "EchoServiceClient", "EchoServiceImpl", "EchoServiceAlpn"],
      ...["createEcho", "CreateEcho", "createEchoClient", "registerEcho", "RegisterEcho"],
      ...["registerEchoServiceAlpn", "RegisterEchoServiceAlpn"],
    ]
      .map((name) => `service ${name} { ${call} }`)
      .join("\n")}`,
  // A service beside messages and an enum that have names of what is generated for it.
  "messages.proto": `syntax = "proto3"; package messages; ${message}
    service EchoService { rpc Call(EchoClient) returns (EchoServiceImpl); }
    message EchoClient {} message EchoServiceImpl {} message EchoServiceAlpn {}
    message Endpoint {} message Client {} message Target {}
    enum createEchoClient { ZERO = 0; }`,
  "methods.proto": `syntax = "proto3"; package methods; ${message}
    service Methods {
      ${[
        ...["constructor", "toString", "valueOf", "hasOwnProperty", "then", "prototype", "name"],
        ...["delete", "new", "with_underscore", "UPPER", "Arguments", "Await", "length"],
      ]
        .map((name) => `rpc ${name}(M) returns (M);`)
        .join("\n")}
    }`,
  "kinds.proto": `syntax = "proto3"; package kinds; ${message}
    service Kinds {
      rpc Unary(M) returns (M);
      rpc ClientStream(stream M) returns (M);
      rpc ServerStream(M) returns (stream M);
      rpc BidiStream(stream M) returns (stream M);
    }`,
  "no_package.proto": `syntax = "proto3"; message N {} service Lonely { rpc Call(N) returns (N); }`,
  "deep/er/and-deeper/v1/file.name.with.dots.proto": `syntax = "proto3"; package deep.er.v1;
    import "kinds.proto";
    service Deep { rpc Call(kinds.M) returns (kinds.M); }`,
  "proto2.proto": `syntax = "proto2"; package proto2; message P { required string s = 1; }
    service Old { option deprecated = true; rpc Call(P) returns (P); }`,
  "editions.proto": `edition = "2023"; package editions; ${message}
    service New { ${call} }`,
  "empty.proto": `syntax = "proto3"; package empty; service Empty {}`,
};

/** What somebody writes who has generated code. */
const user = `
  import type { Endpoint, PeerRouter } from "connect-quic";
  import { createObjectClient } from "./names_quic.js";
  import { createEchoClient, create$echoClient, createEchoServiceClient } from "./clashes_quic.js";
  import { createKindsClient, type KindsClient, type KindsImpl, registerKinds } from "./kinds_quic.js";
  import { createLonelyClient, LonelyAlpn } from "./no_package_quic.js";
  import { createDeepClient } from "./deep/er/and-deeper/v1/file.name.with.dots_quic.js";

  export async function use(endpoint: Endpoint, router: PeerRouter): Promise<"/Lonely/1.0"> {
    await createObjectClient(endpoint, "ticket").call({});
    await createEchoClient(endpoint, "ticket").call({});
    await create$echoClient(endpoint, "ticket").call({});
    await createEchoServiceClient(endpoint, "ticket").call({});
    await createLonelyClient(endpoint, "ticket", undefined).call({});
    await createDeepClient(endpoint, "ticket", { interceptors: [] }).call({});
    // @ts-expect-error: where to goes by the parameter
    createKindsClient(endpoint, "ticket", { to: "another" });
    const kinds: KindsClient = createKindsClient(endpoint, "ticket");
    for await (const _ of kinds.serverStream({})) {
    }
    const some: Partial<KindsImpl> = { unary: (request, context) => (context.method, request) };
    registerKinds(router, some);
    registerKinds(router, { async *serverStream() { yield {}; } }, { readMaxBytes: 1 });
    // @ts-expect-error: no such method
    registerKinds(router, { quaternary: () => ({}) });
    return LonelyAlpn;
  }`;

const template = {
  version: "v2",
  plugins: ["protoc-gen-es", "protoc-gen-connect-quic"].flatMap((local) => [
    { local, out: "ts", opt: ["target=ts", "import_extension=ts"] },
    { local, out: "js", opt: ["target=js+dts", "import_extension=js"] },
  ]),
};

test("whatever services and methods are called, the code compiles under strict for targets ts and js+dts", () => {
  const folder = mkdtempSync(join(tmpdir(), "protoc-gen-connect-quic-"));
  try {
    writeFiles(folder, {
      ...protos,
      "buf.gen.yaml": JSON.stringify(template),
      "ts/user.ts": user,
      "js/user.ts": user,
    });
    bufGenerate(folder);
    assert.equal(typeCheck(folder), "");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
