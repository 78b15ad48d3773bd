// The entry point `connect-quic/quiche`, apart from the main one because it loads a native module.

export { quiche } from "./engine/quiche/quiche.ts";
