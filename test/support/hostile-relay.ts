// A relay that lets clients in as it should, and then does with their datagrams what a test wants.

import { encodeHex } from "../../src/base/hex.ts";
import type { EndpointId } from "../../src/identity/endpoint-id.ts";
import type { MessageChannel, MessageChannelHandler } from "../../src/relay/message-channel.ts";
import {
  type DatagramsFrame,
  decodeRelayFrame,
  encodeRelayFrame,
  type RelayFrame,
  relayFrameType,
} from "../../src/relay/relay-frame.ts";
import { decodeChallengeAnswer } from "../../src/relay/relay-handshake.ts";
import { RelayCore } from "../../src/relay/server/relay-core.ts";
import { acceptAtRelay } from "../../src/testing/memory-relay.ts";
import type { TestRelay } from "../../src/testing.ts";

/** Datagrams on their way from one client to another. */
export interface Relayed {
  /** Ids in hex. `from` is the true sender. */
  readonly from: string;
  readonly to: string;
  /** As the receiver would get it: `peer` is the sender. */
  readonly frame: DatagramsFrame;
}

/** Decides what becomes of datagrams; to pass them on is `relay.deliver(to, frame)`. */
export type Mischief = (relayed: Relayed, relay: HostileRelay) => void;

export class HostileRelay {
  /** Everything that went over it. */
  readonly recorded: Relayed[] = [];
  /** Undefined: it does what a relay should. */
  mischief: Mischief | undefined;
  readonly #channels = new Map<string, MessageChannel>();
  readonly #host: TestRelay["host"];

  /** Takes the place of `relay`. */
  constructor(relay: TestRelay) {
    relay.kill();
    this.#host = relay.host;
    const core = new RelayCore({ platform: relay.host.options.platform });
    const accept = acceptAtRelay(core);
    relay.host.listen(443, {
      upgrade: (request) => {
        const client = new Client(request.channel, this);
        const { subprotocol, handler } = accept({ ...request, channel: client.channel });
        return { subprotocol, handler: client.listening(handler) };
      },
    });
  }

  /** Those who are connected, by id in hex. */
  get clients(): string[] {
    return [...this.#channels.keys()];
  }

  /** Tells a client anything. What a frame must not hold is thrown. */
  deliver(to: string, frame: RelayFrame): void {
    this.#channels.get(to)?.send(encodeRelayFrame(frame));
  }

  /** Hangs up on everybody. */
  hangUp(): void {
    for (const channel of this.#channels.values()) {
      channel.close({ now: true });
    }
  }

  later(delayMs: number, callback: () => void): void {
    this.#host.options.platform.setTimer(delayMs, callback);
  }

  /** @internal */
  arrived(id: EndpointId, channel: MessageChannel): void {
    this.#channels.set(encodeHex(id.bytes), channel);
  }

  /** @internal */
  handle(to: string, frame: DatagramsFrame): void {
    // It travels later perhaps, in a buffer that is used again.
    const copied = { ...frame, peer: frame.peer.slice(), contents: frame.contents.slice() };
    const relayed = { from: encodeHex(frame.peer), to, frame: copied };
    this.recorded.push(relayed);
    if (this.mischief === undefined) {
      this.deliver(to, copied);
    } else {
      this.mischief(relayed, this);
    }
  }
}

/** Stands between the relay that keeps the rules and a client. */
class Client {
  readonly channel: MessageChannel;
  readonly #relay: HostileRelay;
  readonly #real: MessageChannel;
  #id: string | undefined;

  constructor(real: MessageChannel, relay: HostileRelay) {
    this.#real = real;
    this.#relay = relay;
    this.channel = {
      get bufferedBytes() {
        return real.bufferedBytes;
      },
      send: (message) => this.#send(message),
      pause: () => real.pause(),
      resume: () => real.resume(),
      close: (options) => real.close(options),
    };
  }

  listening(handler: MessageChannelHandler): MessageChannelHandler {
    return {
      opened: (subprotocol) => handler.opened(subprotocol),
      message: (bytes) => {
        if (this.#id === undefined) {
          const { id } = decodeChallengeAnswer(bytes);
          this.#id = encodeHex(id.bytes);
          this.#relay.arrived(id, this.#real);
        }
        handler.message(bytes);
      },
      drained: () => handler.drained(),
      closed: (error) => handler.closed(error),
    };
  }

  #send(message: Uint8Array): void {
    const [type] = message;
    const hasDatagrams =
      type === relayFrameType.relayDatagram || type === relayFrameType.relayBatch;
    const frame = hasDatagrams ? decodeRelayFrame(message, 2) : undefined;
    if (frame?.type === "datagrams" && this.#id !== undefined) {
      this.#relay.handle(this.#id, frame);
    } else {
      this.#real.send(message);
    }
  }
}
