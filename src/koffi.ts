// The entry point `connect-quic/koffi`, apart from the main one because it loads a native module.

export { batchedUdp } from "./net/batched-udp.ts";
