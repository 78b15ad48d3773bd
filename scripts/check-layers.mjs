// Checks who imports whom: the table "The map of the code" in CONTRIBUTING.md, as a program. Type imports count.
// Prints one line per fault with file, line, the import and the rule that it breaks; the exit code is then 1.
//
//   node scripts/check-layers.mjs [--root <folder>]

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";

/**
 * The layers of src/. `uses`: layers that a file may import besides its own; `usesTypes`: those of which it may see the
 * types alone; `packages`: what it may import from npm; `node`: all its files may import Node's own modules; `bundled`: the
 * build puts its packages into what is published, so they need not be dependencies. A file belongs to the layer with the
 * longest fitting folder.
 */
const layers = [
  { folder: "base", uses: [] },
  { folder: "identity", uses: ["base"], packages: ["@noble/ed25519"] },
  {
    folder: "discovery",
    uses: ["base", "identity"],
    packages: ["@noble/hashes", "bittorrent-dht"],
  },
  { folder: "relay", uses: ["base", "identity"], packages: ["@noble/hashes", "ws"] },
  { folder: "net", uses: ["base", "identity", "discovery", "relay"], packages: ["koffi"] },
  { folder: "engine", uses: ["base", "identity"], usesTypes: ["net"] },
  { folder: "engine/noq", uses: ["base", "identity", "engine"], usesTypes: ["net"] },
  { folder: "engine/quiche", uses: ["base", "engine"], packages: ["@matrixai/quic"] },
  {
    folder: "endpoint",
    uses: ["base", "identity", "discovery", "relay", "net", "engine", "engine/noq"],
  },
  // The server stands above what tells clients their addresses, which is QUIC; nothing below sees it.
  {
    folder: "relay/server",
    uses: ["base", "identity", "relay", "endpoint"],
    usesTypes: ["engine"],
    packages: ["@noble/hashes", "ws"],
  },
  { folder: "http3/qpack", uses: ["base"] },
  { folder: "http3", uses: ["base", "http3/qpack"], usesTypes: ["engine", "endpoint"] },
  { folder: "http2", uses: ["base", "http3", "http3/qpack"], usesTypes: ["engine"] },
  {
    folder: "rpc",
    uses: ["base", "identity", "http2", "http3", "endpoint"],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"],
  },
  // Calls through a stream: over any transport, so nothing of QUIC.
  {
    folder: "tunnel",
    uses: ["base", "rpc"],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect"],
  },
  // Registered peers: over any transport; of QUIC it knows who calls.
  {
    folder: "rendezvous",
    uses: ["base", "identity", "discovery", "rpc"],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect"],
  },
  {
    folder: "rendezvous/redis",
    uses: ["base", "discovery", "rendezvous"],
    packages: ["@bufbuild/protobuf", "@redis/client"],
  },
  // A place that listens.
  {
    folder: "rendezvous/server",
    uses: ["base", "rendezvous", "rpc"],
    usesTypes: ["endpoint"],
  },
  // The worker of the command line, and its page, which runs in browsers and sees of the worker its messages alone.
  {
    folder: "worker",
    uses: ["base", "identity", "discovery", "endpoint", "rpc", "rendezvous", "worker/gen"],
    usesTypes: ["net"],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"],
  },
  { folder: "worker/gen", uses: [], packages: ["@bufbuild/protobuf"] },
  {
    folder: "worker/page",
    uses: ["worker/gen"],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web", "qr"],
    bundled: true,
  },
  // The simulated world: for tests of any layer, and for users by an entry point.
  {
    folder: "testing",
    uses: ["base", "identity", "discovery", "relay", "relay/server", "net", "engine", "endpoint"],
  },
  // The program: above the entry points, and nothing is above it.
  { folder: "cli", uses: "everything", node: true },
  { folder: "", name: "an entry point", uses: "everything" },
];

/**
 * The shells: the only files of src/, besides cli/, that may import Node's own modules, and which ones. Cores stay free of them, so that
 * they run in any JavaScript engine and in a simulated world.
 */
