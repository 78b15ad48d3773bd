// The lists and files of test/qifs: what other implementations' encoders wrote, read by our decoder, and the lists encoded
// and decoded by ourselves. A larger part of the same collection is read from ../shared/qifs, or where QIFS points to.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { FieldSection } from "../../src/http3/qpack/field.ts";
import { PrimitiveWriter } from "../../src/http3/qpack/primitive-writer.ts";
import { type DecodedSection, QpackDecoder } from "../../src/http3/qpack/qpack-decoder.ts";
import { QpackEncoder } from "../../src/http3/qpack/qpack-encoder.ts";
import { Qpack, QpackError } from "../../src/http3/qpack/qpack-error.ts";
import { Auditor } from "./auditor.ts";
import { parseEncodedFileName, readEncoded, readQif } from "./qif.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const collections = [
  { name: "test/qifs", root: join(repository, "test/qifs") },
  { name: "qifs", root: process.env.QIFS ?? join(repository, "../shared/qifs") },
].filter(({ root }) => existsSync(root));

const maxFieldSectionSize = 1_000_000;

/** Files of errors/ that came with draft 02, whose static table was HPACK's: entries 1 to 61. RFC 9204 has 0 to 98. */
const wellFormedSinceDraft03: Readonly<Record<string, FieldSection>> = {
  err9: [[":authority", ""]],
  err10: [["x-xss-protection", "1; mode=block"]],
};

for (const { name, root } of collections) {
  const lists = join(root, "qifs");
  const files = filesUnder(join(root, "encoded/qpack-05"));

  test(`${name} has files of several implementations`, () => {
    assert.ok(files.length > 10, `${files.length} files`);
  });

  for (const { path, list, maxTableCapacity, blockedStreams } of files) {
    const listPath = join(lists, `${list}.qif`);
    const skip = !existsSync(listPath) && `there is no list ${list}`;
    test(`QpackDecoder reads ${name}: ${path.slice(root.length + 1)}`, { skip }, () => {
      const decoder = new QpackDecoder({ maxTableCapacity, blockedStreams, maxFieldSectionSize });
      // The collection takes this capacity as given; RFC 9204 begins with none.
      decoder.handleEncoderStream(
        new PrimitiveWriter().prefixedInteger(0x20, 5, maxTableCapacity).take(),
      );
      const decoded = new Map<number, DecodedSection>();
      for (const { streamId, bytes } of readEncoded(path)) {
        if (streamId !== 0) {
          const outcome = decoder.decode(streamId, bytes);
          if (outcome.type !== "blocked") {
            decoded.set(streamId, outcome);
          }
        } else {
          for (const section of decoder.handleEncoderStream(bytes)) {
            decoded.set(section.streamId, section.outcome);
          }
        }
      }
      const inOrder = [...decoded].sort(([a], [b]) => a - b).map(([, outcome]) => outcome);
      const expected = readQif(listPath).map((fields) => ({ type: "fields", fields }));
      assert.deepEqual(inOrder, expected);
    });
  }

  for (const path of readdirSync(join(root, "encoded/errors")).map((file) =>
    join(root, "encoded/errors", file),
  )) {
    const wellFormed = wellFormedSinceDraft03[basename(path)];
    if (wellFormed !== undefined) {
      test(`QpackDecoder reads ${name}: ${basename(path)}, an error only with the static table of draft 02`, () => {
        const [block] = readEncoded(path);
        assert.ok(block !== undefined);
        assert.deepEqual(new QpackDecoder().decode(block.streamId, block.bytes), {
          type: "fields",
          fields: wellFormed,
        });
      });
      continue;
    }
    test(`QpackDecoder refuses ${name}: ${basename(path)}`, () => {
      for (const { streamId, bytes } of readEncoded(path)) {
        const decoder = new QpackDecoder();
        const [code, read] =
          streamId === 0
            ? [Qpack.ENCODER_STREAM_ERROR, () => decoder.handleEncoderStream(bytes)]
            : [Qpack.DECOMPRESSION_FAILED, () => decoder.decode(streamId, bytes)];
        assert.throws(read, (error) => error instanceof QpackError && error.code === code);
      }
    });
  }

  for (const list of readdirSync(lists)) {
    for (const maxTableCapacity of [0, 256, 512, 4096]) {
      for (const blockedStreams of maxTableCapacity === 0 ? [0] : [0, 100]) {
        for (const acknowledged of maxTableCapacity === 0 ? [true] : [true, false]) {
          const limits = { maxTableCapacity, blockedStreams };
          const shape = `${list} with ${maxTableCapacity} bytes, ${blockedStreams} blocked streams, ${acknowledged ? "acknowledged" : "never acknowledged"}`;
          test(`QpackEncoder encodes ${name}: ${shape}`, () => {
            roundTrip(readQif(join(lists, list)), limits, { acknowledged });
          });
        }
      }
    }
  }
}

/** Encodes all sections, each on a stream of its own, and decodes them; an auditor listens. */
function roundTrip(
  sections: readonly FieldSection[],
  limits: { maxTableCapacity: number; blockedStreams: number },
  { acknowledged }: { acknowledged: boolean },
): void {
  const encoder = new QpackEncoder({ maxBlockedStreams: limits.blockedStreams });
  encoder.setPeerLimits(limits);
  const decoder = new QpackDecoder({ ...limits, maxFieldSectionSize });
  const auditor = new Auditor(limits);
  sections.forEach((fields, streamId) => {
    const bytes = encoder.encode(streamId, fields);
    const instructions = encoder.takeEncoderStream();
    if (instructions !== undefined) {
      auditor.hearInstructions(instructions);
      decoder.handleEncoderStream(instructions);
    }
    auditor.hearSection(streamId, bytes);
    assert.deepEqual(decoder.decode(streamId, bytes), { type: "fields", fields });
    const answers = decoder.takeDecoderStream();
    if (acknowledged && answers !== undefined) {
      auditor.hearAnswers(answers);
      encoder.handleDecoderStream(answers);
    }
  });
}

/** All encoded files, at whatever depth. */
function filesUnder(
  folder: string,
): (NonNullable<ReturnType<typeof parseEncodedFileName>> & { path: string })[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .flatMap((name) => {
      const parsed = parseEncodedFileName(basename(name));
      return parsed === undefined ? [] : [{ ...parsed, path: join(folder, name) }];
    });
}
