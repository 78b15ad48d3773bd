import { AsyncQueue } from "../base/async-queue.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { socketAddress } from "../base/socket-address.ts";
import { hostTowards } from "./host-towards.ts";
import type { Network } from "./network.ts";
import type { MapPortOptions, PortMapping, PortMappingMethod } from "./port-mapper.ts";
import {
  decodeSsdpResponse,
  encodeSoapAction,
  encodeSsdpSearch,
  type ForwardingService,
  findForwardingService,
  ssdpGroup,
  textOf,
} from "./upnp.ts";

export interface UpnpOptions {
  readonly platform: Platform;
  readonly network: Pick<Network, "bindSocket" | "interfaces" | "request">;
  /** Where to ask besides the multicast group: the gateway, where it is known. Default: nowhere. */
  readonly gateway?: () => string | undefined;
  /** Where SSDP is spoken. Default 1900. */
  readonly port?: number;
}

/** Two hours, as with NAT-PMP. */
const lifetimeSeconds = 7_200;
/** The question is asked this often (UPnP Device Architecture 2.0 §1.3.2), with so much time in between. */
const searches = 3;
const searchIntervalMs = 500;
/** Devices that are looked at: any host of the network may answer. */
const maxDevices = 4;
/** Of descriptions and answers. */
const maxBytes = 64 * 1_024;
/** The external port belongs to another host (IGD WANIPConnection §2.4.16). */
const conflict = "718";
/** Ports that are tried where the wanted one belongs to another host. */
const maxPorts = 3;

interface Mapped {
  readonly service: ForwardingService;
  readonly externalPort: number;
}

/**
 * Has the gateway forward an IPv4 port by UPnP. Gateways that know permanent mappings alone are left alone: nobody would
 * clean up after a process that was killed.
 */
export class UpnpMethod implements PortMappingMethod {
  readonly #options: UpnpOptions;
  #mapped: Mapped | undefined;

  constructor(options: UpnpOptions) {
    this.#options = options;
  }

  async map(localPort: number, { previous, signal }: MapPortOptions): Promise<PortMapping> {
    const service = this.#mapped?.service ?? (await this.#findService(signal));
    this.#mapped = undefined;
    const wanted = previous?.port ?? localPort;
    const externalPort = await this.#add(service, localPort, wanted, signal);
    this.#mapped = { service, externalPort };
    const answer = await this.#act(service, "GetExternalIPAddress", {}, signal);
    const host = textOf(answer, "NewExternalIPAddress") ?? "";
    return { address: socketAddress(host, externalPort), lifetimeMs: lifetimeSeconds * 1_000 };
  }

  async unmap(_localPort: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const mapped = this.#mapped;
    this.#mapped = undefined;
    if (mapped !== undefined) {
      const args = {
        NewRemoteHost: "",
        NewExternalPort: mapped.externalPort,
        NewProtocol: "UDP",
      };
      await this.#act(mapped.service, "DeletePortMapping", args, signal);
    }
  }

  /** The port that the gateway forwards. */
  async #add(
    service: ForwardingService,
    localPort: number,
    wanted: number,
    signal: AbortSignal,
  ): Promise<number> {
    let externalPort = wanted;
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#act(
          service,
          "AddPortMapping",
          this.#mapping(service, localPort, externalPort),
          signal,
        );
        return externalPort;
      } catch (error) {
        if (!(error instanceof UpnpFault) || error.code !== conflict || tries >= maxPorts) {
          throw error;
        }
        externalPort = this.#randomPort();
      }
    }
  }

  #mapping(
    { controlUrl }: ForwardingService,
    localPort: number,
    externalPort: number,
  ): Record<string, string | number> {
    return {
      NewRemoteHost: "",
      NewExternalPort: externalPort,
      NewProtocol: "UDP",
      NewInternalPort: localPort,
      NewInternalClient: hostTowards(this.#options.network.interfaces(), controlUrl.hostname),
      NewEnabled: 1,
      NewPortMappingDescription: "connect-quic",
      NewLeaseDuration: lifetimeSeconds,
    };
  }

  /** The answer's body. */
  async #act(
    service: ForwardingService,
    action: string,
    args: Readonly<Record<string, string | number>>,
    signal: AbortSignal,
  ): Promise<string> {
    const { status, body } = await this.#options.network.request(service.controlUrl, {
      method: "POST",
      ...encodeSoapAction(service, action, args),
      signal,
      maxBytes,
      followRedirects: false,
    });
    const text = new TextDecoder().decode(body);
    if (status !== 200) {
      throw new UpnpFault(action, status, textOf(text, "errorCode")?.slice(0, 8));
    }
    return text;
  }

  async #findService(signal: AbortSignal): Promise<ForwardingService> {
    const { platform, network, gateway, port = ssdpGroup.port } = this.#options;
    const devices = new AsyncQueue<URL>();
    const seen = new Set<string>();
    const socket = await network.bindSocket([socketAddress("0.0.0.0", 0)], {
      datagram: ({ host }, bytes) => {
        const location = decodeSsdpResponse(bytes, host);
        if (location !== undefined && !seen.has(location.href) && seen.size < maxDevices) {
          seen.add(location.href);
          devices.push(location);
        }
      },
      failed: () => {},
    });
    const asked = [ssdpGroup.host, gateway?.()].filter((host) => host !== undefined);
    const search = (): void => {
      const question = encodeSsdpSearch();
      for (const host of asked) {
        socket.send(socketAddress(host, port), question, question.length);
      }
    };
    const timers: Timer[] = [];
    try {
      search();
      for (let times = 1; times < searches; times += 1) {
        timers.push(platform.setTimer(times * searchIntervalMs, search));
      }
      for (;;) {
        const location = await devices.next({ signal });
        const service = location && (await this.#describe(location, signal));
        if (service !== undefined) {
          return service;
        }
      }
    } finally {
      timers.forEach(platform.clearTimer, platform);
      await socket.close();
    }
  }

  /** Undefined for a device that is no gateway, or does not say so. */
  async #describe(location: URL, signal: AbortSignal): Promise<ForwardingService | undefined> {
    try {
      const { body } = await this.#options.network.request(location, {
        method: "GET",
        signal,
        maxBytes,
        followRedirects: false,
      });
      return findForwardingService(new TextDecoder().decode(body), location);
    } catch {
      return undefined;
    }
  }

  /** From 1024 up. */
  #randomPort(): number {
    const bytes = new Uint8Array(2);
    this.#options.platform.randomFill(bytes);
    return new DataView(bytes.buffer).getUint16(0) | 0x0400;
  }
}

class UpnpFault extends Error {
  override readonly name = "UpnpFault";
  /** The gateway's own, a number in decimal. */
  readonly code: string | undefined;

  constructor(action: string, status: number, code: string | undefined) {
    super(`the gateway answers ${action} with ${status}, error ${code ?? "unknown"}`);
    this.code = code;
  }
}
