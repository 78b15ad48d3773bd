// The two file formats of the QPACK offline interop: QIF, lists of fields as text, and what an encoder made of one.

import { readFileSync } from "node:fs";
import { ByteReader } from "../../src/base/byte-reader.ts";
import { ByteWriter } from "../../src/base/byte-writer.ts";
import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";

/** Reads a QIF file: a field to a line, name TAB value; an empty line ends a list; `#` begins a comment. */
export function readQif(path: string): FieldSection[] {
  const lists: Field[][] = [];
  let list: Field[] = [];
  for (const line of [...readFileSync(path, "latin1").split("\n"), ""]) {
    if (line.startsWith("#")) {
      continue;
    }
    if (line !== "") {
      const tab = line.indexOf("\t");
      list.push([line.slice(0, tab), line.slice(tab + 1)]);
    } else if (list.length > 0) {
      lists.push(list);
      list = [];
    }
  }
  return lists;
}

/** A piece of an encoded file. Stream 0 stands for the encoder stream, the others carry one section each. */
export interface EncodedBlock {
  readonly streamId: number;
  readonly bytes: Uint8Array;
}

/** Reads an encoded file: stream id (8 bytes), length (4 bytes), bytes, and again. */
export function readEncoded(path: string): EncodedBlock[] {
  const reader = new ByteReader(readFileSync(path));
  const blocks: EncodedBlock[] = [];
  while (reader.remaining > 0) {
    const streamId = Number(reader.u64());
    blocks.push({ streamId, bytes: reader.bytes(reader.u32()) });
  }
  return blocks;
}

/** The bytes of an encoded file. */
export function writeEncoded(blocks: readonly EncodedBlock[]): Uint8Array {
  const writer = new ByteWriter();
  for (const { streamId, bytes } of blocks) {
    writer.u64(BigInt(streamId)).u32(bytes.length).bytes(bytes);
  }
  return writer.finish();
}

/** What the name of an encoded file says: `LIST.out.TABLE.BLOCKED.ACK`, or `LIST.out` for the examples of the RFC. */
export interface EncodedFileName {
  readonly list: string;
  readonly maxTableCapacity: number;
  readonly blockedStreams: number;
}

/** Takes the name of an encoded file apart; undefined when it is none. */
export function parseEncodedFileName(name: string): EncodedFileName | undefined {
  const match = /^(.+)\.out(?:\.(\d+)\.(\d+)\.[01])?$/.exec(name);
  if (match?.[1] === undefined) {
    return undefined;
  }
  const [, list, capacity = "4096", blocked = "100"] = match;
  return { list, maxTableCapacity: Number(capacity), blockedStreams: Number(blocked) };
}
