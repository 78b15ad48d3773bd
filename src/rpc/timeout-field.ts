// The time that a caller allows, as the protocols write it into the header section.

import type { FieldSection } from "./fields.ts";

/** Milliseconds that a request's header allows; undefined when it says nothing, or nothing that can be understood. */
export function parseTimeoutMs(header: Headers): number | undefined {
  const connect = /^([0-9]{1,10})$/.exec(header.get("connect-timeout-ms") ?? "")?.[1];
  if (connect !== undefined) {
    return Number(connect);
  }
  const [, value, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(header.get("grpc-timeout") ?? "") ?? [];
  const unitMs = unit === undefined ? undefined : grpcUnitsMs[unit];
  return value === undefined || unitMs === undefined ? undefined : Number(value) * unitMs;
}

/** A field that states a timeout, less the time that has passed already; other fields stay as they are. */
export function reduceTimeout(field: FieldSection[number], passedMs: number): FieldSection[number] {
  const [name, value] = field;
  // connect-es writes both of them in milliseconds.
  const milliseconds =
    name === "connect-timeout-ms"
      ? /^([0-9]+)$/.exec(value)?.[1]
      : name === "grpc-timeout"
        ? /^([0-9]+)m$/.exec(value)?.[1]
        : undefined;
  if (milliseconds === undefined) {
    return field;
  }
  const rest = Math.max(1, Number(milliseconds) - passedMs);
  return [name, name === "grpc-timeout" ? `${rest}m` : String(rest)];
}

const grpcUnitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
