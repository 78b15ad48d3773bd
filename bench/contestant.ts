/**
 * One way of calling, or of moving bytes, between two processes. To add one: a file in `contestants/`, and an entry in
 * {@link contestants} of `registry.ts`.
 */
export interface Contestant {
  /** What it is, for people: `connect-node, Connect over HTTP/2 with TLS`. */
  readonly title: string;
  /** Calls are compared with calls, and bare streams of bytes with bare streams. */
  readonly carries: "calls" | "bytes";
  /** What it cannot do, with the reason. */
  readonly lacks?: Partial<Record<Ability, string>>;
  /** Makes it ready to be used on this machine; runs in the runner. Resolves with the reason where it cannot be. */
  prepare?(): Promise<string | undefined>;
  /** Starts to serve on loopback; runs in the server process. */
  serve(conditions: Conditions): Promise<Server>;
  /** What calls come from; runs in the client process. It has not met `address` before. */
  open(address: string, conditions: Conditions): Promise<Client>;
}

/** What a workload may ask of a contestant beyond calls on one connection. */
export type Ability =
  /** Its client and its server are two processes. */
  | "network"
  /** Its datagrams can be limited to a size; a contestant over TCP has none, and runs as it is. */
  | "datagram-size"
  /** Several connections at once from one client. */
  | "connections"
  /** A new connection continues the TLS session of an earlier one. */
  | "resumption"
  /** As many streams at once on one connection as {@link Conditions.streams} says. */
  | "streams";

/** What differs between workloads; nothing said is what users get by default. */
export interface Conditions {
  /** Largest UDP payload, in bytes. */
  readonly maxDatagram?: number;
  /** Streams that a connection must be able to have open at once. */
  readonly streams?: number;
}

export interface Server {
  /** What a client needs in order to find it: a ticket, a URL with its certificate, ... */
  readonly address: string;
  close(): Promise<void>;
}

export interface Client {
  /** A connection of its own, on which one call was made. Where the library can, it continues the session of the last one. */
  connect(): Promise<Caller>;
  close(): Promise<void>;
}

/** The operations that are measured. They reject when anything comes back that should not. */
export interface Caller {
  /** One request with `payload`, one response with the same. */
  echo(payload: Uint8Array): Promise<void>;
  /** The server sends `count` messages of `size` bytes in one call. */
  download(count: number, size: number): Promise<void>;
  /** The client sends `count` messages of `payload` in one call. */
  upload(count: number, payload: Uint8Array): Promise<void>;
  /** The client sends `count` messages of `payload` in one call, and the server sends each back as it comes. */
  chat(count: number, payload: Uint8Array): Promise<void>;
  /** Begins a call in which one message goes there and back, and leaves it open until the caller is closed. */
  hold(payload: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Throws unless as many bytes came back as were expected. */
export function expectBytes(found: number, expected: number): void {
  if (found !== expected) {
    throw new Error(`${found} bytes came back, expected ${expected}`);
  }
}
