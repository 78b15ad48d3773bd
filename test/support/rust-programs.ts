import { RustProgram } from "./rust-program.ts";

/** A peer with tonic-iroh-transport. */
export const tonicIrohPeer: RustProgram = new RustProgram(
  new URL("../interop/tonic-iroh/", import.meta.url),
  "tonic-iroh-peer",
);

/** A peer with iroh 1.0. */
export const firstIrohPeer: RustProgram = new RustProgram(
  new URL("../interop/iroh-1.0/", import.meta.url),
  "iroh-1-0-peer",
);

/** A peer with the current iroh. */
export const irohRustPeer: RustProgram = new RustProgram(
  new URL("../interop/iroh-rust/", import.meta.url),
  "iroh-peer",
);
