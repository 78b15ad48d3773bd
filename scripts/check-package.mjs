// Checks what would be published: the files of both tarballs, publint, and Are The Types Wrong.
// Needs a build (`npm run build`).

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { pack, packages, root } from "./pack.mjs";

/** What each package holds: some files, for each file of its src/ those with other endings, and some with names like these. */
const contents = {
  "connect-quic": {
    files: [
      "CHANGELOG.md",
      "LICENSE",
      "NOTICE",
      "README.md",
      "package.json",
      "dist/chunks/quic-core.wasm",
      ...["index.html", "page.js", "page.css", "icon.svg"].map((name) => `dist/cli/page/${name}`),
      ...[
        "index",
        "koffi",
        "quiche",
        "relay",
        "rendezvous",
        "testing",
        "tunnel",
        "cli/main",
      ].flatMap((name) => [`dist/${name}.js`, `dist/${name}.js.map`]),
    ],
    // The sources go along for the source maps.
    compiled: (name) => [
      `src/${name}.ts`,
      ...(isDeclaration(name)
        ? []
        : [".d.ts", ".d.ts.map"].map((ending) => `dist/${name}${ending}`)),
    ],
    // What is loaded when it is needed is a chunk of its own name.
    others:
      /^(dist\/chunks\/(chunk|node-http)-[0-9A-Z]{8}\.js(\.map)?|src\/worker\/gen\/.*_pb\.js)$/,
  },
  "protoc-gen-connect-quic": {
    files: ["LICENSE", "README.md", "package.json", "bin/protoc-gen-connect-quic"],
    compiled: (name) => [`dist/${name}.js`],
    others: /^$/,
  },
};

const folder = mkdtempSync(join(tmpdir(), "connect-quic-package-"));
try {
  const faults = packages.flatMap(checkPackage);
  console.error(faults.join("\n"));
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

function checkPackage(path) {
  const { name, tarball, files } = pack(path, folder);
  const expected = [...contents[name].files, ...sources(path).flatMap(contents[name].compiled)];
  return [
    ...expected.filter((file) => !files.includes(file)).map((file) => `${file} is missing`),
    ...files
      .filter((file) => !expected.includes(file) && !contents[name].others.test(file))
      .map((file) => `${file} has no place in it`),
    ...buildMachinePaths(tarball).map((file) => `${file} names a folder of this machine`),
    ...tool("publint", ["run", tarball, "--strict"]),
    // A plugin is a program: it has no types to get wrong.
    ...(path === "."
      ? tool("attw", [tarball, "--profile", "esm-only", "--no-definitely-typed", "--no-emoji"])
      : []),
  ].map((fault) => `${name}: ${fault}`);
}

/** Paths of the files in the src/ of a package, from there and without their ending. */
function sources(path) {
  return (
    readdirSync(join(root, path, "src"), { recursive: true })
      .map((name) => name.split(sep).join("/"))
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
      // It is published as the bundle alone.
      .filter((name) => !name.startsWith("worker/page/"))
      .map((name) => name.slice(0, -".ts".length))
  );
}

function isDeclaration(name) {
  return name.endsWith(".d");
}

function buildMachinePaths(tarball) {
  const unpacked = mkdtempSync(join(folder, "unpacked-"));
  execFileSync("tar", ["-xzf", tarball, "-C", unpacked]);
  return readdirSync(join(unpacked, "package"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => readFileSync(file).includes(root))
    .map((file) => file.slice(join(unpacked, "package/").length));
}

/** Runs a checker from node_modules; what it prints is one fault when it fails. */
function tool(name, args) {
  const { status, stdout, stderr } = spawnSync(join(root, "node_modules/.bin", name), args, {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return status === 0 ? [] : [`${name} finds fault\n${stdout}${stderr}`.trimEnd()];
}
