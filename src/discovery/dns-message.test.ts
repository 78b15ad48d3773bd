import assert from "node:assert/strict";
import { test } from "node:test";
import packet from "dns-packet";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { hostFromBytes } from "../base/socket-address.ts";
import { DiscoveryError } from "./discovery-error.ts";
import {
  type DnsData,
  type DnsMessage,
  type DnsRecord,
  decodeDnsMessage,
  dnsClassIn,
  encodeDnsMessage,
} from "./dns-message.ts";
import { labelText } from "./dns-name.ts";

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

const refuses = (bytes: Uint8Array, problem: RegExp): void => {
  assert.throws(
    () => decodeDnsMessage(bytes),
    (error) =>
      error instanceof DiscoveryError &&
      error.code === "invalid-record" &&
      problem.test(error.message),
  );
};

test("a message is as in the example of compression (RFC 1035 §4.1.4)", () => {
  const bytes = hex(
    "0000 8000 0000 0003 0000 0000" +
      "0146 03495349 0441525041 00 000c 0001 0000003c 0006 03464f4f c00c" +
      "c012 000c 0001 00000000 0002 c00e" +
      "00 000c 8001 ffffffff 0001 00",
  );
  const message = decodeDnsMessage(bytes);
  const ptr = (name: string, target: string, klass: number, ttl: number): DnsRecord => ({
    name,
    class: klass,
    ttl,
    data: { type: "PTR", name: target },
  });
  assert.deepEqual(message, {
    flags: 0x8000,
    questions: [],
    answers: [
      ptr("F.ISI.ARPA", "FOO.F.ISI.ARPA", 1, 60),
      ptr("ARPA", "ISI.ARPA", 1, 0),
      ptr("", "", 0x8001, 2 ** 32 - 1),
    ],
    additionals: [],
  });
});

const label = fc.uint8Array({ minLength: 1, maxLength: 20 }).map(labelText);
const name = fc
  .array(fc.oneof(fc.constantFrom("_iroh", "local", "a.b", "x"), label), { maxLength: 6 })
  .map((labels) => labels.map((text) => (text === "a.b" ? "a\\.b" : text)).join("."));
const host = (length: 4 | 16): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(hostFromBytes);
const data: fc.Arbitrary<DnsData> = fc.oneof(
  fc.record({ type: fc.constant("A" as const), host: host(4) }),
  fc.record({ type: fc.constant("AAAA" as const), host: host(16) }),
  fc.record({ type: fc.constant("PTR" as const), name }),
  fc.record({
    type: fc.constant("TXT" as const),
    strings: fc.array(fc.uint8Array({ maxLength: 255 }), { maxLength: 4 }),
  }),
  fc.record({ type: fc.constant("SRV" as const), port: fc.nat(0xffff), target: name }),
);
const record: fc.Arbitrary<DnsRecord> = fc.record({
  name,
  class: fc.nat(0xffff),
  ttl: fc.nat(0xffff_ffff),
  data,
});
const message: fc.Arbitrary<DnsMessage> = fc.record({
  flags: fc.nat(0xffff),
  questions: fc.array(fc.record({ name, type: fc.nat(0xffff), class: fc.nat(0xffff) }), {
    maxLength: 3,
  }),
  answers: fc.array(record, { maxLength: 6 }),
  additionals: fc.array(record, { maxLength: 4 }),
});

test("what is written is read", () => {
  fuzz(
    message,
    (value) => {
      assert.deepEqual(decodeDnsMessage(encodeDnsMessage(value)), structuredClone(value));
    },
    5_000,
  );
});

test("dns-packet reads what is written here, and we what it writes", () => {
  const plain = fc
    .array(fc.constantFrom("_iroh", "local", "x", "peer-1"), { minLength: 1, maxLength: 5 })
    .map((labels) => labels.join("."));
  const txt = fc.record({ name: plain, ttl: fc.nat(0xffff), text: fc.string({ maxLength: 60 }) });
  fuzz(
    fc.array(txt, { maxLength: 8 }),
    (records) => {
      const ours = encodeDnsMessage({
        flags: 0x8400,
        questions: [],
        answers: records.map(({ name: of, ttl, text }) => ({
          name: of,
          class: dnsClassIn,
          ttl,
          data: { type: "TXT", strings: [ascii(text)] },
        })),
        additionals: [],
      });
      const theirs = packet.decode(Buffer.from(ours));
      assert.deepEqual(
        (theirs.answers ?? []).map((answer) =>
          answer.type === "TXT" ? [answer.name, answer.ttl, String(answer.data)] : [],
        ),
        records.map(({ name: of, ttl, text }) => [of, ttl, text]),
      );
      const back = packet.encode({
        type: "response",
        answers: records.map(({ name: of, ttl, text }) => ({
          type: "TXT",
          name: of,
          ttl,
          data: text,
        })),
      });
      assert.deepEqual(decodeDnsMessage(back).answers, decodeDnsMessage(ours).answers);
    },
    2_000,
  );
});

