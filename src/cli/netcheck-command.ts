import { parseStunServer } from "../net/stun-server.ts";
import type { Command } from "./command.ts";
import { exitCode } from "./exit-code.ts";
import { explain } from "./explain.ts";
import { describeNetReport, netReportJson } from "./net-report-text.ts";
import { parseOptions } from "./option-table.ts";
import { rejectArguments } from "./positionals.ts";
import { relayOptionTable, relaysOf } from "./relay-options.ts";
import { UsageError } from "./usage-error.ts";

const options = {
  ...relayOptionTable,
  stun: {
    type: "string",
    multiple: true,
    value: "<host:port>",
    help: "a STUN server, which is asked where it sees us",
  },
  json: { type: "boolean", help: "print the report as JSON" },
} as const;

export const netcheckCommand: Command = {
  name: "netcheck",
  summary: "look at the network: addresses, NAT, UDP, relays",
  usage: "[options]",
  about: `Asks relays and STUN servers, all at once, and prints within three seconds what that says about this network. Nobody
is asked but those that are given. Two STUN servers, or relays with address discovery, show what kind of NAT there is.

Exit code: 0 when there is a report, also of a bad network.`,
  options,
  run: async (args, io) => {
    const { values, positionals } = parseOptions(options, args);
    rejectArguments(positionals);
    const { stun: stunServers = [], json = false } = values;
    stunServers.forEach(checkStunServer);
    const endpoint = await io.bindEndpoint({
      relays: relaysOf(values),
      stunServers,
      onError: (error) => io.note(explain(error)),
    });
    try {
      const report = await endpoint.netcheck({ signal: io.signal });
      const bound = endpoint.addr().ipAddrs;
      const lines = json ? [netReportJson(report, bound)] : describeNetReport(report, bound);
      lines.forEach(io.print);
      return exitCode.done;
    } finally {
      await endpoint.close({ timeoutMs: 0 });
    }
  },
};

function checkStunServer(text: string): void {
  try {
    parseStunServer(text);
  } catch (error) {
    throw new UsageError(`--stun: ${explain(error)}`);
  }
}
