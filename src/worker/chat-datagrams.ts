import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { ProtocolHandler } from "../endpoint/protocol-handler.ts";
import type { Target } from "../identity/target.ts";
import { checkText } from "./chat-link.ts";
import { ChatDatagramSchema } from "./gen/connectquic/worker/v1/worker_pb.js";
import { MessageGate } from "./message-gate.ts";
import { maxDatagramTextBytes } from "./worker-limits.ts";

/**
 * A protocol of its own, because HTTP/3 says what datagrams on its connections mean (RFC 9297).
 */
export const datagramAlpn = "connectquic-worker-datagram/1";

export interface ChatDatagramsOptions {
  readonly endpoint: Endpoint;
  /** Whether there is a conversation with the peer. Who has none is not listened to. */
  readonly isConnected: (id: string) => boolean;
  readonly heard: (id: string, text: string) => void;
}

/** Connections to one peer: two, where both have dialed. */
const maxConnections = 2;

/** Messages in QUIC datagrams, unreliable and out of order. */
export class ChatDatagrams implements ProtocolHandler {
  readonly #options: ChatDatagramsOptions;
  readonly #connections = new Map<string, Set<Connection>>();

  constructor(options: ChatDatagramsOptions) {
    this.#options = options;
  }

  /** Takes a connection that a peer has dialed. */
  accept(connection: Connection): void {
    void this.#follow(connection);
  }

  /** Connects to a peer whose addresses are known, so that both can send. Rejects with EndpointError. */
  async dial(target: Target): Promise<Connection> {
    const connection = await this.#options.endpoint.connect(target, datagramAlpn);
    void this.#follow(connection);
    return connection;
  }

  /** Resolves when the message is on its way. Rejects with a ConnectError. */
  async send(id: string, text: string): Promise<void> {
    checkText(text, maxDatagramTextBytes);
    try {
      const open = [...(this.#connections.get(id) ?? [])].at(-1);
      const connection = open ?? (await this.dial(id));
      await connection.sendDatagram(
        toBinary(ChatDatagramSchema, create(ChatDatagramSchema, { text })),
      );
    } catch (error) {
      throw new ConnectError(
        `cannot send a datagram: ${ConnectError.from(error).rawMessage}`,
        Code.Unavailable,
        undefined,
        undefined,
        error,
      );
    }
  }

  /** Ends the connections with a peer. */
  disconnect(id: string): void {
    for (const connection of this.#connections.get(id) ?? []) {
      void connection.close({ timeoutMs: 0 });
    }
  }

  async #follow(connection: Connection): Promise<void> {
    const { endpoint, isConnected, heard } = this.#options;
    const id = connection.remoteId.toString();
    const connections = this.#connections.get(id) ?? new Set();
    if (connections.size >= maxConnections || !isConnected(id)) {
      await connection.close({ timeoutMs: 0 });
      return;
    }
    this.#connections.set(id, connections.add(connection));
    const gate = new MessageGate(() => endpoint.platform.now());
    for (;;) {
      const bytes = await connection.readDatagram();
      if (bytes === undefined) {
        break;
      }
      const text = textOf(bytes);
      if (text !== undefined && gate.admits() && isConnected(id)) {
        heard(id, text);
      }
    }
    connections.delete(connection);
    if (connections.size === 0) {
      this.#connections.delete(id);
    }
  }
}

/** Undefined for what is no message, or one that is too long. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const { text } = fromBinary(ChatDatagramSchema, bytes);
    checkText(text, maxDatagramTextBytes);
    return text;
  } catch {
    return undefined;
  }
}
