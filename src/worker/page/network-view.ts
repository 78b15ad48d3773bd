import { NatMapping, type Network } from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient } from "./console-client.ts";
import { element, setText } from "./dom.ts";
import { formatLatency, formatTime } from "./format.ts";
import type { PageModel } from "./page-model.ts";

const natInWords: Readonly<Record<NatMapping, string>> = {
  [NatMapping.UNSPECIFIED]: "Not known: it takes two servers that say where they see us",
  [NatMapping.NONE]: "None: others see an address of this machine",
  [NatMapping.ENDPOINT_INDEPENDENT]: "One address for all: direct paths are possible",
  [NatMapping.ENDPOINT_DEPENDENT]: "An address for each (symmetric): direct paths are hard",
};

const rows: readonly (readonly [string, (network: Network) => string])[] = [
  ["NAT", ({ natMapping }) => natInWords[natMapping]],
  ["Public addresses", ({ publicAddresses }) => publicAddresses.join("\n") || "Not known"],
  ["Own addresses", ({ ownAddresses }) => ownAddresses.join("\n") || "None"],
  ["Relay", describeRelay],
  [
    "UDP",
    ({ udp }) =>
      udp === undefined
        ? "Not known: nobody was asked"
        : udp
          ? "Gets through"
          : "Blocked, or nobody answers",
  ],
];

/** What network the worker is in. */
export function createNetworkView(root: HTMLElement): (model: PageModel) => void {
  const values = rows.map(() => element("dd"));
  const button = element(
    "button",
    {
      type: "button",
      class: "quiet",
      // What comes of it is in the next state.
      onClick: () => void consoleClient.checkNetwork({}).catch(() => {}),
    },
    "Check again",
  );
  const checked = element("span", { class: "hint" });
  root.append(
    element("h2", { id: "network-title" }, "Network"),
    element(
      "dl",
      {},
      ...rows.map(([label], at) =>
        element("div", {}, element("dt", {}, label), values[at] ?? element("dd")),
      ),
    ),
    element("div", { class: "row" }, button, checked),
  );
  return ({ network }) => {
    if (network === undefined) {
      return;
    }
    rows.forEach(([, describe], at) => {
      const value = values[at];
      if (value !== undefined) {
        setText(value, describe(network));
      }
    });
    button.disabled = network.checking;
    setText(
      checked,
      network.checking
        ? "Looking…"
        : network.checkedAtMs === 0n
          ? ""
          : `Seen at ${formatTime(Number(network.checkedAtMs))}`,
    );
  };
}

function describeRelay({ homeRelay, relays }: Network): string {
  if (relays.length === 0) {
    return "None";
  }
  return relays
    .map(({ url, latencyMs, error }) => {
      const home = url === homeRelay ? " (home)" : "";
      return latencyMs === undefined
        ? `${url}${home}: ${error}`
        : `${url}${home}, ${formatLatency(latencyMs)}`;
    })
    .join("\n");
}
