import { readFileSync } from "node:fs";

let compiled: WebAssembly.Module | undefined;

/** The core as a module, compiled once per process (tens of milliseconds) and shared by all endpoints. */
export function wasmModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL("./quic-core.wasm", import.meta.url)));
  return compiled;
}