const shells = {
  "base/node-platform.ts": ["node:crypto"],
  "discovery/node-multicast.ts": ["node:dgram", "node:os"],
  "discovery/node-resolve-txt.ts": ["node:dns/promises"],
  "endpoint/worker-endpoint.ts": ["node:worker_threads"],
  "endpoint/worker-pool.ts": ["node:os", "node:worker_threads"],
  "engine/noq/packet-cipher.ts": ["node:crypto"],
  "engine/noq/wasm-module.ts": ["node:fs"],
  "engine/quiche/address-tokens.ts": ["node:crypto"],
  "engine/quiche/pins.ts": ["node:crypto"],
  "engine/quiche/server-name.ts": ["node:crypto"],
  "engine/quiche/stateless-answers.ts": ["node:crypto"],
  "http2/http2-client.ts": ["node:http2"],
  "http2/http2-request-stream.ts": ["node:http2", "node:stream"],
  "http2/http2-server.ts": ["node:http2"],
  "http2/stream-duplex.ts": ["node:stream"],
  "identity/certificate-key.ts": ["node:crypto"],
  "identity/certificates.ts": ["node:crypto", "node:tls"],
  "identity/ed25519.ts": ["node:crypto"],
  "identity/key-file.ts": ["node:crypto", "node:fs/promises", "node:path"],
  "identity/web-certificate.ts": ["node:crypto"],
  "net/batched-udp.ts": ["node:dgram", "node:os"],
  "net/node-gateway.ts": ["node:fs"],
  "net/node-http.ts": ["node:crypto", "node:http", "node:https"],
  "net/node-interfaces.ts": ["node:fs", "node:os"],
  "net/resolve-host.ts": ["node:dns/promises", "node:net"],
  "net/udp-socket.ts": ["node:dgram"],
  "relay/node-message-channel.ts": ["node:crypto", "node:dns", "node:net", "node:tls"],
  "relay/server/relay-listener.ts": [
    "node:http",
    "node:https",
    "node:net",
    "node:stream",
    "node:tls",
  ],
  "rendezvous/server/rendezvous-server.ts": ["node:http", "node:http2", "node:net"],
  "rpc/compression-zstd.ts": ["node:util", "node:zlib"],
  "worker/file-digest.ts": ["node:crypto"],
  "worker/page-files.ts": ["node:fs/promises"],
  "worker/page-server.ts": ["node:http", "node:net"],
  "worker/page-token.ts": ["node:crypto"],
};

/**
 * Code outside of src/ sees the package as its users do. `relative`: folders that it may reach by path; `packages`: what
 * it may import by name besides the dependencies of the nearest package.json.
 */
const surroundings = [
  { folder: "plugins", relative: [], packages: [], node: true },
  { folder: "gen", relative: ["gen"], packages: ["connect-quic"], node: false },
  { folder: "examples", relative: ["examples", "gen"], packages: ["connect-quic"], node: true },
  {
    folder: "bench",
    relative: ["bench", "gen", "src", "test/support"],
    packages: ["connect-quic"],
    node: true,
  },
];

const { values: options } = parseArgs({ options: { root: { type: "string" } } });
const root = options.root ?? fileURLToPath(new URL("..", import.meta.url));

const faults = [
  ...typescriptFiles("src").flatMap(checkSource),
  ...surroundings.flatMap((rule) =>
    typescriptFiles(rule.folder).flatMap((file) => checkSurroundings(rule, file)),
  ),
];
for (const { file, line, specifier, reason } of faults) {
  console.error(`${file}:${line} imports ${JSON.stringify(specifier)}: ${reason}`);
}
process.exitCode = faults.length === 0 ? 0 : 1;

