import { randomBytes } from "node:crypto";
import { aborted } from "../base/on-abort.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import type { EndpointOptions } from "../endpoint/endpoint.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { parseTarget } from "../identity/target.ts";
import type { ListenAddress } from "../relay/server/relay-listener.ts";
import { readPageFiles } from "../worker/page-files.ts";
import { PageServer } from "../worker/page-server.ts";
import { minTokenLength } from "../worker/page-token.ts";
import { Worker } from "../worker/worker.ts";
import type { Command } from "./command.ts";
import { discoveryOf, discoveryOptionTable } from "./discovery-option.ts";
import { exitCode } from "./exit-code.ts";
import { explain } from "./explain.ts";
import { parseListenAddress } from "./listen-address.ts";
import { type OptionValues, secondsOf } from "./option-table.ts";
import { meetingOf, placeOptionTable } from "./place-options.ts";
import { rejectArguments } from "./positionals.ts";
import { printable } from "./printable.ts";
import { relayOptionTable, relaysOf } from "./relay-options.ts";
import { configOptionTable, readSettings } from "./settings.ts";
import { UsageError } from "./usage-error.ts";
import { packageVersion } from "./version.ts";

/** All that can be set, on the command line, in the environment and in a file. */
const workerOptionTable = {
  name: { type: "string", value: "<text>", help: "what peers see (default: none, just the id)" },
  key: {
    type: "string",
    value: "<file>",
    help: "who to be: the key in this file, which is made if it does not exist\n(default: a new key each time)",
  },
  peer: {
    type: "string",
    multiple: true,
    value: "<ticket or id>",
    help: "a peer to dial, and again whenever it is lost",
  },
  allow: {
    type: "string",
    multiple: true,
    value: "<id>",
    help: "let in this peer; without it, whoever knows the ticket",
  },
  bind: {
    type: "string",
    multiple: true,
    value: "<ip:port>",
    help: "where to listen for peers, over UDP (default: all addresses, a free port)",
  },
  ...relayOptionTable,
  stun: {
    type: "string",
    multiple: true,
    value: "<host:port>",
    help: "a STUN server, which is asked where it sees us",
  },
  ...discoveryOptionTable,
  ...placeOptionTable,
  "recheck-interval": {
    type: "string",
    value: "<seconds>",
    help: "from one look at the network to the next (default: 60)",
  },
  page: {
    type: "string",
    value: "<ip:port>",
    help: "where to serve the page; off for no page (default: 127.0.0.1, a free port)",
  },
  "page-token": {
    type: "string",
    value: "<text>",
    help: `what a browser has to show, at least ${minTokenLength} characters (default: none on this\nmachine alone, elsewhere one that is made up and printed)`,
  },
  "page-host": {
    type: "string",
    multiple: true,
    value: "<name>",
    help: "a name by which browsers reach the page, besides localhost and IP addresses",
  },
  ...configOptionTable,
} as const;

type Settings = OptionValues<typeof workerOptionTable>;

/** A connection is kept alive every 3 s, so a peer that was killed is missed after this. Milliseconds. */
const idleTimeoutMs = 10_000;
const defaultPage: ListenAddress = { host: "127.0.0.1", port: 0 };

