import type { Protocol } from "./subject.ts";

/** The name of the compression that a header announces; undefined: none. */
export function encodingOf(
  protocol: Protocol,
  kind: "unary" | "stream",
  header: Headers | undefined,
): string | undefined {
  const name =
    protocol !== "connect"
      ? "grpc-encoding"
      : kind === "unary"
        ? "content-encoding"
        : "connect-content-encoding";
  const value = header?.get(name) ?? "identity";
  return value === "identity" ? undefined : value;
}

/** Fields that a handler has seen, as headers. */
export function headersOf(
  fields: readonly { readonly name: string; readonly value: string }[] = [],
): Headers {
  return new Headers(fields.map(({ name, value }): [string, string] => [name, value]));
}