function checkSource(file) {
  const path = file.slice("src/".length);
  const isTest = path.endsWith(".test.ts");
  const layer = layerOf(path);
  const { runtime, all } = dependencies(".");
  return importsOf(file).flatMap(({ specifier, line, typeOnly }) => {
    const fault = (reason) => [{ file, line, specifier, reason }];
    if (specifier.startsWith("node:")) {
      const allowed = shells[path] ?? [];
      return isTest || layer.node === true || allowed.includes(specifier)
        ? []
        : fault(
            "not in the list of shells (scripts/check-layers.mjs): cores import nothing of Node",
          );
    }
    if (!specifier.startsWith(".")) {
      const name = packageName(specifier);
      if (isTest && all.has(name)) {
        return [];
      }
      if (!(layer.bundled === true ? all : runtime).has(name)) {
        return fault("not among the dependencies of package.json");
      }
      return layer.uses === "everything" || layer.packages?.includes(name)
        ? []
        : fault(`${describe(layer)} may not use this package`);
    }
    const target = posix.join(posix.dirname(file), specifier);
    if (!target.startsWith("src/")) {
      return isTest && /^(test|gen)\//.test(target) ? [] : fault("leaves src/");
    }
    if (target.endsWith(".test.ts")) {
      return fault("a test is not for importing");
    }
    const other = layerOf(target.slice("src/".length));
    if (
      other === layer ||
      layer.uses === "everything" ||
      layer.uses.includes(other.folder) ||
      (isTest && ["testing", "relay/server"].includes(other.folder))
    ) {
      return [];
    }
    if (layer.usesTypes?.includes(other.folder)) {
      // A test may need the real thing to drive the code under test.
      return typeOnly || isTest
        ? []
        : fault(`${describe(layer)} may import types alone from ${describe(other)}`);
    }
    return fault(`${describe(layer)} may not import ${describe(other)}`);
  });
}

function checkSurroundings(rule, file) {
  const home = rule.folder === "plugins" ? file.split("/", 2).join("/") : ".";
  const { all } = dependencies(home);
  const reachable = home === "." ? rule.relative : [home];
  return importsOf(file).flatMap(({ specifier, line }) => {
    const fault = (reason) => [{ file, line, specifier, reason }];
    if (specifier.startsWith("node:")) {
      return rule.node ? [] : fault(`${rule.folder}/ imports nothing of Node`);
    }
    if (!specifier.startsWith(".")) {
      const name = packageName(specifier);
      return all.has(name) || rule.packages.includes(name)
        ? []
        : fault("not among the dependencies of package.json");
    }
    const target = posix.join(posix.dirname(file), specifier);
    return reachable.some((folder) => target.startsWith(`${folder}/`))
      ? []
      : fault(`${rule.folder}/ may not reach there: use the package by its name`);
  });
}

function layerOf(path) {
  return layers
    .filter(({ folder }) => folder === "" || path.startsWith(`${folder}/`))
    .reduce((best, layer) => (layer.folder.length >= best.folder.length ? layer : best));
}

function describe(layer) {
  return layer.name ?? `${layer.folder}/`;
}

function packageName(specifier) {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** Names in the package.json of `folder`: what is there when the package is installed, and all. */
function dependencies(folder) {
  const read = (path) => JSON.parse(readFileSync(join(root, path, "package.json"), "utf8"));
  const own = read(folder);
  const runtime = Object.keys({
    ...own.dependencies,
    ...own.optionalDependencies,
    ...own.peerDependencies,
  });
  const development = Object.keys({ ...own.devDependencies, ...read(".").devDependencies });
  return { runtime: new Set(runtime), all: new Set([...runtime, ...development]) };
}

/** Paths from the root, with forward slashes, in order. */
function typescriptFiles(folder) {
  if (!existsSync(join(root, folder))) {
    return [];
  }
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${name.split(sep).join("/")}`)
    .filter((path) => /\.m?ts$/.test(path) && !/\/(node_modules|dist)\//.test(path))
    .sort();
}

/** All imports and re-exports of a file, `import()` in code and in types included. */
function importsOf(file) {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), "utf8"),
    ts.ScriptTarget.Latest,
  );
  const found = [];
  const add = (literal, typeOnly) => {
    if (literal !== undefined && ts.isStringLiteralLike(literal)) {
      const line = source.getLineAndCharacterOfPosition(literal.getStart(source)).line + 1;
      found.push({ specifier: literal.text, line, typeOnly });
    }
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, isTypeOnlyImport(node.importClause));
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node)) {
      add(node.argument.literal, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isTypeOnlyImport(clause) {
  if (clause === undefined) {
    return false;
  }
  const named = clause.namedBindings;
  return (
    clause.isTypeOnly ||
    (clause.name === undefined &&
      named !== undefined &&
      ts.isNamedImports(named) &&
      named.elements.length > 0 &&
      named.elements.every((element) => element.isTypeOnly))
  );
}
