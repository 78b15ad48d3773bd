import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { DiscoveryError } from "./discovery-error.ts";

// Names of RFC 1035 §3.1 as text: labels with dots between them, none at the end. A dot or backslash within a label has a
// backslash before it, and bytes that are no printable ASCII are written \ddd in decimal (§5.1), so that two names are
// equal exactly if their texts are.

/** Bytes of a name on the wire, lengths and the root included (RFC 1035 §2.3.4). */
const maxNameBytes = 255;
const maxLabelBytes = 63;
/** Pointers that are followed for one name: labels can be behind half of its bytes at most. */
const maxPointers = 127;

/**
 * Reads a name that begins where `reader` is, following pointers within `message`, each to before the last one (RFC 1035
 * §4.1.4): there is no way round in circles. Throws DiscoveryError `invalid-record` and UnexpectedEndError.
 */
export function readDnsName(message: Uint8Array, reader: ByteReader): string {
  const labels: string[] = [];
  let length = 1;
  let from = reader.offset;
  let current = reader;
  for (let pointers = 0; ; ) {
    const first = current.u8();
    if (first === 0) {
      return labels.join(".");
    }
    if (first < 0x40) {
      length += 1 + first;
      if (length > maxNameBytes) {
        throw invalid(`more than ${maxNameBytes} bytes`);
      }
      labels.push(labelText(current.bytes(first)));
      continue;
    }
    if (first < 0xc0) {
      throw invalid(`a label of type ${first >> 6}`);
    }
    const target = (first & 0x3f) * 0x100 + current.u8();
    pointers += 1;
    if (target >= from || pointers > maxPointers) {
      throw invalid("a pointer that does not lead back");
    }
    from = target;
    current = new ByteReader(message, target);
  }
}

/** Writes the names of one message, later ones as pointers to what they share with earlier ones (RFC 1035 §4.1.4). */
export class DnsNameEncoder {
  /** Where a name or the end of one has been written. */
  readonly #offsets = new Map<string, number>();

  /**
   * @param offset where in the message the bytes will stand
   * @throws DiscoveryError `too-large`
   */
  encode(name: string, offset: number, options?: { readonly compress: boolean }): Uint8Array {
    const writer = new ByteWriter();
    let length = 1;
    for (let rest = name; rest !== ""; ) {
      const known = this.#offsets.get(rest);
      if (known !== undefined && options?.compress !== false) {
        return writer.u16(0xc000 | known).finish();
      }
      // A pointer has 14 bits.
      if (known === undefined && offset + writer.length < 0x4000) {
        this.#offsets.set(rest, offset + writer.length);
      }
      const [text, after] = splitFirst(rest);
      const label = labelBytes(text);
      length += 1 + label.length;
      if (label.length === 0 || label.length > maxLabelBytes || length > maxNameBytes) {
        throw new DiscoveryError(
          "too-large",
          `cannot write a DNS name: ${JSON.stringify(name.slice(0, 80))} has a label that is empty or longer than ${maxLabelBytes} bytes, or more than ${maxNameBytes} bytes in all`,
        );
      }
      writer.u8(label.length).bytes(label);
      rest = after;
    }
    return writer.u8(0).finish();
  }
}

/** The text of one label, to be joined to others with dots. */
export function labelText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === dot || byte === backslash) {
      text += `\\${String.fromCharCode(byte)}`;
    } else {
      text +=
        byte > 0x20 && byte < 0x7f
          ? String.fromCharCode(byte)
          : `\\${String(byte).padStart(3, "0")}`;
    }
  }
  return text;
}

function labelBytes(text: string): Uint8Array {
  const plain = text.replaceAll(/\\([0-9]{3}|.)/g, (_, escaped: string) =>
    escaped.length === 3 ? String.fromCharCode(Number(escaped) & 0xff) : escaped,
  );
  return Uint8Array.from(plain, (char) => char.charCodeAt(0));
}

/** The first label and what comes after its dot. */
function splitFirst(name: string): readonly [label: string, rest: string] {
  const [label = ""] = /^(?:[^.\\]|\\.)*/.exec(name) ?? [];
  return [label, name.slice(label.length + 1)];
}

const dot = 0x2e;
const backslash = 0x5c;

function invalid(problem: string): DiscoveryError {
  return new DiscoveryError("invalid-record", `invalid DNS message: a name with ${problem}`);
}