export const workerCommand: Command = {
  name: "worker",
  summary: "run a peer with a web page: network, peers, chat, benchmark, files",
  usage: "[options]",
  about: `Runs a peer that shows on a web page who it is, what network it is in, and its peers: which way data goes to them, how
long that takes, a chat with them, benchmarks and files. Prints the URL of the page and the ticket.

With --rendezvous it registers there with its name, labels and addresses, shows who else is there, and finds partners. Where
that cannot be reached it says so, goes on, and tries again until it can.

The page is for this machine alone, unless --page says otherwise; then a browser has to show a token. It speaks plain HTTP:
across a network, put a server in front of it that does TLS, and name it with --page-host.

Each option can also be an environment variable: --page-token is CONNECT_QUIC_PAGE_TOKEN; several values stand apart by
blanks. Or it stands in the file that --config names. The command line counts first, then the environment, then the file.

Ctrl-C or SIGTERM ends it after it has unregistered and told its peers; the second time it ends at once. Exit code: 0
after that, 1 when it cannot listen.`,
  options: workerOptionTable,
  run: async (args, { bindEndpoint, note, platform, print, signal }) => {
    const { values, positionals } = await readSettings(workerOptionTable, args, process.env);
    rejectArguments(positionals);
    const page = pageOf(values);
    const recheckIntervalMs = secondsOf("recheck-interval", values["recheck-interval"], 1);
    values.peer?.forEach(parseTarget);
    await using meeting = meetingOf(values);
    const files = page === undefined ? undefined : await readPageFiles();
    const endpoint = await bindEndpoint({
      ...(await endpointOptionsOf(values)),
      discovery: [
        ...discoveryOf(values.discovery),
        ...(meeting === undefined ? [] : [meeting.place.discovery]),
      ],
      platform,
      onError: (error) => note(explain(error)),
    });
    try {
      signal.throwIfAborted();
      await using worker = new Worker({
        endpoint,
        name: values.name ?? "",
        version: packageVersion(),
        peers: values.peer ?? [],
        meeting: meeting && { ...meeting, onTold: (text) => note(printable(text)) },
        ...(recheckIntervalMs === undefined ? {} : { recheckIntervalMs }),
      });
      await using server =
        page === undefined || files === undefined
          ? undefined
          : await PageServer.start({ ...page, worker, files });
      await online(endpoint, signal);
      if (server !== undefined && page !== undefined) {
        const query = page.token === undefined ? "" : `?token=${encodeURIComponent(page.token)}`;
        print(`page    http://${formatSocketAddress(server.address)}/${query}`);
      }
      print(`id      ${endpoint.id}`);
      print(`ticket  ${endpoint.ticket()}`);
      await aborted(signal);
      note("stopping; peers are told");
    } finally {
      await endpoint.close({ timeoutMs: 0 });
    }
    return exitCode.done;
  },
};

/** How long to wait for a relay before the ticket is printed without it. Milliseconds. */
const onlineTimeoutMs = 5_000;

async function online(
  endpoint: { online(options: { readonly signal: AbortSignal }): Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(onlineTimeoutMs)]);
  try {
    await endpoint.online({ signal: patience });
  } catch (error) {
    if (!patience.aborted) {
      throw error;
    }
  }
  signal.throwIfAborted();
}

async function endpointOptionsOf(values: Settings): Promise<EndpointOptions> {
  const allowed = values.allow?.map((id) => EndpointId.parse(id));
  return {
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    ...(values.bind === undefined ? {} : { bind: values.bind }),
    ...(allowed === undefined
      ? {}
      : { authorize: ({ id }) => allowed.some((one) => one.equals(id)) }),
    relays: relaysOf(values),
    stunServers: values.stun ?? [],
    transport: { idleTimeoutMs },
  };
}

/** Undefined for no page. Throws {@link UsageError}. */
function pageOf(values: Settings) {
  const { page, "page-token": given, "page-host": hosts = [] } = values;
  if (page === "off") {
    if (given !== undefined || hosts.length > 0) {
      throw new UsageError(
        "--page off serves no page: it takes no --page-token and no --page-host",
      );
    }
    return undefined;
  }
  if (given !== undefined && given.length < minTokenLength) {
    throw new UsageError(
      `--page-token takes at least ${minTokenLength} characters, found ${given.length}`,
    );
  }
  const listen = page === undefined ? defaultPage : parseListenAddress("page", page);
  const token = given ?? (isThisMachine(listen) ? undefined : randomBytes(16).toString("hex"));
  return { listen, hosts, token };
}

/** Whether others cannot reach it. */
function isThisMachine({ host }: ListenAddress): boolean {
  return host !== undefined && (host.startsWith("127.") || host === "::1");
}
