import type { PeerKind } from "../peer/peer-process.ts";

/** What is at the two ends: `a` dials `b`. */
export interface Pairing {
  readonly a: PeerKind;
  readonly b: PeerKind;
}

/** The dialer stands first. */
export type PairName = "ours-ours" | "ours-iroh" | "iroh-ours" | "iroh-iroh";

export const pairs: Readonly<Record<PairName, Pairing>> = {
  "ours-ours": { a: "ours", b: "ours" },
  "ours-iroh": { a: "ours", b: "iroh" },
  "iroh-ours": { a: "iroh", b: "ours" },
  "iroh-iroh": { a: "iroh", b: "iroh" },
};

export const pairNames: readonly PairName[] = Object.keys(pairs) as PairName[];
