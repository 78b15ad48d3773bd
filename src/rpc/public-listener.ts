import type { SocketAddress } from "../base/socket-address.ts";
import { WebListener, type WebListenerOptions } from "../endpoint/web-listener.ts";
import { parseCertificates } from "../identity/certificates.ts";
import { WebCertificate, type WebCertificateOptions } from "../identity/web-certificate.ts";
import { h3Alpn } from "./alpn.ts";
import { CallServer, type CallServerOptions } from "./call-server.ts";
import { longestTimerMs } from "./check-options.ts";
import { Cors, type CorsOptions } from "./cors.ts";

/** PEM, as text or as it comes out of a file; a file may hold several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

export interface ListenOptions
  extends WebCertificateOptions,
    Pick<WebListenerOptions, "bindSocket" | "engine" | "incoming" | "keyLog" | "transport"> {
  /**
   * Addresses to bind, `ip:port` or `[ip6]:port`, at most one a family; port 0 takes any free one.
   * Default `["0.0.0.0:443", "[::]:443"]`; a machine without IPv6 binds the first alone.
   */
  readonly bind?: string | readonly string[];
  /** Asks callers for a certificate, which handlers find at `callerKey`. Default: they are not asked. */
  readonly clientCertificates?: {
    /** Authorities that have to vouch for them, in PEM. */
    readonly ca: Pem;
    /** Whether callers without one are sent away. Default true. */
    readonly required?: boolean;
  };
  /** Pages of which other origins may call. Default: none. */
  readonly cors?: CorsOptions;
}

/** Serves a router's services over plain HTTP/3, with a web certificate, to whoever comes. */
export interface PublicListener extends AsyncDisposable {
  /** The addresses that the sockets are bound to. */
  readonly addresses: readonly SocketAddress[];
  /**
   * What an HTTP/1.1 or HTTP/2 server of the same host says in its `Alt-Svc` header, so that browsers come here the next
   * time (RFC 7838, RFC 9114 §3.1.1).
   */
  readonly altSvc: string;
  /**
   * Shows another certificate to those who come from now on; connections that there are live on. Throws IdentityError as
   * `listen` does, and then nothing has changed.
   */
  setCertificate(certificate: WebCertificateOptions): void;
  /** Resolves when the listener is closed, by {@link close}, with its router, or because its socket broke. */
  readonly closed: Promise<void>;
  /**
   * Takes no more connections, lets calls that run come to their end, at most `graceMs` (default 5000), and closes the
   * sockets. Idempotent; never rejects.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Begins to listen. Rejects as {@link WebListener.bind} does, and with IdentityError for PEM that is none. */
export async function listenPublicly(
  options: ListenOptions,
  calls: CallServerOptions,
): Promise<PublicListener> {
  const { clientCertificates, bind = ["0.0.0.0:443", "[::]:443"] } = options;
  const certificate = WebCertificate.fromPem(options);
  const cors = options.cors === undefined ? undefined : new Cors(options.cors);
  const server = new CallServer(calls, cors);
  const listener = await WebListener.bind({
    bind,
    certificate,
    ...(clientCertificates === undefined
      ? {}
      : {
          clientCertificates: {
            authorities: parseCertificates(clientCertificates.ca),
            required: clientCertificates.required ?? true,
          },
        }),
    alpns: [h3Alpn],
    transport: options.transport,
    incoming: options.incoming,
    keyLog: options.keyLog,
    engine: options.engine,
    bindSocket: options.bindSocket,
    platform: calls.platform,
    onConnection: ({ engine, remoteAddress, certificates }) => {
      server.serve(engine, { type: "web", httpVersion: "3.0", remoteAddress, certificates });
    },
    onError: calls.report,
  });
  return new Listening(listener, server);
}

class Listening implements PublicListener {
  readonly #listener: WebListener;
  readonly #server: CallServer;
  #closing: Promise<void> | undefined;

  constructor(listener: WebListener, server: CallServer) {
    this.#listener = listener;
    this.#server = server;
  }

  get addresses(): readonly SocketAddress[] {
    return this.#listener.localAddresses;
  }

  get altSvc(): string {
    const ports = new Set(this.addresses.map(({ port }) => port));
    return [...ports].map((port) => `${h3Alpn}=":${port}"; ma=86400`).join(", ");
  }

  get closed(): Promise<void> {
    return this.#listener.closed;
  }

  setCertificate(certificate: WebCertificateOptions): void {
    this.#listener.setCertificate(WebCertificate.fromPem(certificate));
  }

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(Math.min(options.graceMs ?? 5_000, longestTimerMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    this.#listener.refuse();
    await this.#server.shutdown({ timeoutMs: graceMs });
    await this.#listener.close();
  }
}
