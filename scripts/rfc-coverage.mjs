// Lists the sections of RFCs that the code cites, and those among them that no test cites, in docs/rfc-coverage.md. A
// citation in a test says that the test holds the section; so a gap here is a test to be written, or to be named.
//
//   node scripts/rfc-coverage.mjs [--check] [--root <folder>]
//
// With --check nothing is written: the exit code is 1 when the page is not what it would be.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const page = "docs/rfc-coverage.md";
const { values: options } = parseArgs({
  options: { check: { type: "boolean", default: false }, root: { type: "string" } },
});
const root = options.root ?? fileURLToPath(new URL("..", import.meta.url));

/** "9114 §4.1" → { code: files, tests: files } */
const sections = new Map();
for (const file of [...typescriptFiles("src"), ...typescriptFiles("test")]) {
  const isTest = file.startsWith("test/") || file.endsWith(".test.ts");
  for (const section of citations(readFileSync(join(root, file), "utf8"))) {
    const entry = sections.get(section) ?? { code: new Set(), tests: new Set() };
    (isTest ? entry.tests : entry.code).add(file);
    sections.set(section, entry);
  }
}

const text = render();
if (options.check) {
  if (readPage() !== text) {
    console.error(`${page} is not up to date: node scripts/rfc-coverage.mjs`);
    process.exitCode = 1;
  }
} else {
  writeFileSync(join(root, page), text);
}

/** Sections cited in a text: `RFC 9114 §4.1`, and further ones as in `RFC 9114 §4.2, §4.3`. */
function citations(source) {
  const found = [];
  for (const [, rfc, list] of source.matchAll(
    /RFC (\d{4,5})((?:(?:,| and)? §[0-9A-Z]+(?:\.[0-9]+)*)+)/g,
  )) {
    for (const [, section] of list.matchAll(/§([0-9A-Z]+(?:\.[0-9]+)*)/g)) {
      found.push(`${rfc} §${section}`);
    }
  }
  return found;
}

function render() {
  const cited = [...sections].filter(([, { code }]) => code.size > 0).sort(bySection);
  const gaps = cited.filter(([, { tests }]) => tests.size === 0);
  const rfcs = [...new Set(cited.map(([section]) => section.split(" ")[0]))];
  const lines = [
    "# Sections of RFCs, in code and in tests",
    "",
    "Made by `node scripts/rfc-coverage.mjs` from the citations (`RFC 9114 §4.1`) in src/ and test/. It shows where a rule",
    "was implemented and no test says that it holds; it does not show rules that nobody has cited.",
    "",
    "| RFC | sections cited in code | of them in tests |",
    "| --- | ---: | ---: |",
    ...rfcs.map((rfc) => {
      const own = cited.filter(([section]) => section.startsWith(`${rfc} `));
      const tested = own.filter(([, { tests }]) => tests.size > 0);
      return `| RFC ${rfc} | ${own.length} | ${tested.length} |`;
    }),
    "",
    "## In code, in no test",
    "",
    ...(gaps.length === 0 ? ["None."] : []),
    ...gaps.map(([section, { code }]) => `- RFC ${section}: ${[...code].join(", ")}`),
  ];
  return `${lines.join("\n")}\n`;
}

function bySection([a], [b]) {
  return a.localeCompare(b, "en", { numeric: true });
}

function readPage() {
  try {
    return readFileSync(join(root, page), "utf8");
  } catch {
    return undefined;
  }
}

function typescriptFiles(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${name.split(sep).join("/")}`)
    .filter((path) => path.endsWith(".ts"))
    .sort();
}
