// What we use of WebAssembly: TypeScript declares it only together with the whole of a browser.

declare namespace WebAssembly {
  type Module = object;
  type Imports = Record<string, Record<string, (...values: number[]) => number | undefined>>;
  type Exports = Record<string, unknown>;

  interface Memory {
    readonly buffer: ArrayBuffer;
  }

  interface Instance {
    readonly exports: Exports;
  }

  var Module: new (bytes: Uint8Array) => Module;
  var Instance: new (module: Module, imports: Imports) => Instance;
}
