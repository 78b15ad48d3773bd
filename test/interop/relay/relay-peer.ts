import { nodePlatform } from "../../../src/base/node-platform.ts";
import { Signal } from "../../../src/base/signal.ts";
import type { EndpointId } from "../../../src/identity/endpoint-id.ts";
import { parseRelayUrl } from "../../../src/identity/relay-url.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { openNodeMessageChannel } from "../../../src/relay/node-message-channel.ts";
import {
  RelayClient,
  type RelayClientOptions,
  type RelayClientState,
} from "../../../src/relay/relay-client.ts";

/** A relay client of ours that keeps what it hears. */
export class RelayPeer implements Disposable {
  readonly key: SecretKey;
  readonly client: RelayClient;
  readonly states: RelayClientState[] = [];
  readonly received: {
    readonly from: EndpointId;
    readonly bytes: Uint8Array;
    readonly segmentSize: number;
  }[] = [];
  readonly gone: EndpointId[] = [];
  readonly #changed = new Signal();

  constructor(url: string, options: Partial<RelayClientOptions> = {}) {
    this.key = options.secretKey ?? SecretKey.generate();
    this.client = new RelayClient({
      url: parseRelayUrl(url),
      platform: nodePlatform,
      openChannel: openNodeMessageChannel,
      handler: {
        datagrams: (from, bytes, segmentSize) => {
          this.received.push({ from, bytes, segmentSize });
          this.#changed.notify();
        },
        endpointGone: (id) => {
          this.gone.push(id);
          this.#changed.notify();
        },
        stateChanged: (state) => {
          this.states.push(state);
          this.#changed.notify();
        },
      },
      ...options,
      secretKey: this.key,
    });
  }

  get id(): EndpointId {
    return this.key.publicKey;
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await this.#changed.wait();
    }
  }

  /** Until the client is in such a state. */
  async reached<T extends RelayClientState["type"]>(
    type: T,
  ): Promise<Extract<RelayClientState, { type: T }>> {
    for (;;) {
      const { state } = this.client;
      if (isOfType(state, type)) {
        return state;
      }
      await this.#changed.wait();
    }
  }

  [Symbol.dispose](): void {
    this.client.close();
  }
}

function isOfType<T extends RelayClientState["type"]>(
  state: RelayClientState,
  type: T,
): state is Extract<RelayClientState, { type: T }> {
  return state.type === type;
}
