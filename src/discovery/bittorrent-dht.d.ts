// What we use of the package bittorrent-dht, which comes without types. Its values are `Buffer`s.

declare module "bittorrent-dht" {
  /** What it uses of node:dgram's socket. */
  export interface DhtSocket {
    on(
      event: "message",
      listener: (bytes: Buffer, from: { address: string; port: number }) => void,
    ): unknown;
    on(event: "error", listener: (error: Error) => void): unknown;
    on(event: "listening" | "close", listener: () => void): unknown;
    send(bytes: Buffer, offset: number, length: number, port: number, host: string): void;
    address(): { address: string; port: number };
    close(): void;
  }

  export interface DhtOptions {
    readonly bootstrap: readonly { readonly host: string; readonly port: number }[];
    readonly socket: DhtSocket;
  }

  export interface PutOptions {
    readonly k: Buffer;
    /** Less than 1000 bytes. */
    readonly v: Buffer;
    readonly seq: number;
    readonly sig: Buffer;
  }

  export interface GetOptions {
    /** Also called for other keys than the one that is looked for, with whatever a node has sent. */
    readonly verify: (signature: unknown, signedText: unknown, publicKey: unknown) => boolean;
    readonly cache: boolean;
  }

  // biome-ignore lint/style/noDefaultExport: that is how the package has it
  export default class DHT {
    constructor(options: DhtOptions);
    /** Other nodes ask us something. */
    protected _onquery(query: unknown, from: unknown): void;
    on(event: "error" | "warning", listener: (error: Error) => void): this;
    put(options: PutOptions, done: (error: Error | null, key: Buffer, nodes: number) => void): void;
    get(
      target: Buffer,
      options: GetOptions,
      done: (error: Error | null, value: unknown) => void,
    ): void;
    destroy(done?: () => void): void;
    toJSON(): { readonly nodes: readonly { readonly host: string; readonly port: number }[] };
  }
}
