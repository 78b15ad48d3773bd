import type { ExportKeys } from "./relay-auth-header.ts";

/** A WebSocket as the relay protocol uses it: binary messages, in order, until one side is gone. */
export interface MessageChannel {
  /** Takes `message` over: it must not change any more. Never throws: on a channel that is over it does nothing. */
  send(message: Uint8Array): void;
  /** The address of this host that it runs over; undefined where that is not known, or not yet. */
  readonly localHost?: string | undefined;
  /** Bytes that `send` took and the network has not. */
  readonly bufferedBytes: number;
  /** Reads nothing from the other side until `resume`, so that it has to wait; a few messages may still arrive. */
  pause(): void;
  resume(): void;
  /**
   * Idempotent. What was sent before still goes out where the other side reads it; `options.now` gives that up. `closed`
   * is called, also here.
   */
  close(options?: { readonly now?: boolean }): void;
}

/** `opened` at most once and first, `closed` exactly once and last. Never called within a call into the channel. */
export interface MessageChannelHandler {
  /** The other side has accepted; `subprotocol` is the one that it chose. */
  opened(subprotocol: string): void;
  /** The handler owns `bytes`. */
  message(bytes: Uint8Array): void;
  /** After `bufferedBytes` was above zero: it is zero again. */
  drained(): void;
  /** With what the other side or the network said, when it was not closed here. */
  closed(error: Error | undefined): void;
}

export interface MessageChannelOptions {
  /** Most wanted first. The other side has to choose one. */
  readonly subprotocols: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** More headers, which depend on the TLS connection that the request goes over; not asked for without TLS. */
  readonly headersOverTls?: (exportKeys: ExportKeys) => Readonly<Record<string, string>>;
  /** Authorities in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[] | undefined;
  /** Until `opened`. Milliseconds. */
  readonly timeoutMs: number;
  /** A longer message ends the channel. */
  readonly maxMessageBytes: number;
}

/**
 * Connects to `url` (ws: or wss:). What goes wrong reaches `closed`. A host with a dot at its end is looked up as it
 * stands, and loses the dot for TLS and in the Host header.
 */
export type OpenMessageChannel = (
  url: URL,
  options: MessageChannelOptions,
  handler: MessageChannelHandler,
) => MessageChannel;
