// What a program under test brings along to be a peer of the laboratory: an endpoint that dials and is dialed, echoes what
// comes on any stream, and says which way its packets go.

import type { Directory } from "../lab/services.ts";
import type { PathKind } from "./peer-protocol.ts";

/** The application protocol of the echo. */
export const echoAlpn = "connect-quic-nat/1";

export interface PeerOptions {
  readonly bind: readonly string[];
  /** Undefined for none. */
  readonly relay?: string;
  readonly stun?: readonly string[];
  readonly external?: readonly string[];
  readonly directory?: Directory;
  /** Called with each connection that somebody dials to us; its streams are echoed already. */
  readonly onConnection?: (connection: PeerConnection) => void;
}

export interface PeerEndpoint {
  readonly id: string;
  /** Who and where it is, for the other one to dial; complete once the endpoint is bound. */
  ticket(): string;
  /** A ticket, or an id where there is a directory. */
  dial(target: string): Promise<PeerConnection>;
  /** For a peer that cannot find out by itself. */
  changeExternal(add: readonly string[], remove: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface PeerConnection {
  /** Sends the bytes on a stream of their own and resolves with all that comes back. */
  echo(bytes: Uint8Array): Promise<Uint8Array>;
  openStream(): Promise<PeerStream>;
  /** Calls back now, if it is known, and whenever another path is chosen. */
  watchPath(onPath: (kind: PathKind, to: string) => void): void;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<string>;
}

/** Both ends of one stream. */
export interface PeerStream {
  write(bytes: Uint8Array): Promise<void>;
  /** The next bytes, at least one; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
}
