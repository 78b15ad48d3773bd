// The binary format of messages, as protobuf-es's `toBinary` writes it, in memory of the caller. That takes a third of the
// time: `toBinary` allocates for each message, by way of objects that stand for it and its lists.

import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { getTextEncoding } from "@bufbuild/protobuf/wire";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";

/** Encodes messages of one type, those that are as the types say. */
export class MessageEncoder {
  readonly #typeName: string;
  readonly #fields: readonly FieldEncoder[];

  /**
   * Undefined for messages with something that is rare (maps, groups, the well-known types that look different in
   * JavaScript), also in a message inside of them.
   */
  static of(desc: DescMessage): MessageEncoder | undefined {
    let encoder = encoders.get(desc);
    if (encoder === undefined && !encoders.has(desc)) {
      encoder = isPlain(desc, new Set()) ? new MessageEncoder(desc) : undefined;
      encoders.set(desc, encoder);
    }
    return encoder;
  }

  private constructor(desc: DescMessage) {
    this.#typeName = desc.typeName;
    this.#fields = [...desc.fields].sort((a, b) => a.number - b.number).map(fieldEncoder);
  }

  /**
   * Writes `message` to `out`. False when only `toBinary` can tell what comes of it: values are not what they should be, there
   * are unknown fields, or there is no room. Then something may have been written.
   */
  encode(message: Message, out: FixedWriter): boolean {
    if (message.$typeName !== this.#typeName || (message.$unknown?.length ?? 0) > 0) {
      return false;
    }
    for (const encodeField of this.#fields) {
      if (!encodeField(message, out)) {
        return false;
      }
    }
    return true;
  }
}

const encoders = new WeakMap<DescMessage, MessageEncoder | undefined>();

/** As protobuf-es makes them; fields by name. */
type Message = Readonly<Record<string, unknown>> & {
  readonly $typeName?: string;
  readonly $unknown?: readonly unknown[];
};
/** False when it cannot. */
type FieldEncoder = (message: Message, out: FixedWriter) => boolean;
type ValueEncoder = (value: unknown, out: FixedWriter) => boolean;

function isPlain(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(desc)) {
    return true;
  }
  seen.add(desc);
  return desc.fields.every((field) => {
    if (field.fieldKind === "map" || field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED) {
      return false;
    }
    const { message } = field;
    return (
      message === undefined ||
      (!field.delimitedEncoding &&
        !message.typeName.startsWith("google.protobuf.") &&
        isPlain(message, seen))
    );
  });
}

function fieldEncoder(field: DescField): FieldEncoder {
  const { localName, oneof } = field;
  const encode = field.fieldKind === "list" ? listEncoder(field) : taggedEncoder(field);
  if (oneof !== undefined) {
    return (message, out) => {
      const chosen = message[oneof.localName] as { case?: string; value?: unknown } | undefined;
      return chosen?.case === localName ? encode(chosen.value, out) : chosen !== undefined;
    };
  }
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) {
    // Defaults stand on the prototype.
    return (message, out) => {
      const value = message[localName];
      return value === undefined || !Object.hasOwn(message, localName) || encode(value, out);
    };
  }
  if (field.fieldKind === "list") {
    return (message, out) => encode(message[localName], out);
  }
  const isZero = zeroOf(field);
  return (message, out) => {
    const value = message[localName];
    return isZero(value) || encode(value, out);
  };
}

/** Whether a field has the value that it has when it is not sent. */
function zeroOf(field: DescField): (value: unknown) => boolean {
  if (field.fieldKind === "enum") {
    const zero = field.enum.values[0]?.number;
    return (value) => value === zero;
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      return (value) => value === "";
    case ScalarType.BOOL:
      return (value) => value === false;
    case ScalarType.BYTES:
      return (value) => value instanceof Uint8Array && value.length === 0;
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      // -0 is sent.
      return (value) => Object.is(value, 0);
    default:
      return (value) => value === 0 || value === 0n;
  }
}

function listEncoder(field: DescField & { fieldKind: "list" }): ValueEncoder {
  const encode = taggedEncoder(field);
  if (!field.packed) {
    return (values, out) => Array.isArray(values) && values.every((value) => encode(value, out));
  }
  const tag = tagOf(field.number, lengthDelimited);
  const encodeValue = scalarEncoder(field.scalar ?? ScalarType.INT32);
  return (values, out) =>
    Array.isArray(values) &&
    (values.length === 0 ||
      (out.varint(tag) &&
        out.counted(() => values.every((value: unknown) => encodeValue(value, out)))));
}

/** A value behind its tag. */
function taggedEncoder(field: DescField): ValueEncoder {
  const { message } = field;
  if (message !== undefined) {
    const tag = tagOf(field.number, lengthDelimited);
    return (value, out) =>
      typeof value === "object" &&
      value !== null &&
      out.varint(tag) &&
      out.counted(() => MessageEncoder.of(message)?.encode(value as Message, out) ?? false);
  }
  const type = field.fieldKind === "map" ? undefined : field.scalar;
  const tag = tagOf(field.number, wireTypeOf(type ?? ScalarType.INT32));
  const encode = scalarEncoder(type ?? ScalarType.INT32);
  return (value, out) => out.varint(tag) && encode(value, out);
}

