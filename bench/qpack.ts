// What QPACK costs for each call: ns to encode and decode the field sections of a Connect call, encoder and decoder joined
// and settled. Prints the medians of several rounds.
//
//   node --import tsx bench/qpack.ts [rounds]

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

const callsPerRound = 20_000;
const rounds = Number(process.argv[2] ?? 15);

interface Case {
  readonly name: string;
  readonly maxTableCapacity: number;
  /** The section of the n-th call. */
  readonly section: (call: number) => FieldSection;
}

const cases: readonly Case[] = [
  ...shapes("request", request),
  ...shapes("response", response),
  {
    name: "request with another timeout each, table",
    maxTableCapacity: 4096,
    section: (call) => [...request, ["connect-timeout-ms", String(10_000 + call)]],
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

interface Figures {
  readonly encodeNs: number;
  readonly decodeNs: number;
  readonly acknowledgeNs: number;
  readonly bytes: number;
}

function measure({ maxTableCapacity, section }: Case): Figures {
  const encoder = new QpackEncoder();
  const decoder = new QpackDecoder({ maxTableCapacity });
  encoder.setPeerLimits({ maxTableCapacity, blockedStreams: 16 });
  let bytes = 0;
  const exchange = (from: number): Figures => {
    const encoded: Uint8Array[] = [];
    const sections = Array.from({ length: batch }, (_, index) => section(from + index));
    const start = process.hrtime.bigint();
    sections.forEach((fields, index) => {
      encoded.push(encoder.encode(4 * (from + index), fields));
    });
    const encodedAt = process.hrtime.bigint();
    const instructions = encoder.takeEncoderStream();
    if (instructions !== undefined) {
      decoder.handleEncoderStream(instructions);
    }
    const decodeStart = process.hrtime.bigint();
    encoded.forEach((section, index) => {
      decoder.decode(4 * (from + index), section);
    });
    const decodedAt = process.hrtime.bigint();
    const acknowledgments = decoder.takeDecoderStream();
    if (acknowledgments !== undefined) {
      encoder.handleDecoderStream(acknowledgments);
    }
    const acknowledgedAt = process.hrtime.bigint();
    bytes = encoded.at(-1)?.length ?? 0;
    return {
      encodeNs: Number(encodedAt - start),
      decodeNs: Number(decodedAt - decodeStart),
      acknowledgeNs: Number(acknowledgedAt - decodedAt),
      bytes,
    };
  };
  let call = 0;
  const totals = Array.from({ length: rounds + 1 }, () => {
    const total = { encodeNs: 0, decodeNs: 0, acknowledgeNs: 0 };
    for (let done = 0; done < callsPerRound; done += batch) {
      const part = exchange(call);
      call += batch;
      total.encodeNs += part.encodeNs;
      total.decodeNs += part.decodeNs;
      total.acknowledgeNs += part.acknowledgeNs;
    }
    return total;
  }).slice(1);
  return {
    encodeNs: median(totals.map((total) => total.encodeNs)) / callsPerRound,
    decodeNs: median(totals.map((total) => total.decodeNs)) / callsPerRound,
    acknowledgeNs: median(totals.map((total) => total.acknowledgeNs)) / callsPerRound,
    bytes,
  };
}

/** Calls that are under way together: reading the clock for each would cost as much as what is measured. */
const batch = 32;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

console.log("ns per section".padEnd(44), " encode  decode     ack   bytes");
for (const one of cases) {
  const { encodeNs, decodeNs, acknowledgeNs, bytes } = measure(one);
  const columns = [encodeNs, decodeNs, acknowledgeNs, bytes];
  console.log(one.name.padEnd(44), columns.map((value) => value.toFixed(0).padStart(7)).join(" "));
}
