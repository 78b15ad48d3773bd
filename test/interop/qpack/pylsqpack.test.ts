// Our QPACK against ls-qpack, as the Python package pylsqpack brings it: each decodes what the other encodes, and hears what
// the other acknowledges. Installs the package into .cache on the first run.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { FieldSection } from "../../../src/http3/qpack/field.ts";
import { QpackDecoder } from "../../../src/http3/qpack/qpack-decoder.ts";
import { QpackEncoder } from "../../../src/http3/qpack/qpack-encoder.ts";
import { staticTable } from "../../../src/http3/qpack/static-table.ts";
import { readQif } from "../../qpack/qif.ts";
import { bytesOf, Pylsqpack, preparePylsqpack } from "./pylsqpack.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const folder = [
  process.env.QIFS ?? join(repository, "../shared/qifs"),
  join(repository, "test/qifs"),
].find((root) => existsSync(join(root, "qifs")));
assert.ok(folder !== undefined);

const lists = readdirSync(join(folder, "qifs")).map((file) => ({
  file,
  sections: readQif(join(folder, "qifs", file)),
}));
const tables = [
  { maxTableCapacity: 0, blockedStreams: 0 },
  ...[256, 512, 4096, 65_536].flatMap((maxTableCapacity) =>
    [0, 100].map((blockedStreams) => ({ maxTableCapacity, blockedStreams })),
  ),
];
const cases = lists.flatMap(({ file, sections }) =>
  tables.map((limits) => ({
    name: `${file} with ${limits.maxTableCapacity} bytes and ${limits.blockedStreams} blocked streams`,
    sections,
    limits,
  })),
);

const missing = preparePylsqpack();
const skip = missing !== undefined && `not tested against pylsqpack: ${missing}`;
let peer: Pylsqpack;

if (missing === undefined) {
  before(() => {
    peer = new Pylsqpack();
  });
  after(() => peer[Symbol.asyncDispose]());
}

type Order = "acknowledged at once" | "never acknowledged" | "sections first";

for (const { name, sections, limits } of cases) {
  const orders: readonly Order[] = [
    "acknowledged at once",
    "never acknowledged",
    ...(limits.blockedStreams > 0 ? (["sections first"] as const) : []),
  ];
  for (const order of orders) {
    test(`pylsqpack reads our ${name}, ${order}`, { skip }, async () => {
      await peer.reset(limits);
      const encoder = new QpackEncoder({
        maxTableCapacity: limits.maxTableCapacity,
        maxBlockedStreams: limits.blockedStreams,
      });
      encoder.setPeerLimits(limits);
      const arrived = new Map<number, FieldSection>();
      const arrive = (
        streamId: number,
        { fields, answer }: { fields: FieldSection; answer: string },
      ) => {
        arrived.set(streamId, fields);
        if (order !== "never acknowledged") {
          encoder.handleDecoderStream(bytesOf(answer));
        }
      };
      for (const [index, fields] of sections.entries()) {
        const streamId = 4 * index;
        const section = encoder.encode(streamId, fields);
        const instructions = encoder.takeEncoderStream();
        const instruct = async () => {
          if (instructions !== undefined) {
            for (const one of (await peer.instruct(instructions)).unblocked) {
              arrive(one.streamId, one);
            }
          }
        };
        if (order !== "sections first") {
          await instruct();
        }
        const outcome = await peer.decode(streamId, section);
        if (outcome.type === "fields") {
          arrive(streamId, outcome);
        }
        if (order === "sections first") {
          await instruct();
        }
      }
      assert.deepEqual([...arrived.values()], sections);
    });
  }

  test(`we read pylsqpack's ${name}`, { skip }, async () => {
    const decoder = new QpackDecoder({ ...limits, maxFieldSectionSize: 1_000_000 });
    decoder.handleEncoderStream(bytesOf((await peer.reset(limits)).instructions));
    for (const [index, fields] of sections.entries()) {
      const streamId = 4 * index;
      const { instructions, section } = await peer.encode(streamId, fields);
      const expected = { type: "fields", fields };
      // Every other section comes before its instructions.
      const early = index % 2 === 0 ? decoder.decode(streamId, bytesOf(section)) : undefined;
      const unblocked = decoder.handleEncoderStream(bytesOf(instructions));
      if (early?.type === "blocked") {
        assert.deepEqual(unblocked, [{ streamId, outcome: expected }]);
      } else {
        assert.deepEqual(early ?? decoder.decode(streamId, bytesOf(section)), expected);
      }
      const answer = decoder.takeDecoderStream();
      if (answer !== undefined) {
        await peer.acknowledge(answer);
      }
    }
  });
}

test("pylsqpack has the same static table", { skip }, async () => {
  const limits = { maxTableCapacity: 0, blockedStreams: 0 };
  await peer.reset(limits);
  const outcome = await peer.decode(
    0,
    new QpackEncoder({ isSensitive: () => false }).encode(0, staticTable),
  );
  assert.ok(outcome.type === "fields");
  assert.deepEqual(outcome.fields, staticTable);
  const { section } = await peer.encode(0, staticTable);
  assert.deepEqual(new QpackDecoder().decode(0, bytesOf(section)), {
    type: "fields",
    fields: staticTable,
  });
});

test("pylsqpack reads every byte, Huffman-encoded and not", { skip }, async () => {
  await peer.reset({ maxTableCapacity: 0, blockedStreams: 0 });
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  // Enough short codes make Huffman the shorter form, whatever stands among them.
  const fields = bytes.flatMap(
    (byte): FieldSection => [
      ["x", byte],
      ["y", `aaaaaaaaaaaaaaaaaaaaaa${byte}aaaaaaaaaaaaaaaaaaaaaa`],
    ],
  );
  const outcome = await peer.decode(0, new QpackEncoder().encode(0, fields));
  assert.ok(outcome.type === "fields");
  assert.deepEqual(outcome.fields, fields);
});

test("pylsqpack's cancellation of a stream frees what our section referred to", {
  skip,
}, async () => {
  const limits = { maxTableCapacity: 100, blockedStreams: 1 };
  await peer.reset(limits);
  const encoder = new QpackEncoder();
  encoder.setPeerLimits(limits);
  const fields: FieldSection = [["x-cancelled", "value"]];
  encoder.encode(0, fields);
  const section = encoder.encode(4, fields);
  assert.equal((await peer.decode(4, section)).type, "blocked");
  const instructions = encoder.takeEncoderStream();
  assert.ok(instructions !== undefined);
  assert.notEqual(encoder.encode(8, fields).length, 3, "stream 4 is the one that may be blocked");
  encoder.handleDecoderStream(bytesOf((await peer.cancel(4)).answer));
  assert.equal(encoder.encode(12, fields).length, 3);
});
