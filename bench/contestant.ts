/**
 * One way of calling between two processes. To add one: a file in `contestants/` that exports `contestant`, and its name in
 * {@link contestantNames}.
 */
export interface Contestant {
  /** What it is, for people: `connect-node, Connect over HTTP/2 with TLS`. */
  readonly title: string;
  /** Starts to serve on loopback; runs in the server process. */
  serve(): Promise<Served>;
  /** Connects to the address that `serve` gave; runs in the client process. */
  dial(address: string): Promise<Caller>;
}

export interface Served {
  /** What a client needs in order to find the server: a ticket, a URL with its certificate, ... */
  readonly address: string;
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
  close(): Promise<void>;
}

/** The first is the one that the others are compared with. */
export const contestantNames = ["connect-quic", "connect-node"] as const;

/** Loads a contestant by its name. */
export async function loadContestant(name: string): Promise<Contestant> {
  const module: { contestant: Contestant } = await import(`./contestants/${name}.ts`);
  return module.contestant;
}
