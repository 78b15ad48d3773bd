import type { ChildProcess, SpawnOptions } from "node:child_process";
import {
  type AddressPlan,
  type Attachment,
  coreAddress,
  planAddresses,
  publicAddress,
  servicesNode,
} from "./address-plan.ts";
import { formatNamespaceName } from "./namespace-name.ts";
import { NetworkNamespace } from "./network-namespace.ts";
import { type PortMappings, planPortMappings } from "./port-mappings.ts";
import { routerRules } from "./router-rules.ts";
import { SlowLink, type SlowLinkSettings, slowDevice } from "./slow-link.ts";
import { type HostName, hostNames, type Place, type Topology } from "./topology.ts";

/** What the internet between two peers can be made to do to their packets. */
export interface Trouble {
  /** UDP between the peers' networks is lost: of a hundred packets so many. Default 0. */
  readonly directLossPercent?: number;
  /** So many of a hundred packets of any kind are lost, those to and from the relay too. Default 0. */
  readonly lossPercent?: number;
}

/** Which bytes have come to a host, by the way that they took. */
export interface Traffic {
  readonly direct: number;
  readonly relayed: number;
}

/**
 * A network in the kernel, built from a topology: the middle of the internet, a node there for services, the routers, the
 * hosts. Whoever makes it closes it, which ends all that runs inside.
 */
export class LabNetwork implements AsyncDisposable {
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly #number: number;
  readonly #namespaces = new Map<string, NetworkNamespace>();
  readonly #forgotten: Record<string, number> = {};
  /** Of each host, which of its places it is at. */
  readonly #at: Record<HostName, number> = { a: 0, b: 0 };
  #slowLink: SlowLink | undefined;

  private constructor(topology: Topology) {
    this.topology = topology;
    this.plan = planAddresses(topology);
    this.#number = ++networks;
  }

