import { Code, ConnectError } from "@connectrpc/connect";
import { nodePlatform } from "../base/node-platform.ts";
import { connectionLost } from "../endpoint/endpoint-error.ts";
import { WebDialer } from "../endpoint/web-dialer.ts";
import { Http3Connection } from "../http3/http3-connection.ts";
import { parseCertificates, systemAuthorities } from "../identity/certificates.ts";
import { WebCertificate } from "../identity/web-certificate.ts";
import { h3Alpn } from "./alpn.ts";
import { Channel } from "./channel.ts";
import { ChannelTransport } from "./channel-transport.ts";
import { resolveTransportOptions, type UrlTransportOptions } from "./quic-transport-options.ts";

/** A Connect transport to one HTTP/3 server. */
export class UrlTransport extends ChannelTransport {
  /** Whom it calls, with the path in front of those of the methods. */
  readonly url: string;

  /** @internal Programs use `createQuicTransport`. */
  constructor(options: UrlTransportOptions) {
    const resolved = resolveTransportOptions(options);
    const url = parseUrl(options.to);
    const platform = options.endpoint?.platform ?? nodePlatform;
    const host = unbracketed(url.hostname);
    const to = {
      host,
      port: url.port === "" ? 443 : Number(url.port),
      serverName: options.serverName ?? host,
    };
    const report = (error: unknown): void =>
      process.emitWarning(error instanceof Error ? error : String(error), "ConnectQuicWarning");
    const dialer = new WebDialer({
      authorities: options.ca === undefined ? systemAuthorities() : parseCertificates(options.ca),
      certificate: certificateOf(options),
      bind: options.bind,
      bindSocket: options.bindSocket,
      engine: options.engine,
      transport: options.transport,
      keyLog: options.keyLog,
      platform,
      onError: report,
    });
    const channel = new Channel({
      peer: url.host,
      platform,
      dial: (events, dialOptions) =>
        dialer.connect(to, [h3Alpn], dialOptions, (connection) => {
          return new Http3Connection(connection, {
            role: "client",
            platform,
            keepAlive: resolved.keepAlive,
            keepAliveMs: resolved.keepAliveIntervalMs,
            onGoaway: events.goingAway,
            onClosed: (cause) => events.closed(connectionLost(cause, url.host)),
          });
        }),
    });
    super({
      channel,
      context: {
        dialTimeoutMs: resolved.dialTimeoutMs,
        platform,
        hold: () => dialer.hold(),
      },
      protocol: resolved.protocol,
      calls: { ...resolved.common, baseUrl: url.href.replace(/\/$/, "") },
      release: async (grace) => {
        await channel.disconnect(grace);
        await dialer.close();
      },
    });
    this.url = url.href;
  }

  /** Dials when there is no connection, which calls do by themselves. Rejects with a ConnectError. */
  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.session(options.signal);
  }
}

/** True for what says a server by its URL, and not a peer. */
export function isUrl(to: unknown): to is URL | `https://${string}` {
  return to instanceof URL || (typeof to === "string" && /^[a-z]+:\/\//i.test(to));
}

function parseUrl(to: URL | string): URL {
  const text = String(to);
  const fail = (why: string): ConnectError =>
    new ConnectError(`invalid URL ${JSON.stringify(text)}: ${why}`, Code.InvalidArgument);
  if (!URL.canParse(text)) {
    throw fail("expected https://host:port");
  }
  const url = new URL(text);
  if (url.protocol !== "https:") {
    throw fail("HTTP/3 needs https");
  }
  if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    throw fail("it says more than a host, a port and a path");
  }
  return url;
}

function certificateOf({ cert, key, passphrase }: UrlTransportOptions): WebCertificate | undefined {
  if (cert === undefined && key === undefined) {
    return undefined;
  }
  if (cert === undefined || key === undefined) {
    throw new TypeError("options cert and key: one is of no use without the other");
  }
  return WebCertificate.fromPem({ cert, key, passphrase });
}

function unbracketed(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}
