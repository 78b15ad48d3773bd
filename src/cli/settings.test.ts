import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { configOptionTable, readSettings } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

const table = {
  name: { type: "string", help: "" },
  "page-host": { type: "string", multiple: true, help: "" },
  quiet: { type: "boolean", help: "" },
  ...configOptionTable,
} as const;

async function fileWith(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-settings-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "worker.json");
  await writeFile(file, text);
  return file;
}

test("readSettings takes the command line before the environment, and that before the file", async (t) => {
  const file = await fileWith(t, `{"name": "file", "page-host": ["file"], "quiet": true}`);
  const env = {
    CONNECT_QUIC_CONFIG: file,
    CONNECT_QUIC_NAME: "environment",
    CONNECT_QUIC_PAGE_HOST: " one  two ",
  };
  const { values } = await readSettings(table, ["--name", "typed"], env);
  assert.deepEqual(values, {
    config: file,
    name: "typed",
    "page-host": ["one", "two"],
    quiet: true,
  });
  const { values: fromFile } = await readSettings(table, ["--config", file], {});
  assert.deepEqual(fromFile, { config: file, name: "file", "page-host": ["file"], quiet: true });
});

test("readSettings takes an empty variable for none, and says what a truth value is", async () => {
  assert.deepEqual((await readSettings(table, [], { CONNECT_QUIC_NAME: "" })).values, {});
  const { values } = await readSettings(table, [], { CONNECT_QUIC_QUIET: "0" });
  assert.deepEqual(values, { quiet: false });
  await assert.rejects(readSettings(table, [], { CONNECT_QUIC_QUIET: "perhaps" }), (error) => {
    assert(error instanceof UsageError, "no UsageError");
    return /CONNECT_QUIC_QUIET takes true or false, found "perhaps"/.test(error.message);
  });
});

for (const [what, text, message] of [
  ["no JSON", "{", /cannot read --config/],
  ["a list", "[]", /it is no object/],
  ["an unknown name", `{"nmae": "x"}`, /unknown option "nmae": there are name, page-host, quiet$/],
  ["another file", `{"config": "x"}`, /unknown option "config"/],
  ["the wrong type", `{"name": ["x"]}`, /name: takes a text, found/],
  ["a list with something else in it", `{"page-host": [1]}`, /page-host: takes a list of texts/],
  ["no truth value", `{"quiet": "yes"}`, /quiet: takes true or false/],
] as const) {
  test(`readSettings refuses a file with ${what}`, async (t) => {
    const file = await fileWith(t, text);
    await assert.rejects(readSettings(table, ["--config", file], {}), (error) => {
      assert(error instanceof UsageError, "no UsageError");
      return message.test(error.message);
    });
  });
}

test("readSettings says which file is not there", async () => {
  await assert.rejects(readSettings(table, ["--config", "/nowhere.json"], {}), /nowhere\.json/);
});
