import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { settingsTable, variableOf } from "../../src/cli/settings.ts";
import { workerCommand } from "../../src/cli/worker-command.ts";
import * as limits from "../../src/worker/worker-limits.ts";

function read(file: string): string {
  return readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
}

const docs = read("docs/worker.md");

test("docs/worker.md has all options and variables of the worker, as they are", () => {
  const table = settingsTable(workerCommand.options);
  assert.ok(docs.includes(table), `the table is to be:\n${table}`);
});

for (const file of ["containers/compose.yaml", "containers/Dockerfile", "docs/worker.md"]) {
  test(`${file} names no variable but those of the worker`, () => {
    const known = Object.keys(workerCommand.options).map(variableOf);
    const named = read(file).match(/CONNECT_QUIC_[A-Z_]+/g) ?? [];
    assert.ok(named.length > 0, "it names none");
    assert.deepEqual(
      named.filter((name) => !known.includes(name)),
      [],
    );
  });
}

const mebi = 2 ** 20;
const gibi = 2 ** 30;

for (const row of [
  `| peers that are remembered | ${limits.maxPeers};`,
  `| conversations with one peer | ${limits.maxLinksPerPeer} |`,
  `| a name | ${limits.maxNameLength} characters;`,
  `| a message | ${limits.maxTextBytes} bytes, in a datagram ${limits.maxDatagramTextBytes} |`,
  `| messages of one peer in ${limits.messageSpanMs / 1_000} s | ${limits.maxMessagesInSpan};`,
  `| messages, events, benchmarks that are kept | ${limits.maxMessages}, ${limits.maxEvents}, ${limits.maxBenchmarks} |`,
  `| benchmarks and files of one peer at once | ${limits.maxBenchmarksPerPeer}, each of up to ${limits.maxBenchmarkBytes / gibi} GiB |`,
  `| a file that is kept | ${limits.maxKeptFileBytes / mebi} MiB, all together ${limits.maxKeptBytes / mebi} MiB;`,
  `| the name of a file | ${limits.maxFileNameLength} characters;`,
  `| workers at the place that the page lists | ${limits.maxFound}, with ${limits.maxFoundLabels} labels of ${limits.maxLabelLength} characters;`,
  `| pages that watch | ${limits.maxWatchers} |`,
]) {
  test(`docs/worker.md has this limit as it is: ${row}`, () => {
    assert.ok(docs.includes(row), "it has another");
  });
}