test("names and records that are too large are not written", () => {
  const write = (answer: Partial<DnsRecord>): void => {
    const txt: DnsData = { type: "TXT", strings: [] };
    const whole = { name: "a", class: 1, ttl: 0, data: txt, ...answer };
    encodeDnsMessage({ flags: 0, questions: [], answers: [whole], additionals: [] });
  };
  write({ name: "a".repeat(63) });
  write({ name: Array(127).fill("a").join(".") });
  write({ data: { type: "TXT", strings: [new Uint8Array(255)] } });
  assert.throws(() => write({ name: "a".repeat(64) }), { code: "too-large" });
  assert.throws(() => write({ name: Array(128).fill("a").join(".") }), { code: "too-large" });
  assert.throws(() => write({ name: "a..b" }), { code: "too-large" });
  assert.throws(() => write({ data: { type: "TXT", strings: [new Uint8Array(256)] } }), {
    code: "too-large",
  });
});

test("a message is refused at every cut", () => {
  fuzz(
    message,
    (value) => {
      const bytes = encodeDnsMessage(value);
      for (let end = 0; end < bytes.length; end += 1) {
        assert.throws(() => decodeDnsMessage(bytes.subarray(0, end)), DiscoveryError);
      }
    },
    100,
  );
});

test("pointers that go round in circles or forward are refused (RFC 1035 §4.1.4)", () => {
  const header = "0000 0000 0001 0000 0000 0000";
  refuses(hex(`${header} c00c 0001 0001`), /does not lead back/);
  refuses(hex(`${header} 0161 c00c 0001 0001`), /does not lead back/);
  refuses(hex(`${header} c00e c00c 0001 0001`), /does not lead back/);
  refuses(hex(`${header} c0ff 0001 0001`), /does not lead back/);
  refuses(hex(`${header} 4161 00 0001 0001`), /label of type 1/);
  refuses(hex(`${header} 8161 00 0001 0001`), /label of type 2/);
});

test("names that are too long are refused, also where pointers make them so (RFC 1035 §2.3.4)", () => {
  const header = "0000 0000 0002 0000 0000 0000";
  const long = `3f${"61".repeat(63)}`.repeat(3);
  refuses(hex(`${header} ${long} 3f${"61".repeat(63)} 00 0001 0001`), /more than 255/);
  refuses(
    hex(`${header} ${long} 00 0001 0001 3f${"61".repeat(63)} c00c 0001 0001`),
    /more than 255/,
  );
});

test("a chain of pointers takes no long time to refuse", () => {
  // Each question is a pointer to the one before: only the first is a name.
  const count = 2_000;
  const questions = Array.from({ length: count }, (_, index) =>
    index === 0
      ? "00 0001 0001"
      : `${(0xc000 + (index === 1 ? 12 : 17 + (index - 2) * 6)).toString(16)} 0001 0001`,
  );
  refuses(
    hex(`0000 0000 ${count.toString(16).padStart(4, "0")} 0000 0000 0000 ${questions.join("")}`),
    /lead back/,
  );
});

test("counts that the bytes do not bear out are refused", () => {
  refuses(hex("0000 0000 ffff ffff ffff ffff"), /goes on/);
  refuses(hex(""), /goes on/);
  refuses(
    hex("0000 0000 0000 0001 0000 0000 00 0001 0001 00000000 0005 0102030405"),
    /5 bytes, expected 4/,
  );
  refuses(hex("0000 0000 0000 0001 0000 0000 00 0010 0001 00000000 0002 0541"), /goes on/);
});

test("whatever bytes come, they are read or refused", () => {
  const noise = fc.uint8Array({ maxLength: 200 });
  const bent = fc
    .tuple(message, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }))
    .map(([value, changes]) => {
      const bytes = new Uint8Array(encodeDnsMessage(value));
      for (const [at, byte] of changes) {
        bytes[at % bytes.length] = byte;
      }
      return bytes;
    });
  fuzz(
    fc.oneof(noise, bent),
    (bytes) => {
      try {
        decodeDnsMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof DiscoveryError, String(error));
      }
    },
    20_000,
  );
});
