/** The protocol of Connect RPC between peers: HTTP/3 on a connection whose both ends are proven by their keys. */
export const connectQuicAlpn = "connect-quic/1";

/** Plain HTTP/3 (RFC 9114 §3.1). */
export const h3Alpn = "h3";

/**
 * The protocol of one service as the Rust crate tonic-iroh-transport has it: gRPC in HTTP/2 on a bidirectional stream. The
 * generated `<Service>Alpn` is the same.
 */
export function tonicIrohAlpn(serviceTypeName: string): string {
  return `/${serviceTypeName}/1.0`;
}
