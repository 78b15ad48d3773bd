import { aborted } from "../base/on-abort.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { type AuthorizeRelayClient, allowIds, requireToken } from "../relay/server/relay-access.ts";
import type { ListenAddress } from "../relay/server/relay-listener.ts";
import { RelayServer, type RelayServerOptions } from "../relay/server/relay-server.ts";
import type { Command } from "./command.ts";
import { exitCode } from "./exit-code.ts";
import { parseListenAddress } from "./listen-address.ts";
import { type OptionValues, parseOptions } from "./option-table.ts";
import { rejectArguments } from "./positionals.ts";
import { certificateOf, tlsOptionTable } from "./tls-options.ts";
import { UsageError } from "./usage-error.ts";

/** The port of iroh's development relay too. */
const devListen: ListenAddress = { host: "127.0.0.1", port: 3_340 };
const tlsListen: ListenAddress = { port: 443 };
/** When clients are told to come back, whoever it is that will be there. */
const restartInMs = 1_000;

const options = {
  dev: {
    type: "boolean",
    help: "plain HTTP: to try things out, and behind a server that does TLS",
  },
  listen: {
    type: "string",
    value: "<ip:port>",
    help: "where to listen; a port alone stands for all addresses, port 0 for any that is\nfree (default: 443, with --dev 127.0.0.1:3340)",
  },
  ...tlsOptionTable,
  quic: {
    type: "string",
    value: "<ip:port>",
    help: "tell clients there, over UDP, from where their packets come, so that they\nreach each other directly; needs a certificate, and they ask port 7842",
  },
  token: {
    type: "string",
    multiple: true,
    value: "<text>",
    help: "let in who shows this token",
  },
  allow: { type: "string", multiple: true, value: "<id>", help: "let in this peer" },
  metrics: {
    type: "string",
    value: "<ip:port>",
    help: "serve /metrics for Prometheus there; 'here' for the relay's own port",
  },
} as const;

export const relayCommand: Command = {
  name: "relay",
  summary: "run a relay server",
  usage: "(--dev | --tls-cert <file> --tls-key <file>) [options]",
  about: `Runs a relay for peers that cannot reach each other directly; those of iroh can use it too. It passes ciphertext on, and
lets in everybody unless --token or --allow say otherwise; with both, a peer needs both. Prints its URL as this machine
can dial it; for others the host is another.

Ctrl-C or SIGTERM ends it after the clients were told to come back; the second time it ends at once. Exit code: 0 after
that, 1 when it cannot listen.`,
  options,
  run: async (args, { print, note, signal, platform }) => {
    const { values, positionals } = parseOptions(options, args);
    rejectArguments(positionals);
    const certificate = await certificateOf("a relay", values);
    const { listen, metrics, quic } = values;
    if (quic !== undefined && certificate === undefined) {
      throw new UsageError(
        "--quic needs --tls-cert and --tls-key: clients of a plain relay do not ask",
      );
    }
    const authorize = authorizeOf(values);
    signal.throwIfAborted();
    const relay = await RelayServer.start({
      platform,
      listen:
        listen === undefined
          ? certificate === undefined
            ? devListen
            : tlsListen
          : parseListenAddress("listen", listen),
      ...(certificate === undefined ? {} : { tls: certificate }),
      ...(quic === undefined ? {} : { quic: parseListenAddress("quic", quic) }),
      ...(authorize === undefined ? {} : { authorize }),
      ...(metrics === undefined ? {} : { metrics: metricsAt(metrics) }),
    });
    print(`relay    ${relay.url}`);
    if (relay.quicAddress !== undefined) {
      print(`quic     ${formatSocketAddress(relay.quicAddress)}`);
    }
    if (metrics !== undefined) {
      const { metricsAddress } = relay;
      const at =
        metricsAddress === undefined ? relay.url : `http://${formatSocketAddress(metricsAddress)}/`;
      print(`metrics  ${at}metrics`);
    }
    await aborted(signal);
    note(`stopping; clients are told to come back: ${relay.clients}`);
    await relay.close({ restartInMs });
    return exitCode.done;
  },
};

/** Undefined lets in everybody. */
function authorizeOf({
  token = [],
  allow = [],
}: OptionValues<typeof options>): AuthorizeRelayClient | undefined {
  const conditions = [
    ...(token.length > 0 ? [requireToken(token)] : []),
    ...(allow.length > 0 ? [allowIds(allow.map((id) => EndpointId.parse(id)))] : []),
  ];
  return conditions.length === 0
    ? undefined
    : async (request) => {
        for (const condition of conditions) {
          if ((await condition(request)) !== true) {
            return false;
          }
        }
        return true;
      };
}

function metricsAt(text: string): RelayServerOptions["metrics"] & {} {
  return text === "here" ? "here" : parseListenAddress("metrics", text);
}
