// What QPACK costs for each call: ns to encode and decode the field sections of a Connect call, encoder and decoder joined
// and settled. Prints medians of batches of calls.
//
//   node --import tsx bench/qpack.ts [batches]

import type { FieldSection } from "../src/http3/qpack/field.ts";
import { QpackDecoder } from "../src/http3/qpack/qpack-decoder.ts";
import { QpackEncoder } from "../src/http3/qpack/qpack-encoder.ts";

const request: FieldSection = [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6"],
  [":path", "/connectrpc.eliza.v1.ElizaService/Say"],
  ["content-type", "application/proto"],
  ["connect-protocol-version", "1"],
  ["user-agent", "connect-es/2.1.2"],
  ["accept-encoding", "gzip,br"],
  ["x-tenant", "blue"],
  ["content-length", "107"],
];

const response: FieldSection = [
  [":status", "200"],
  ["content-type", "application/proto"],
  ["content-length", "107"],
  ["date", "Thu, 20 Nov 2025 23:21:00 GMT"],
];

/** Calls that are under way together: reading the clock for each would cost as much as what is measured. */
const batch = 32;
const batches = Number(process.argv[2] ?? 4_000);
const warmUpBatches = 500;

interface Case {
  readonly name: string;
  readonly maxTableCapacity: number;
  /** The section of a call. */
  readonly section: (streamId: number) => FieldSection;
}

const cases: readonly Case[] = [
  ...shapes("request", request),
  ...shapes("response", response),
  {
    name: "request with another timeout each, table",
    maxTableCapacity: 4096,
    section: (streamId) => [...request, ["connect-timeout-ms", String(10_000 + streamId)]],
  },
];

function shapes(name: string, fields: FieldSection): Case[] {
  const frozen = Object.freeze([...fields]);
  return [
    { name: `${name}, table, frozen`, maxTableCapacity: 4096, section: () => frozen },
    { name: `${name}, table`, maxTableCapacity: 4096, section: () => [...fields] },
    { name: `${name}, no table, frozen`, maxTableCapacity: 0, section: () => frozen },
    { name: `${name}, no table`, maxTableCapacity: 0, section: () => [...fields] },
  ];
}

interface Times {
  readonly encode: number[];
  readonly decode: number[];
  readonly acknowledge: number[];
}

/** Runs one case; returns the ns of each batch, and the bytes of the last section. */
function measure({ maxTableCapacity, section }: Case): { times: Times; bytes: number } {
  const encoder = new QpackEncoder();
  const decoder = new QpackDecoder({ maxTableCapacity });
  encoder.setPeerLimits({ maxTableCapacity, blockedStreams: 16 });
  const times: Times = { encode: [], decode: [], acknowledge: [] };
  let bytes = 0;
  for (let done = 0; done < warmUpBatches + batches; done++) {
    const streamIds = Array.from({ length: batch }, (_, index) => 4 * (done * batch + index));
    const sections = streamIds.map((streamId) => section(streamId));
    const encoded: Uint8Array[] = [];
    const start = process.hrtime.bigint();
    for (const [index, fields] of sections.entries()) {
      encoded.push(encoder.encode(streamIds[index] ?? 0, fields));
    }
    const encodedAt = process.hrtime.bigint();
    const instructions = encoder.takeEncoderStream();
    if (instructions !== undefined) {
      decoder.handleEncoderStream(instructions);
    }
    const decodeStart = process.hrtime.bigint();
    for (const [index, one] of encoded.entries()) {
      decoder.decode(streamIds[index] ?? 0, one);
    }
    const decodedAt = process.hrtime.bigint();
    const acknowledgments = decoder.takeDecoderStream();
    if (acknowledgments !== undefined) {
      encoder.handleDecoderStream(acknowledgments);
    }
    const acknowledgedAt = process.hrtime.bigint();
    if (done >= warmUpBatches) {
      times.encode.push(Number(encodedAt - start));
      times.decode.push(Number(decodedAt - decodeStart));
      times.acknowledge.push(Number(acknowledgedAt - decodedAt));
    }
    bytes = encoded.at(-1)?.length ?? 0;
  }
  return { times, bytes };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

console.log("ns per section".padEnd(44), " encode  decode     ack   bytes");
for (const one of cases) {
  const { times, bytes } = measure(one);
  const columns = [times.encode, times.decode, times.acknowledge].map((ns) => median(ns) / batch);
  console.log(
    one.name.padEnd(44),
    [...columns, bytes].map((value) => value.toFixed(0).padStart(7)).join(" "),
  );
}
