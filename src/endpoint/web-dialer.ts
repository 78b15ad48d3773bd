import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { CertifiedKey, Engine, EngineConnection, TransportOptions } from "../engine/engine.ts";
import type { BindSocket } from "../net/datagram-socket.ts";
import { dialableAddresses } from "../net/dialable-addresses.ts";
import { resolveHost } from "../net/resolve-host.ts";
import { BoundEngine } from "./bound-engine.ts";
import { Dial } from "./dial.ts";
import { closeCode, dialFailed, EndpointError } from "./endpoint-error.ts";
import { ProcessHold } from "./process-hold.ts";
import { untilConnected } from "./until-connected.ts";
import { webTransportOptions } from "./web-transport.ts";

export interface WebDialerOptions {
  /** Whom servers must be vouched for by. Certificates in DER. */
  readonly authorities: readonly Uint8Array[];
  /** Shown to servers that ask. */
  readonly certificate?: CertifiedKey | undefined;
  readonly bind?: string | readonly string[] | undefined;
  readonly transport?: Partial<TransportOptions> | undefined;
  readonly keyLog?: ((line: string) => void) | undefined;
  readonly engine?: Engine | undefined;
  readonly bindSocket?: BindSocket | undefined;
  readonly platform: Platform;
  /** Gets what no caller can be told of. */
  readonly onError: (error: unknown) => void;
}

/** A server of the web. */
export interface WebHost {
  /** A name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Whom its certificate has to name. */
  readonly serverName: string;
}

export interface WebDialOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** Addresses of a host that are tried at once. */
const maxAddresses = 4;

/**
 * Dials servers by their name, and believes their certificates. It has a socket from the first dial on, which does not
 * keep the process alive. Who gets the connections closes them, before the dialer.
 */
export class WebDialer {
  readonly #options: WebDialerOptions;
  readonly #dials = new Set<Dial<unknown>>();
  /** What keeps the process alive as long as it is needed, on whatever socket there is. */
  readonly #hold = new ProcessHold((ref) => {
    this.#held = ref;
    this.#holdSocket();
  });
  #held = false;
  #releaseSocket: () => void = () => {};
  #bound: Promise<BoundEngine> | undefined;
  /** The engine, once there is one. */
  #engine: BoundEngine | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WebDialerOptions) {
    this.#options = options;
  }

  /**
   * Dials a host. `adopt` gets the connection when the handshake is done, and sets its `handler` before it returns; what
   * it makes is what this resolves with. Rejects with {@link EndpointError}: "no-address", "dial-timeout", "wrong-key",
   * "refused", "alpn-mismatch", "bind-failed", "endpoint-closed", "engine-failed"; and with RangeError for a name that
   * cannot be.
   */
  async connect<T>(
    to: WebHost,
    alpns: readonly string[],
    options: WebDialOptions,
    adopt: (connection: EngineConnection) => T,
  ): Promise<T> {
    const { signal, timeoutMs } = options;
    const { platform } = this.#options;
    const peer = formatHost(to);
    let where = "";
    const dial = new Dial<T>(platform, (cause) =>
      dialFailed(cause, { peer, addresses: where, alpns, credentials: "web" }),
    );
    this.#throwIfClosed();
    signal?.throwIfAborted();
    const untilMs = platform.now() + timeoutMs;
    const [bound, addresses] = await unlessAborted(
      Promise.all([this.#bindOnce(), addressesOf(to, peer)]),
      signal,
    );
    this.#throwIfClosed();
    where = addresses.map(formatSocketAddress).join(", ");
    const dialing = bound.dial(addresses, {
      expected: { type: "web", serverName: to.serverName },
      alpns,
      handler: untilConnected(
        () => dial.connected(adopt(dialing.connection)),
        (cause) => dial.end(cause),
      ),
    });
    this.#dials.add(dial);
    try {
      const leftMs = Math.max(1, untilMs - platform.now());
      return await dial.run(async () => dialing.connection, { signal, timeoutMs: leftMs });
    } finally {
      this.#dials.delete(dial);
      dialing.over();
    }
  }

  /** Keeps the process alive until the returned function is called. */
  hold(): () => void {
    return this.#hold.take();
  }

  /** Ends dials that are under way with "endpoint-closed", and closes the socket. Never rejects. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const dial of this.#dials) {
      dial.end({ type: "application", origin: "local", code: closeCode.none, reason: "" });
    }
    try {
      const bound = await this.#bound?.catch(() => undefined);
      await bound?.drained();
      await bound?.destroy();
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #bindOnce(): Promise<BoundEngine> {
    if (this.#bound === undefined) {
      const binding = this.#bind();
      this.#bound = binding;
      binding.then(
        (bound) => {
          this.#engine = bound;
          this.#holdSocket();
        },
        // The next dial tries again.
        () => this.#forget(binding),
      );
    }
    return this.#bound;
  }

  #holdSocket(): void {
    this.#releaseSocket();
    this.#releaseSocket = (this.#held && this.#engine?.hold.take()) || (() => {});
  }

  #bind(): Promise<BoundEngine> {
    const { authorities, certificate, keyLog, onError, ...options } = this.#options;
    const bound = BoundEngine.bind(
      {
        credentials: {
          type: "web",
          serverAuthorities: authorities,
          ...(certificate === undefined ? {} : { certificate }),
        },
        alpns: [],
        transport: { ...webTransportOptions, ...options.transport },
        platform: options.platform,
        bind: options.bind ?? ["0.0.0.0:0", "[::]:0"],
        bindSocket: options.bindSocket,
        engine: options.engine,
        ...(keyLog === undefined ? {} : { keyLog }),
      },
      {
        incoming: (connection) => connection.close(closeCode.none, ""),
        failed: (error) => {
          onError(error);
          this.#forget(bound);
          void bound.then((broken) => broken.destroy()).catch(onError);
        },
        handlerError: onError,
      },
    );
    return bound;
  }

  #forget(bound: Promise<BoundEngine>): void {
    if (this.#bound === bound) {
      this.#bound = undefined;
      this.#engine = undefined;
    }
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw new EndpointError("endpoint-closed", "cannot connect: closed on this side");
    }
  }
}

async function addressesOf(
  to: WebHost,
  peer: string,
): Promise<[SocketAddress, ...SocketAddress[]]> {
  let found: SocketAddress[];
  try {
    found = await resolveHost(to.host, to.port);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EndpointError("no-address", `cannot connect to ${peer}: ${why}`, { cause: error });
  }
  const [first, ...others] = dialableAddresses(found).slice(0, maxAddresses);
  if (first === undefined) {
    throw new EndpointError("no-address", `cannot connect to ${peer}: no address can be dialed`);
  }
  return [first, ...others];
}

function formatHost({ host, port }: WebHost): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** For work that nothing can stop: only the waiting for it ends. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, () => reject(signal?.reason));
    work.then(resolve, reject).finally(stopListening);
  });
}
