// A set of peers as one number, so that thousands of watchers can be asked whether they know the right one.

import { createHash } from "node:crypto";

/** Sums are kept below this, where numbers are exact. */
const modulus = 2 ** 48;

/** A peer and its last change. */
export function entrySum(id: string, change: number): number {
  return createHash("sha256").update(`${id} ${change}`).digest().readUIntBE(0, 6);
}

export function sumOf(entries: readonly number[]): number {
  return entries.reduce(addSum, 0);
}

export function addSum(sum: number, entry: number): number {
  return (sum + entry) % modulus;
}

export function subtractSum(sum: number, entry: number): number {
  return (sum - entry + modulus) % modulus;
}
