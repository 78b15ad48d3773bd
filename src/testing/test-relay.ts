import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import type { HttpRequest, HttpResponse } from "../net/network.ts";
import { RelayCore, type RelayCoreOptions } from "../relay/server/relay-core.ts";
import { answerRelayRequest } from "../relay/server/relay-http.ts";
import { acceptAtRelay } from "./memory-relay.ts";
import { answerStun, stunPort } from "./stun-service.ts";
import type { HostOptions, TestHost } from "./test-host.ts";

/** Where a relay is, and what it allows; a place behind a NAT is reached by those alone who are there too. */
export interface TestRelayOptions
  extends Pick<HostOptions, "behind" | "ipv4" | "ipv6" | "link">,
    Omit<RelayCoreOptions, "platform"> {
  /** Default `relay1.test`, `relay2.test` … */
  readonly name?: string;
}

const httpsPort = 443;

/**
 * A relay of the network: our own relay server on a machine with IPv4 and IPv6, which tells addresses by STUN as well. Made
 * by `TestNetwork.relay`.
 */
export class TestRelay {
  /** For `Endpoint.bind({ relays: [relay.url] })`. */
  readonly url: RelayUrl;
  /** The machine that it runs on: to freeze it, to move it, to make its line bad. */
  readonly host: TestHost;
  readonly #options: TestRelayOptions;
  #core: RelayCore;
  #isRunning = false;
  /** Of cores that are over. */
  #bytesBefore = 0;

  /** @internal */
  constructor(host: TestHost, options: TestRelayOptions) {
    this.host = host;
    this.url = parseRelayUrl(`https://${host.name}./`);
    this.#options = options;
    this.#core = this.#start();
    answerStun(host);
  }

  /** For `Endpoint.bind({ stunServers: [relay.stun] })`. */
  get stun(): string {
    return `${this.host.name}:${stunPort}`;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** The server that runs, or the last one that did: its metrics, and who is connected. */
  get core(): RelayCore {
    return this.#core;
  }

  /** Bytes of datagrams that it has passed on since the beginning. */
  get bytesRelayed(): number {
    return this.#bytesBefore + this.#core.metrics.bytesSent;
  }

  /**
   * Ends the server as a process that dies: those who are connected find their connections reset. `silently`: as a machine
   * that loses power, so that they hear nothing.
   */
  kill(options: { readonly silently?: boolean } = {}): void {
    if (this.#isRunning) {
      this.#isRunning = false;
      this.host.streams.shut(options.silently === true ? "silent" : "reset");
    }
  }

  /** Starts it again, with no memory of before. */
  start(): void {
    if (!this.#isRunning) {
      this.#bytesBefore += this.#core.metrics.bytesSent;
      this.#core = this.#start();
    }
  }

  /** Ends it in order: clients are told when to come back, and it is there again then. */
  async restart({ afterMs = 1_000 }: { readonly afterMs?: number } = {}): Promise<void> {
    await this.#core.close({ restartInMs: afterMs });
    this.kill();
    this.host.options.platform.setTimer(afterMs, () => this.start());
  }

  #start(): RelayCore {
    const { authorize, limits } = this.#options;
    const { platform } = this.host.options;
    const core = new RelayCore({ platform, authorize, limits });
    this.#isRunning = true;
    this.host.streams.listen(httpsPort, {
      upgrade: acceptAtRelay(core),
      request: (url, request) => answer(url, request),
    });
    return core;
  }
}

function answer(
  url: URL,
  { method, headers = {} }: Pick<HttpRequest, "method" | "headers">,
): HttpResponse {
  const lowerCase = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const { body, ...response } = answerRelayRequest({
    method,
    target: `${url.pathname}${url.search}`,
    header: (name) => lowerCase.get(name),
  });
  return { ...response, body: new TextEncoder().encode(body) };
}
