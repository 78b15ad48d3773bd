// Programs in plain JavaScript hand over anything: options are checked before they are used.

/** Throws TypeError. */
export function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.some((text) => text === value)) {
    throw new TypeError(
      `option ${name}: expected one of ${allowed.join(", ")}, found ${show(value)}`,
    );
  }
}

/** Throws TypeError for what is no whole number, and RangeError outside of the limits. Undefined passes. */
export function inRange(name: string, value: unknown, least: number, most: number): void {
  if (value === undefined) {
    return;
  }
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`option ${name}: expected a whole number, found ${show(value)}`);
  }
  if (value < least || value > most) {
    throw new RangeError(`option ${name}: expected ${least} to ${most}, found ${value}`);
  }
}

/** Throws TypeError. Undefined passes. */
export function isList(name: string, value: unknown): void {
  if (value !== undefined && !Array.isArray(value)) {
    throw new TypeError(`option ${name}: expected an array, found ${show(value)}`);
  }
}

/** Throws TypeError. Undefined passes. */
export function isFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`option ${name}: expected a function, found ${show(value)}`);
  }
}

/** Throws TypeError. Undefined passes. */
export function isBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`option ${name}: expected true or false, found ${show(value)}`);
  }
}

/** What a timer can count: 24 days. Milliseconds. */
export const longestTimerMs: number = 2 ** 31 - 1;

/** What Protobuf and zlib can handle. Bytes. */
export const largestMessageBytes = 0xffff_ffff;

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
