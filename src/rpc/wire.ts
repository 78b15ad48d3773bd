import { connectQuicAlpn, tonicIrohAlpn } from "./alpn.ts";
import { isList, oneOf } from "./check-options.ts";

/**
 * What calls run on between peers. "connect-quic": HTTP/3, a QUIC stream for each call, one connection for all services.
 * "tonic-iroh": what the Rust crate tonic-iroh-transport speaks, gRPC alone, in HTTP/2 on one QUIC stream, with a connection
 * for each service.
 */
export type Wire = "connect-quic" | "tonic-iroh";

/** Throws TypeError or RangeError naming the option when there is no such wire. */
export function checkWires(name: string, wires: readonly Wire[]): void {
  isList(name, wires);
  if (wires.length === 0) {
    throw new RangeError(`option ${name}: expected at least one wire`);
  }
  for (const wire of wires) {
    oneOf(name, wire, ["connect-quic", "tonic-iroh"]);
  }
}

/** The protocol to dial for calls of a service on this wire. */
export function alpnOf(wire: Wire, serviceTypeName: string): string {
  return wire === "connect-quic" ? connectQuicAlpn : tonicIrohAlpn(serviceTypeName);
}
