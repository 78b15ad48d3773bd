import type { DiscoverySource } from "../discovery/discovery.ts";
import type { RelayOptions } from "../endpoint/endpoint.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { parseTarget } from "../identity/target.ts";
import type { Command } from "./command.ts";
import { discoveryOf, discoveryOptionTable } from "./discovery-option.ts";
import { explain } from "./explain.ts";
import { jsonLine } from "./json-line.ts";
import { countOf, type OptionValues, parseOptions, secondsOf } from "./option-table.ts";
import { type PingPlan, ping } from "./ping.ts";
import { describePingEvent, type PingEvent } from "./ping-event.ts";
import { onlyArgument } from "./positionals.ts";
import { relayOptionTable, relaysOf } from "./relay-options.ts";
import { callRoundTrips, pathRoundTrips } from "./round-trips.ts";
import { UsageError } from "./usage-error.ts";

const defaultCount = 10;
const defaultIntervalMs = 1_000;
const defaultTimeoutMs = 10_000;
/** Nobody is to be flooded. */
const leastInterval = 0.01;
const leastTimeout = 0.1;

const options = {
  count: { type: "string", value: "<n>", help: `how many pings (default: ${defaultCount})` },
  interval: {
    type: "string",
    value: "<s>",
    help: `seconds between them (default: ${defaultIntervalMs / 1_000})`,
  },
  timeout: {
    type: "string",
    value: "<s>",
    help: `how long the peer may take to be reached, and to answer (default: ${defaultTimeoutMs / 1_000})`,
  },
  ...relayOptionTable,
  ...discoveryOptionTable,
  "until-direct": {
    type: "boolean",
    help: "end with the first answer that came without a relay; none is a failure",
  },
  alpn: {
    type: "string",
    value: "<name>",
    help: "connect by this protocol, to any program of iroh's, and print what QUIC\nexpects of a round trip: no message is sent",
  },
  key: { type: "string", value: "<file>", help: "who to be (default: a new key)" },
  json: { type: "boolean", help: "print a line of JSON for each event" },
} as const;

export const pingCommand: Command = {
  name: "ping",
  summary: "dial a peer, and print how it is reached and how long answers take",
  usage: "<ticket or id> [options]",
  about: `Dials a peer and calls it again and again: a pong is an answer, also one that says that there is no such method. Each
line says which way the answer came, over a relay or direct, and a change of the way has a line of its own.

An id alone does not say where the peer is: --relay then says where it may be connected, --discovery where to look.
With --key, take no key that another process uses now: relays would bring its calls here.

Exit code: 0 when there was an answer (with --until-direct, a direct one), 1 when there was none.`,
  options,
  run: async (args, io) => {
    const { values, positionals } = parseOptions(options, args);
    const { alpn, key, json = false } = values;
    const plan = planOf(values);
    const timeoutMs = secondsOf("timeout", values.timeout, leastTimeout) ?? defaultTimeoutMs;
    const places: Whereabouts = {
      relays: relaysOf(values),
      discovery: discoveryOf(values.discovery),
    };
    const addr = addrOf(onlyArgument(positionals, "whom to ping, a ticket or an id,"), places);
    const endpoint = await io.bindEndpoint({
      ...places,
      ...(key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(key) }),
      onError: (error) => io.note(explain(error)),
    });
    const from = { endpoint, addr, timeoutMs, signal: io.signal };
    const trips = alpn === undefined ? callRoundTrips(from) : pathRoundTrips({ ...from, alpn });
    const tell = (event: PingEvent): void => {
      const lines = json ? [jsonLine(event)] : describePingEvent(event, addr.id.short);
      lines.forEach(io.print);
    };
    try {
      const { platform, signal } = io;
      return await ping(trips, plan, { platform, signal, tell });
    } finally {
      await trips.close();
      await endpoint.close({ timeoutMs: 0 });
    }
  },
};

interface Whereabouts {
  readonly relays: readonly RelayOptions[];
  readonly discovery: readonly DiscoverySource[];
}

function planOf({
  count,
  interval,
  "until-direct": untilDirect = false,
}: OptionValues<typeof options>): PingPlan {
  return {
    count: count === undefined ? defaultCount : countOf("count", count),
    intervalMs: secondsOf("interval", interval, leastInterval) ?? defaultIntervalMs,
    untilDirect,
  };
}

/** A peer of which only the id is known may be at the relays that we use. */
function addrOf(target: string, { relays, discovery }: Whereabouts): EndpointAddr {
  const addr = parseTarget(target);
  if (!addr.isEmpty) {
    return addr;
  }
  if (relays.length === 0 && discovery.length === 0) {
    throw new UsageError(
      "an id alone does not say where the peer is: give its ticket, or --relay, or --discovery",
    );
  }
  return addr.withAddrs(relays.map(({ url }) => url));
}