function scalarEncoder(type: ScalarType): ValueEncoder {
  switch (type) {
    case ScalarType.BOOL:
      return (value, out) => typeof value === "boolean" && out.varint(value ? 1 : 0);
    case ScalarType.INT32:
      return (value, out) => isInt32(value) && out.int(value);
    case ScalarType.UINT32:
      return (value, out) => isUint32(value) && out.varint(value);
    case ScalarType.SINT32:
      return (value, out) => isInt32(value) && out.varint(((value << 1) ^ (value >> 31)) >>> 0);
    case ScalarType.FIXED32:
      return (value, out) => isUint32(value) && out.fixed32(value);
    case ScalarType.SFIXED32:
      return (value, out) => isInt32(value) && out.fixed32(value);
    case ScalarType.FLOAT:
      return (value, out) =>
        typeof value === "number" && Math.abs(value) <= float32Max && out.float(value);
    case ScalarType.DOUBLE:
      return (value, out) => typeof value === "number" && out.double(value);
    case ScalarType.INT64:
      return (value, out) => isInt64(value) && out.varint64(BigInt.asUintN(64, value));
    case ScalarType.UINT64:
      return (value, out) => isUint64(value) && out.varint64(value);
    case ScalarType.SINT64:
      return (value, out) =>
        isInt64(value) && out.varint64(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
    case ScalarType.FIXED64:
      return (value, out) => isUint64(value) && out.fixed64(value);
    case ScalarType.SFIXED64:
      return (value, out) => isInt64(value) && out.fixed64(BigInt.asUintN(64, value));
    case ScalarType.STRING:
      return (value, out) => typeof value === "string" && out.text(value);
    case ScalarType.BYTES:
      return (value, out) =>
        value instanceof Uint8Array && out.varint(value.length) && out.bytes(value);
  }
}

/** Writes to a fixed amount of memory. What does not fit is not written, and the answer is false. */
export class FixedWriter {
  readonly memory: Uint8Array;
  /** Where the next byte goes. */
  at = 0;
  readonly #view: DataView;

  constructor(capacity: number) {
    this.memory = new Uint8Array(capacity);
    this.#view = new DataView(this.memory.buffer);
  }

  /** @param value below 2^32 */
  varint(value: number): boolean {
    if (!this.#fits(5)) {
      return false;
    }
    const { memory } = this;
    let rest = value;
    while (rest > 0x7f) {
      memory[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    memory[this.at++] = rest;
    return true;
  }

  /** @param value of 32 bits; the negative ones take 64 */
  int(value: number): boolean {
    return value >= 0 ? this.varint(value) : this.varint64(BigInt.asUintN(64, BigInt(value)));
  }

  varint64(value: bigint): boolean {
    if (!this.#fits(10)) {
      return false;
    }
    let rest = value;
    while (rest > 0x7fn) {
      this.memory[this.at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.memory[this.at++] = Number(rest);
    return true;
  }

  /** @param value of 32 bits, with or without a sign */
  fixed32(value: number): boolean {
    if (this.#fits(4)) {
      this.#view.setUint32(this.at, value, true);
      this.at += 4;
      return true;
    }
    return false;
  }

  float(value: number): boolean {
    if (this.#fits(4)) {
      this.#view.setFloat32(this.at, value, true);
      this.at += 4;
      return true;
    }
    return false;
  }

  double(value: number): boolean {
    if (this.#fits(8)) {
      this.#view.setFloat64(this.at, value, true);
      this.at += 8;
      return true;
    }
    return false;
  }

  fixed64(value: bigint): boolean {
    if (this.#fits(8)) {
      this.#view.setBigUint64(this.at, value, true);
      this.at += 8;
      return true;
    }
    return false;
  }

  bytes(bytes: Uint8Array): boolean {
    if (!this.#fits(bytes.length)) {
      return false;
    }
    this.memory.set(bytes, this.at);
    this.at += bytes.length;
    return true;
  }

  /** In UTF-8, behind its length. */
  text(text: string): boolean {
    const { length } = text;
    if (length > longestPlainText || !this.#fits(length + 1)) {
      return this.#encodedText(text);
    }
    const { memory, at } = this;
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        return this.#encodedText(text);
      }
      memory[at + 1 + index] = code;
    }
    memory[at] = length;
    this.at = at + 1 + length;
    return true;
  }

  /** What `write` writes, behind its length. */
  counted(write: () => boolean): boolean {
    const start = this.at + 1;
    // Most lengths have one byte; else what was written moves.
    if (!this.#fits(1)) {
      return false;
    }
    this.at = start;
    if (!write()) {
      return false;
    }
    const length = this.at - start;
    const lengthBytes = varintBytes(length);
    if (!this.#fits(lengthBytes - 1)) {
      return false;
    }
    if (lengthBytes > 1) {
      this.memory.copyWithin(start + lengthBytes - 1, start, this.at);
    }
    this.at = start - 1;
    if (!this.varint(length)) {
      return false;
    }
    this.at += length;
    return true;
  }

  #encodedText(text: string): boolean {
    const encoded = getTextEncoding().encodeUtf8(text);
    return this.varint(encoded.length) && this.bytes(encoded);
  }

  #fits(bytes: number): boolean {
    return this.at + bytes <= this.memory.length;
  }
}

/** Copied character by character; the length of what is longer has two bytes. */
const longestPlainText = 127;
const float32Max = 3.4028234663852886e38;
const lengthDelimited = 2;

function tagOf(number: number, wireType: number): number {
  return ((number << 3) | wireType) >>> 0;
}

function wireTypeOf(type: ScalarType): number {
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return lengthDelimited;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 1;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 5;
    default:
      return 0;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) {
    bytes += 1;
  }
  return bytes;
}

function isInt32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}

function isUint32(value: unknown): value is number {
  return typeof value === "number" && value >>> 0 === value;
}

function isInt64(value: unknown): value is bigint {
  return typeof value === "bigint" && BigInt.asIntN(64, value) === value;
}

function isUint64(value: unknown): value is bigint {
  return typeof value === "bigint" && BigInt.asUintN(64, value) === value;
}
