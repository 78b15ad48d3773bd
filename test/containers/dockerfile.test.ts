import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { configOptionTable, readSettings, variableOf } from "../../src/cli/settings.ts";
import { workerCommand } from "../../src/cli/worker-command.ts";
import { parseDockerfile, parseIgnore } from "./dockerfile.ts";

test("parseDockerfile reads stages and their instructions", () => {
  const text = `# a comment
FROM node:24-alpine AS build
WORKDIR /src
COPY a b/c ./
# in between
RUN npm ci \\
  && npm run build

FROM build AS relay
COPY --from=build /src/dist dist
ENV URL=http://127.0.0.1:80/
USER 1000:1000
EXPOSE 80 81/udp
VOLUME /data
ENTRYPOINT ["node", "x"]
CMD ["relay"]
HEALTHCHECK --interval=10s --start-period=1s CMD ["node", "y"]
`;
  assert.deepEqual(parseDockerfile(text), [
    {
      name: "build",
      base: "node:24-alpine",
      instructions: [
        { type: "workdir", path: "/src" },
        { type: "copy", from: undefined, sources: ["a", "b/c"], destination: "./" },
        { type: "run", script: "npm ci && npm run build" },
      ],
    },
    {
      name: "relay",
      base: "build",
      instructions: [
        { type: "copy", from: "build", sources: ["/src/dist"], destination: "dist" },
        { type: "env", name: "URL", value: "http://127.0.0.1:80/" },
        { type: "user", user: "1000:1000" },
        { type: "expose", ports: ["80", "81/udp"] },
        { type: "volume", path: "/data" },
        { type: "entrypoint", command: ["node", "x"] },
        { type: "cmd", command: ["relay"] },
        { type: "healthcheck", command: ["node", "y"] },
      ],
    },
  ]);
});

test("parseDockerfile refuses what the tests cannot run", () => {
  for (const line of [
    "ARG A=1",
    "ADD a b",
    "COPY --chown=1:1 a b",
    "COPY *.json ./",
    "COPY a b c",
    "RUN --mount=type=cache,target=/x y",
    "RUN <<END",
    'SHELL ["sh"]',
    "USER node",
    'ENV A="b c"',
    "CMD relay",
    "ENTRYPOINT node x",
    "HEALTHCHECK NONE",
  ]) {
    assert.throws(() => parseDockerfile(`FROM a AS b\n${line}\n`), Error, line);
  }
  assert.throws(() => parseDockerfile("RUN x"), /RUN x/);
  assert.throws(() => parseDockerfile("FROM a"), /FROM a/);
});

test("every program has a target that is not root's, with a health check and signals that reach it", () => {
  const file = new URL("../../containers/Dockerfile", import.meta.url);
  const stages = parseDockerfile(readFileSync(file, "utf8"));
  for (const name of ["relay", "rendezvous", "worker"]) {
    const stage = stages.find((each) => each.name === name);
    assert.equal(stage?.base, "program");
    const program = stages.find((each) => each.name === "program");
    const all = [...(program?.instructions ?? []), ...(stage?.instructions ?? [])];
    const user = all.findLast(({ type }) => type === "user");
    assert.ok(user?.type === "user" && !user.user.startsWith("0"), `user of ${name}`);
    const cmd = all.findLast(({ type }) => type === "cmd");
    assert.equal(cmd?.type === "cmd" && cmd.command[0], name);
    for (const needed of ["entrypoint", "healthcheck", "expose"]) {
      assert.ok(
        all.some(({ type }) => type === needed),
        `${needed} of ${name}`,
      );
    }
  }
});

test("every variable that compose.yaml gives a worker is an option of it, and takes the value", async () => {
  const file = new URL("../../containers/compose.yaml", import.meta.url);
  const text = readFileSync(file, "utf8").replace(/\$\{PAGE_TOKEN:\?[^}]*\}/, "some words of mine");
  const given = [...text.matchAll(/(CONNECT_QUIC_[A-Z_]+): "?([^"\n}]+?)"? *[}\n]/g)];
  const names = given.map(([, name = ""]) => name);
  for (const needed of ["RELAY", "RENDEZVOUS", "STUN", "PAGE_TOKEN", "NAME"]) {
    assert.ok(names.includes(`CONNECT_QUIC_${needed}`), needed);
  }
  const options = Object.keys(workerCommand.options).map(variableOf);
  assert.deepEqual(
    names.filter((name) => !options.includes(name)),
    [],
  );
  const environment = Object.fromEntries(given.map(([, name = "", value = ""]) => [name, value]));
  const table = { ...workerCommand.options, ...configOptionTable };
  const { values } = await readSettings(table, [], environment);
  assert.equal(Object.keys(values).length, new Set(names).size);
});

test("parseIgnore reads what is in the context, and refuses what else such a file could say", () => {
  assert.deepEqual(parseIgnore("# why\n*\n!src\n!package.json\n"), ["src", "package.json"]);
  for (const text of ["src", "*\nsrc", "*\n!src/**"]) {
    assert.throws(() => parseIgnore(text), Error, text);
  }
});
