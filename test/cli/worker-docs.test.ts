import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { settingsTable } from "../../src/cli/settings.ts";
import { workerCommand } from "../../src/cli/worker-command.ts";

test("docs/worker.md has all options and variables of the worker, as they are", () => {
  const text = readFileSync(new URL("../../docs/worker.md", import.meta.url), "utf8");
  const table = settingsTable(workerCommand.options);
  assert(text.includes(table), `the table is to be:\n${table}`);
});
