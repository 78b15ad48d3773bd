// DNS messages (RFC 1035 §4): what pkarr signs and what local discovery sends. Written here because the packages for it
// write no compressed names, without which half as many addresses fit a pkarr record, join labels so that one with a dot
// in it looks like two, and hide parts of the class, which iroh's local discovery looks at.

import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { concatBytes } from "../base/bytes.ts";
import { hostFromBytes, hostToBytes } from "../base/socket-address.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { DnsNameEncoder, readDnsName } from "./dns-name.ts";

/** Numbers of RFC 1035 §3.2.2, RFC 3596 and RFC 2782. */
export const dnsType = { a: 1, ptr: 12, txt: 16, aaaa: 28, srv: 33 } as const;
/** The Internet: the only class. Multicast DNS puts a flag into its highest bit (RFC 6762 §10.2). */
export const dnsClassIn = 1;
/** An answer with authority: QR and AA. */
export const dnsAnswerFlags = 0x8400;

export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** What a record says, by type; of other types only the number is kept. */
export type DnsData =
  | { readonly type: "A" | "AAAA"; readonly host: string }
  | { readonly type: "PTR"; readonly name: string }
  | { readonly type: "TXT"; readonly strings: readonly Uint8Array[] }
  | { readonly type: "SRV"; readonly port: number; readonly target: string }
  | { readonly type: "other"; readonly number: number };

export interface DnsRecord {
  /** Labels with dots between them, none at the end; see `dns-name.ts` for other characters. */
  readonly name: string;
  /** All 16 bits. */
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
  readonly data: DnsData;
}

export interface DnsMessage {
  /** The second 16 bits of the header. */
  readonly flags: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/**
 * Reads a message; its id, the records of authorities and bytes behind the last record are passed over. Throws
 * DiscoveryError `invalid-record`.
 */
export function decodeDnsMessage(bytes: Uint8Array): DnsMessage {
  try {
    const reader = new ByteReader(bytes);
    reader.u16();
    const flags = reader.u16();
    const [questions = 0, answers = 0, authorities = 0, additionals = 0] = Array.from(
      { length: 4 },
      () => reader.u16(),
    );
    // A count is only believed as far as the bytes go: each record takes some.
    const many = <T>(count: number, read: (bytes: Uint8Array, reader: ByteReader) => T): T[] => {
      const list: T[] = [];
      for (let index = 0; index < count; index += 1) {
        list.push(read(bytes, reader));
      }
      return list;
    };
    const message = {
      flags,
      questions: many(questions, readQuestion),
      answers: many(answers, readRecord),
    };
    many(authorities, readRecord);
    return { ...message, additionals: many(additionals, readRecord) };
  } catch (error) {
    if (error instanceof UnexpectedEndError) {
      throw invalid(`${bytes.length} bytes, but it goes on`, error);
    }
    throw error;
  }
}

/**
 * Writes a message with id 0 and names compressed. Throws DiscoveryError `too-large` for a character string of more than
 * 255 bytes, a label of more than 63, or a name of more than 255.
 */
export function encodeDnsMessage(message: DnsMessage): Uint8Array {
  const { flags, questions, answers, additionals } = message;
  const writer = new ByteWriter(512);
  const names = new DnsNameEncoder();
  writer.u16(0).u16(flags);
  writer.u16(questions.length).u16(answers.length).u16(0).u16(additionals.length);
  for (const { name, type, class: klass } of questions) {
    writer.bytes(names.encode(name, writer.length)).u16(type).u16(klass);
  }
  for (const { name, class: klass, ttl, data } of [...answers, ...additionals]) {
    writer.bytes(names.encode(name, writer.length)).u16(numberOf(data)).u16(klass).u32(ttl);
    const bytes = encodeData(data, names, writer.length + 2);
    writer.u16(bytes.length).bytes(bytes);
  }
  return writer.finish();
}

/** The text of a TXT record, whose character strings are parts of one; none where it is not UTF-8. */
export function txtText(strings: readonly Uint8Array[]): string[] {
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return [decoder.decode(concatBytes(strings))];
  } catch {
    return [];
  }
}

function readQuestion(bytes: Uint8Array, reader: ByteReader): DnsQuestion {
  return { name: readDnsName(bytes, reader), type: reader.u16(), class: reader.u16() };
}

function readRecord(bytes: Uint8Array, reader: ByteReader): DnsRecord {
  const name = readDnsName(bytes, reader);
  const type = reader.u16();
  const klass = reader.u16();
  const ttl = reader.u32();
  const length = reader.u16();
  const start = reader.offset;
  reader.bytes(length);
  const within = new ByteReader(bytes.subarray(0, start + length), start);
  return { name, class: klass, ttl, data: readData(bytes, type, within) };
}

function readData(bytes: Uint8Array, type: number, reader: ByteReader): DnsData {
  switch (type) {
    case dnsType.a:
      return { type: "A", host: readHost(reader, 4) };
    case dnsType.aaaa:
      return { type: "AAAA", host: readHost(reader, 16) };
    case dnsType.ptr:
      return { type: "PTR", name: readDnsName(bytes, reader) };
    case dnsType.txt: {
      const strings: Uint8Array[] = [];
      while (reader.remaining > 0) {
        strings.push(reader.bytes(reader.u8()));
      }
      return { type: "TXT", strings };
    }
    case dnsType.srv:
      // Priority and weight mean nothing to us.
      reader.u32();
      return { type: "SRV", port: reader.u16(), target: readDnsName(bytes, reader) };
    default:
      return { type: "other", number: type };
  }
}

function readHost(reader: ByteReader, length: number): string {
  if (reader.remaining !== length) {
    throw invalid(`an address of ${reader.remaining} bytes, expected ${length}`);
  }
  return hostFromBytes(reader.bytes(length));
}

/** @param offset where in the message the bytes will stand */
function encodeData(data: DnsData, names: DnsNameEncoder, offset: number): Uint8Array {
  switch (data.type) {
    case "A":
    case "AAAA":
      return hostToBytes(data.host);
    case "PTR":
      return names.encode(data.name, offset);
    case "TXT":
      return concatBytes(data.strings.flatMap((string) => [lengthByte(string), string]));
    case "SRV": {
      const fixed = new ByteWriter(6).u32(0).u16(data.port).finish();
      // RFC 2782: the target is not to be compressed.
      const target = names.encode(data.target, offset + fixed.length, { compress: false });
      return concatBytes([fixed, target]);
    }
    case "other":
      return new Uint8Array(0);
  }
}

function lengthByte(string: Uint8Array): Uint8Array {
  if (string.length > 255) {
    throw new DiscoveryError(
      "too-large",
      `cannot write a DNS record: a string of ${string.length} bytes, at most 255 fit`,
    );
  }
  return Uint8Array.of(string.length);
}

function numberOf(data: DnsData): number {
  switch (data.type) {
    case "A":
      return dnsType.a;
    case "AAAA":
      return dnsType.aaaa;
    case "PTR":
      return dnsType.ptr;
    case "TXT":
      return dnsType.txt;
    case "SRV":
      return dnsType.srv;
    case "other":
      return data.number;
  }
}

function invalid(problem: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("invalid-record", `invalid DNS message: ${problem}`, { cause });
}
