/** The protocol of Connect RPC between peers: HTTP/3 on a connection whose both ends are proven by their keys. */
export const connectQuicAlpn = "connect-quic/1";

/** Plain HTTP/3 (RFC 9114 §3.1). */
export const h3Alpn = "h3";