  static async create(topology: Topology, link: SlowLinkSettings): Promise<LabNetwork> {
    const network = new LabNetwork(topology);
    try {
      await network.#build(link);
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  /** Starts a program on a host, or beside the relay. */
  spawn(
    node: HostName | "services",
    command: string,
    args: readonly string[],
    options: SpawnOptions,
  ): ChildProcess {
    return this.#namespace(node).spawn(command, args, options);
  }

  /** The address and port under which the internet sees a peer now; undefined where that depends on who looks. */
  externalAddress(host: HostName): string | undefined {
    return this.#mappings().hosts[host][this.#at[host]];
  }

  /** How slow the internet is. */
  async setLink(settings: SlowLinkSettings): Promise<void> {
    await this.#slowLink?.set(settings);
  }

  /** What gets lost in the internet, from now on; replaces what was said before. */
  async setTrouble({ directLossPercent = 0, lossPercent = 0 }: Trouble): Promise<void> {
    const lose = (percent: number): string =>
      percent >= 100 ? "drop" : `numgen random mod 100 < ${percent} drop`;
    const [a, b] = hostNames.map((host) => this.#networksOf(host)) as [Networks, Networks];
    const pairs = [
      { family: "ip", from: a.ipv4, to: b.ipv4 },
      { family: "ip", from: b.ipv4, to: a.ipv4 },
      { family: "ip6", from: a.ipv6, to: b.ipv6 },
      { family: "ip6", from: b.ipv6, to: a.ipv6 },
    ];
    const direct = pairs.map(
      ({ family, from, to }) =>
        `meta l4proto udp ${family} saddr { ${from} } ${family} daddr { ${to} } ${lose(directLossPercent)}`,
    );
    // What is still to go through the slow link comes by again.
    await this.#namespace("core").nft(`table inet core
      delete table inet core
      table inet core {
        chain passing {
          type filter hook forward priority filter; policy accept;
          oifname "${slowDevice}" accept
          ${directLossPercent === 0 ? "" : direct.join("\n")}
          ${lossPercent === 0 ? "" : lose(lossPercent)}
        }
      }
    `);
  }

  /** Lets a router lose its UDP mappings, as one does that starts again: what comes from inside gets other ports. */
  async forgetMappings(router: string): Promise<void> {
    this.#forgotten[router] = (this.#forgotten[router] ?? 0) + 1;
    await this.#setRouterRules();
  }

  /** Takes a host from its place to the other one, as a phone that leaves its Wi-Fi: the first interface goes away. */
  async move(host: HostName): Promise<void> {
    const from = this.#at[host];
    const attachment = this.plan.hosts[host].attachments[from + 1];
    if (attachment === undefined) {
      throw new RangeError(`host ${host} has no other place`);
    }
    this.#at[host] = from + 1;
    await this.#namespace(host).ip(
      `link set eth${from} down`,
      `link set eth${from + 1} up`,
      ...routes(attachment, `eth${from + 1}`),
    );
  }

  /** Bytes that have come to a host since it is there: by UDP from anybody but our services, and by TCP from the relay. */
  async traffic(host: HostName): Promise<Traffic> {
    const output = await this.#namespace(host).run("nft", ["-j", "list", "counters"]);
    const { nftables } = JSON.parse(output) as NftCounters;
    const bytes = (name: string): number =>
      nftables.find(({ counter }) => counter?.name === name)?.counter?.bytes ?? 0;
    return { direct: bytes("direct"), relayed: bytes("relayed") };
  }

  async close(): Promise<void> {
    const namespaces = [...this.#namespaces.values()];
    this.#namespaces.clear();
    await Promise.all(namespaces.map((namespace) => namespace.remove()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #build(link: SlowLinkSettings): Promise<void> {
    const nodes = ["core", "services", ...Object.keys(this.plan.routers), ...hostNames];
    for (const node of nodes) {
      const name = formatNamespaceName({ pid: process.pid, network: this.#number, node });
      this.#namespaces.set(node, await NetworkNamespace.create(name));
    }
    await this.#buildCore();
    await this.#attach("services", servicesNode, "eth0", {
      to: "internet",
      ipv4: {
        address: publicAddress(servicesNode).ipv4,
        length: 32,
        gateway: coreAddress.ipv4,
      },
      ipv6: {
        address: publicAddress(servicesNode).ipv6,
        length: 128,
        gateway: coreAddress.ipv6,
      },
    });
    // From the internet outwards is not needed: an interface may be joined to a router that has no uplink yet.
    for (const name of Object.keys(this.plan.routers)) {
      await this.#buildRouter(name);
    }
    for (const [name, { node, wan }] of Object.entries(this.plan.routers)) {
      await this.#attach(name, node, "wan", wan);
    }
    await this.#setRouterRules();
    for (const host of hostNames) {
      await this.#buildHost(host);
    }
    await this.setTrouble({});
    this.#slowLink = await SlowLink.start(this.#namespace("core"), link);
    await this.#namespace("core").ip(`route add default dev ${slowDevice} table ${slowTable}`);
    await this.#namespace("core").ip(`route add ::/0 dev ${slowDevice} table ${slowTable}`);
  }

  async #buildCore(): Promise<void> {
    const core = this.#namespace("core");
    await core.sysctl({ ...forwarding, ...quickIpv6 });
    await core.ip(`address add ${coreAddress.ipv4}/32 dev lo`);
  }

  async #buildRouter(name: string): Promise<void> {
    const router = this.#namespace(name);
    const { lan, node } = this.plan.routers[name] ?? fail(name);
    await router.sysctl({ ...forwarding, ...quickIpv6 });
    await router.ip(
      "link add lan type bridge",
      `address add ${lan.address}/24 dev lan`,
      `address add ${coreAddress.ipv6}/64 dev lan nodad`,
      `address add ${lan.subnet6.replace("/", `${node}/`)} dev lan nodad`,
      "link set lan up",
    );
  }

  async #buildHost(name: HostName): Promise<void> {
    const host = this.#namespace(name);
    const { node, attachments } = this.plan.hosts[name];
    const { families = "ipv4" } = this.topology.hosts[name];
    await host.sysctl({
      ...quickIpv6,
      "net.ipv6.conf.default.disable_ipv6": families === "ipv4" ? 1 : 0,
    });
    for (const [index, attachment] of attachments.entries()) {
      await this.#attach(name, node, `eth${index}`, attachment, index === 0);
    }
    const services = publicAddress(servicesNode);
    await host.nft(`table inet traffic {
      counter direct { }
      counter relayed { }
      chain arriving {
        type filter hook input priority filter; policy accept;
        iifname "lo" accept
        ip saddr ${services.ipv4} meta l4proto tcp counter name relayed accept
        ip6 saddr ${services.ipv6} meta l4proto tcp counter name relayed accept
        ip saddr != ${services.ipv4} meta l4proto udp counter name direct
        ip6 saddr != ${services.ipv6} meta l4proto udp counter name direct
      }
    }`);
  }

  /** Joins a node to the internet or to the network behind a router. */
  async #attach(
    name: string,
    node: number,
    device: string,
    attachment: Attachment,
    up = true,
  ): Promise<void> {
    const { to, ipv4, ipv6 } = attachment;
    const inside = this.#namespace(name);
    const outside = this.#namespace(to === "internet" ? "core" : to);
    const port = `${name}-${device}`;
    await inside.ip(`link add ${device} type veth peer name ${port} netns ${outside.name}`);
    await inside.ip(
      ...(ipv4 === undefined ? [] : [`address add ${ipv4.address}/${ipv4.length} dev ${device}`]),
      ...(up ? [`link set ${device} up`, ...routes(attachment, device)] : []),
    );
    if (to !== "internet") {
      await outside.ip(`link set ${port} master lan`, `link set ${port} up`);
      return;
    }
    await outside.ip(
      `link set ${port} up`,
      ...(ipv4 === undefined ? [] : [`route add ${ipv4.address}/32 dev ${port}`]),
      `rule add iif ${port} lookup ${slowTable}`,
    );
    if (ipv6 !== undefined) {
      const lan = this.plan.routers[name]?.lan;
      await inside.ip(`address add fe80::${node}/64 dev ${device} nodad`);
      await outside.ip(
        `address add ${coreAddress.ipv6}/64 dev ${port} nodad`,
        `route add ${ipv6.address}/128 via fe80::${node} dev ${port}`,
        ...(lan === undefined ? [] : [`route add ${lan.subnet6} via fe80::${node} dev ${port}`]),
      );
      await outside.ip6(`rule add iif ${port} lookup ${slowTable}`);
    }
  }

  async #setRouterRules(): Promise<void> {
    const { routers } = this.#mappings();
    for (const [name, router] of Object.entries(this.topology.routers ?? {})) {
      const rules = routerRules({
        router,
        plan: this.plan.routers[name] ?? fail(name),
        mappings: routers[name] ?? [],
        forgotten: this.#forgotten[name] ?? 0,
      });
      await this.#namespace(name).nft(rules);
    }
  }

  #mappings(): PortMappings {
    return planPortMappings(this.topology, this.#forgotten);
  }

  /** What the internet sees packets of a host come from, wherever the host is. */
  #networksOf(host: HostName): Networks {
    const nodes = this.plan.hosts[host].attachments.map(({ to }) => this.#outermost(host, to));
    const lans = Object.values(this.plan.routers).filter(({ node }) => nodes.includes(node));
    return {
      ipv4: nodes.map((node) => publicAddress(node).ipv4).join(", "),
      ipv6: [
        ...nodes.map((node) => publicAddress(node).ipv6),
        ...lans.map(({ lan }) => lan.subnet6),
      ].join(", "),
    };
  }

  #outermost(host: HostName, place: Place): number {
    if (place === "internet") {
      return this.plan.hosts[host].node;
    }
    const behind = this.topology.routers?.[place]?.behind;
    return behind === undefined
      ? (this.plan.routers[place] ?? fail(place)).node
      : this.#outermost(host, behind);
  }

  #namespace(node: string): NetworkNamespace {
    return this.#namespaces.get(node) ?? fail(node);
  }
}

interface Networks {
  readonly ipv4: string;
  readonly ipv6: string;
}

interface NftCounters {
  readonly nftables: readonly {
    readonly counter?: { readonly name: string; readonly bytes: number };
  }[];
}

/** Of this process. */
let networks = 0;

/** The routing table for packets that have not been through the slow link yet. */
const slowTable = 100;

const forwarding = {
  "net.ipv4.ip_forward": 1,
  "net.ipv6.conf.all.forwarding": 1,
  "net.ipv4.conf.all.rp_filter": 0,
  "net.ipv4.conf.default.rp_filter": 0,
};

/** Addresses are usable at once, and there are none but ours. */
const quickIpv6 = {
  "net.ipv6.conf.default.accept_dad": 0,
  "net.ipv6.conf.default.accept_ra": 0,
};

/** IPv6 addresses are given here: an interface that goes down loses them. */
function routes({ to, ipv4, ipv6 }: Attachment, device: string): string[] {
  return [
    ...(ipv4 === undefined
      ? []
      : [
          ...(to === "internet" ? [`route add ${ipv4.gateway}/32 dev ${device}`] : []),
          `route add default via ${ipv4.gateway} dev ${device}`,
        ]),
    ...(ipv6 === undefined
      ? []
      : [
          `address add ${ipv6.address}/${ipv6.length} dev ${device} nodad`,
          `route add ::/0 via ${ipv6.gateway} dev ${device}`,
        ]),
  ];
}

function fail(node: string): never {
  throw new RangeError(`no ${node} in this network`);
}
