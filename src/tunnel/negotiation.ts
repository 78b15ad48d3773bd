// What the two ends of a tunnel tell each other in the headers of the call that opens it.

/** 0: no settings, no flow control. 1: both. */
export type Revision = 0 | 1;

/** Said by both sides: the tunnel server's first frame is its settings. */
const negotiateName = "grpctunnel-negotiate";
const negotiateValue = "on";

/**
 * Ours alone, and said by both sides: values of metadata whose names end with `-bin` are in base64, as in HTTP. Without it
 * they are the bytes themselves in a string, so that only those can be carried that are UTF-8.
 */
const binaryName = "connect-quic-tunnel-binary";
const binaryValue = "base64";

/** How the values of `-bin` metadata look in frames. */
export type BinaryEncoding = "utf8" | "base64";

/** Adds what this side knows to the headers of the opening call or its response. */
export function announce(header: Headers): void {
  header.set(negotiateName, negotiateValue);
  header.set(binaryName, binaryValue);
}

/** What the other side has announced. */
export interface Announced {
  readonly settings: boolean;
  readonly binary: BinaryEncoding;
}

export function readAnnouncement(header: Headers): Announced {
  return {
    settings: header.get(negotiateName) === negotiateValue,
    binary: header.get(binaryName) === binaryValue ? "base64" : "utf8",
  };
}

/** The newest of `offered` that is among `known`; undefined when there is none. An empty offer is revision zero. */
export function chooseRevision(
  offered: readonly number[],
  known: readonly Revision[],
): Revision | undefined {
  const common = known.filter((revision) =>
    offered.length === 0 ? revision === 0 : offered.includes(revision),
  );
  return common.length === 0 ? undefined : common.reduce((a, b) => (b > a ? b : a));
}

export function knownRevisions(options: { readonly flowControl: boolean }): readonly Revision[] {
  return options.flowControl ? [0, 1] : [0];
}
