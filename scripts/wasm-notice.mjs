// What is linked into the WebAssembly, and the notices that its licences ask for.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The crates whose code is in the result: not those that only run while compiling, nor our own.
 * Each with `name`, `version`, `license` (an SPDX expression) and `folder`.
 */
export function linkedCrates(tools, crates, triple) {
  const environment = {
    cwd: crates,
    encoding: "utf8",
    env: { ...process.env, RUSTC: tools.rustc },
  };
  const metadata = JSON.parse(
    cargo(["metadata", "--format-version=1", "--locked", "--filter-platform", triple]),
  );
  const tree = cargo([
    "tree",
    "--locked",
    "--target",
    triple,
    "--edges",
    "normal,no-proc-macro",
    "--prefix",
    "none",
    "--format",
    "{p}",
  ]);
  const linked = new Set(tree.split("\n").map((line) => line.split(" ").slice(0, 2).join(" ")));
  return metadata.packages
    .filter(({ name, version }) => linked.has(`${name} v${version}`))
    .filter(({ source, name }) => source !== null || name === "noq-proto")
    .map(({ name, version, license, manifest_path }) => ({
      name,
      version,
      license: license.replaceAll("/", " OR "),
      folder: dirname(manifest_path),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

  function cargo(args) {
    const { stdout, stderr, status } = spawnSync(tools.cargo, args, {
      ...environment,
      maxBuffer: 1 << 26,
    });
    if (status !== 0) {
      throw new Error(`cargo ${args[0]} failed: ${stderr}`);
    }
    return stdout;
  }
}

/** The text of NOTICE. Of several licences to choose from, Apache-2.0 is ours. */
export function notice(used, patched) {
  const apache = used.filter(({ license }) => isApache(license));
  const others = used.filter(({ license }) => !isApache(license));
  return `${[
    "connect-quic",
    "",
    "src/engine/noq/quic-core.wasm is WebAssembly made from crates/ and the Rust packages below, which are linked into",
    "it. Their sources are at https://crates.io under these names and versions.",
    "",
    `${patched.name} ${patched.version} was changed; the changes are in crates/patches.`,
    "",
    "Rust's standard library is linked into it as well: https://www.rust-lang.org, used under the Apache License 2.0.",
    "",
    "",
    "Used under the Apache License 2.0, whose text is in LICENSE",
    "",
    ...apache.map(({ name, version, license }) => `  ${name} ${version} (${license})`),
    "",
    "",
    "Used under other licences, whose texts follow",
    "",
    ...others.map(({ name, version, license }) => `  ${name} ${version} (${license})`),
    "",
    ...others.flatMap(licenceText),
  ].join("\n")}\n`;
}

function isApache(license) {
  return /(^|[ (]|OR )Apache-2\.0/.test(license) && !/\bAND\b/.test(license);
}

function licenceText({ name, version, folder }) {
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .filter((file) => !/apache/i.test(file))
    .map((file) => join(folder, file))
    .filter((file) => existsSync(file));
  if (texts.length === 0) {
    throw new Error(`no licence text in the sources of ${name} ${version}`);
  }
  const title = `${name} ${version}`;
  return [
    "",
    title,
    "-".repeat(title.length),
    "",
    ...texts.map((file) => readFileSync(file, "utf8").trim()),
    "",
  ];
}
