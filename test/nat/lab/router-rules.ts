import type { RouterPlan } from "./address-plan.ts";
import type { PortMapping } from "./port-mappings.ts";
import type { Router } from "./topology.ts";

export interface RouterRulesOptions {
  readonly router: Router;
  readonly plan: RouterPlan;
  /** Of the peers' ports. */
  readonly mappings: readonly PortMapping[];
  /** How often it has lost its mappings. Default 0. */
  readonly forgotten?: number;
}

/**
 * The packet filter of a router, for `nft -f`; replaces what was there. Its interfaces are `wan` and `lan`.
 *
 * Linux maps by destination (the next free port when two collide) and filters by address and port. An endpoint-independent
 * mapping is therefore written out for the peers' ports, which are known, and everything else is masqueraded.
 */
export function routerRules({ router, plan, mappings, forgotten = 0 }: RouterRulesOptions): string {
  const { mapping = "endpoint-independent", filtering, hairpin = false, udp = true } = router;
  const open = filtering === "endpoint-independent";
  return `table inet router
delete table inet router
table inet router {
  chain before {
    type filter hook prerouting priority raw; policy accept;
    ${forgotten === 0 ? "" : forget(forgotten)}
  }
  chain destination {
    type nat hook prerouting priority dstnat; policy accept;
    ${lines(open ? mappings : [], (port) => `iifname "wan" ${redirect(port)}`)}
    ${lines(hairpin ? mappings : [], (port) => `iifname "lan" ${redirect(port)}`)}
  }
  chain arriving {
    type filter hook input priority filter; policy accept;
    iifname "wan" ct state new drop
    iifname "lan" meta l4proto udp drop
  }
  chain passing {
    type filter hook forward priority filter; policy accept;
    ${udp ? "" : "meta l4proto udp drop"}
    iifname "lan" ip saddr != ${plan.lan.subnet} drop
    iifname "wan" ct status dnat accept
    iifname "wan" ct state new drop
  }
  chain source {
    type nat hook postrouting priority srcnat; policy accept;
    ${lines(mappings, (port) => `oifname "wan" ${translate(port)}`)}
    ${lines(hairpin ? mappings : [], (port) => `oifname "lan" ct status dnat ${translate(port)}`)}
    ${mapping === "endpoint-independent" ? "" : 'oifname "wan" meta nfproto ipv4 meta l4proto udp masquerade fully-random'}
    oifname "wan" meta nfproto ipv4 masquerade
  }
}
`;
}

/**
 * Connection tracking cannot be told to forget, but it can be made to look elsewhere: in another zone nothing is known.
 * Only UDP: a router that starts again does not break TCP connections whose ports it keeps.
 */
function forget(times: number): string {
  return `meta l4proto udp ct zone set ${times}`;
}

function redirect({ inside, insidePort, outside, outsidePort }: PortMapping): string {
  return `ip daddr ${outside} udp dport ${outsidePort} dnat ip to ${inside}:${insidePort}`;
}

function translate({ inside, insidePort, outside, outsidePort }: PortMapping): string {
  return `ip saddr ${inside} udp sport ${insidePort} snat ip to ${outside}:${outsidePort}`;
}

function lines<T>(values: readonly T[], write: (value: T) => string): string {
  return values.map(write).join("\n    ");
}
