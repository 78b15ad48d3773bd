import { createHash, timingSafeEqual } from "node:crypto";
import { aborted } from "../base/on-abort.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { redisState } from "../rendezvous/redis/redis-state.ts";
import type { RendezvousAccess } from "../rendezvous/rendezvous-host.ts";
import {
  type RendezvousListenAddress,
  RendezvousServer,
  type RendezvousServerOptions,
} from "../rendezvous/server/rendezvous-server.ts";
import type { Command } from "./command.ts";
import { exitCode } from "./exit-code.ts";
import { explain } from "./explain.ts";
import { parseListenAddress } from "./listen-address.ts";
import { type OptionValues, parseOptions, secondsOf } from "./option-table.ts";
import { rejectArguments } from "./positionals.ts";
import { relayOptionTable, relaysOf } from "./relay-options.ts";
import { certificateOf, tlsOptionTable } from "./tls-options.ts";
import { UsageError } from "./usage-error.ts";

const devListen: RendezvousListenAddress = { host: "127.0.0.1", port: 3_350 };
const tlsListen: RendezvousListenAddress = { port: 443 };

const options = {
  dev: {
    type: "boolean",
    help: "plain HTTP: to try things out, and behind a server that does TLS",
  },
  listen: {
    type: "string",
    value: "<ip:port>",
    help: "where to listen for HTTP; a port alone stands for all addresses, port 0 for any\nthat is free (default: 443, with --dev 127.0.0.1:3350)",
  },
  ...tlsOptionTable,
  bind: {
    type: "string",
    value: "<ip:port>",
    help: "where peers reach it by its key, over UDP (default: all addresses, any port)",
  },
  key: { type: "string", value: "<file>", help: "who to be for peers (default: a new key)" },
  ...relayOptionTable,
  redis: {
    type: "string",
    value: "<url>",
    help: "keep registrations in this Redis, such as redis://127.0.0.1:6379: many places\nwith the same one are one registry",
  },
  "redis-prefix": {
    type: "string",
    value: "<text>",
    help: "what the names of all keys begin with (default: {connect-quic}:)",
  },
  name: {
    type: "string",
    multiple: true,
    value: "<url or id>",
    help: "what peers call it by, besides its id: registrations for any other place are\nrefused (default: those for any place are taken)",
  },
  token: {
    type: "string",
    multiple: true,
    value: "<text>",
    help: "let in who shows this token, as 'Authorization: Bearer <text>'",
  },
  allow: { type: "string", multiple: true, value: "<id>", help: "let in this peer" },
  origin: {
    type: "string",
    multiple: true,
    value: "<origin>",
    help: "pages of this origin may call, such as https://app.example; '*' for all",
  },
  grace: {
    type: "string",
    value: "<s>",
    help: "how long a peer that is lost stays registered (default: 3)",
  },
  pages: {
    type: "string",
    value: "<ip:port>",
    help: "serve /metrics and /debug/list_workers there; 'here' for the port of the place\n(default: with --dev here, else nowhere)",
  },
} as const;

export const rendezvousCommand: Command = {
  name: "rendezvous",
  summary: "run a place where peers register and find each other",
  usage: "(--dev | --tls-cert <file> --tls-key <file>) [options]",
  about: `Runs a place where peers register with what they serve, look each other up, watch, and are paired: the service
connectquic.rendezvous.v1 over HTTP, and over QUIC by its key. Lets in everybody unless --token or --allow say otherwise;
either of both then lets in. Prints its URL as this machine can dial it, and its ticket. /healthz says whether it works.

Registrations are kept in memory, and after a restart peers register again by themselves; or in Redis, which needs the
package @redis/client.

Ctrl-C or SIGTERM ends it; peers then try again until it is back. The second time it ends at once. Exit code: 0 after that,
1 when it cannot listen.`,
  options,
  run: async (args, io) => {
    const { values, positionals } = parseOptions(options, args);
    rejectArguments(positionals);
    const tls = await certificateOf("rendezvous", values);
    const { bind, key, listen, pages } = values;
    const graceMs = secondsOf("grace", values.grace, 0.001);
    const authorize = authorizeOf(values);
    const state = stateOf(values);
    const secretKey = key === undefined ? SecretKey.generate() : await SecretKey.loadOrCreate(key);
    io.signal.throwIfAborted();
    const endpoint = await io.bindEndpoint({
      secretKey,
      relays: relaysOf(values),
      ...(bind === undefined ? {} : { bind }),
      onError: (error) => io.note(explain(error)),
    });
    try {
      const server = await RendezvousServer.start({
        endpoint,
        listen:
          listen === undefined
            ? tls === undefined
              ? devListen
              : tlsListen
            : parseListenAddress("listen", listen),
        tls,
        cors:
          values.origin === undefined
            ? undefined
            : { origins: values.origin.includes("*") ? "*" : values.origin },
        pages: pagesAt(pages ?? (tls === undefined ? "here" : undefined)),
        ...(authorize === undefined ? {} : { authorize }),
        ...(values.name === undefined
          ? {}
          : { audiences: [...values.name, secretKey.publicKey.toString()] }),
        ...state,
        ...(graceMs === undefined ? {} : { limits: { graceMs: Math.ceil(graceMs) } }),
        onError: (error) => io.note(explain(error)),
      });
      io.print(`rendezvous  ${server.url}`);
      io.print(`id          ${endpoint.id}`);
      io.print(`ticket      ${endpoint.ticket()}`);
      const { pagesAddress } = server;
      if (pagesAddress !== undefined) {
        io.print(`pages       http://${formatSocketAddress(pagesAddress)}/`);
      }
      await aborted(io.signal);
      io.note("stopping; peers come back by themselves");
      await server.close();
      return exitCode.done;
    } finally {
      await endpoint.close();
    }
  },
};

/** Undefined lets in everybody. */
function authorizeOf({
  token: tokens = [],
  allow = [],
}: OptionValues<typeof options>): RendezvousServerOptions["authorize"] {
  if (tokens.length === 0 && allow.length === 0) {
    return undefined;
  }
  const allowed = new Set(allow.map((id) => EndpointId.parse(id).toString()));
  const shown = tokens.map((token) => digest(`Bearer ${token}`));
  return ({ id, caller, header }: RendezvousAccess) => {
    const peer = id ?? (caller?.type === "peer" ? caller.id : undefined);
    const authorization = header.get("authorization");
    return (
      (peer !== undefined && allowed.has(peer.toString())) ||
      (authorization !== null && shown.some((each) => timingSafeEqual(each, digest(authorization))))
    );
  };
}

function stateOf({
  redis: url,
  "redis-prefix": prefix,
}: OptionValues<typeof options>): Pick<RendezvousServerOptions, "state"> {
  if (url === undefined) {
    if (prefix !== undefined) {
      throw new UsageError("--redis-prefix is for --redis, which is missing");
    }
    return {};
  }
  if (!URL.canParse(url) || !/^rediss?:/.test(url)) {
    throw new UsageError("--redis takes a URL with redis:// or rediss://");
  }
  return { state: redisState({ url, prefix }) };
}

/** All are of one length, so comparing them takes a time that tells nothing of where they differ. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function pagesAt(text: string | undefined): RendezvousServerOptions["pages"] {
  return text === undefined || text === "here" ? text : parseListenAddress("pages", text);
}
