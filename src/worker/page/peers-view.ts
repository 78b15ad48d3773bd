import { Path, type Peer, PeerState } from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient, describeFailure } from "./console-client.ts";
import { element, type Row, Rows, setAttribute, setHidden, setText, svgElement } from "./dom.ts";
import { formatBytes, formatLatency, shortId } from "./format.ts";
import type { PageModel } from "./page-model.ts";
import { plotLine } from "./plot.ts";

export interface PeersView {
  update(model: PageModel, selected: string | undefined): void;
}

const plotSize = { width: 120, height: 28, slots: 60 };

/** The peers, and a way to dial another. */
export function createPeersView(root: HTMLElement, select: (id: string) => void): PeersView {
  const target = element("input", {
    id: "target",
    name: "target",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "none",
    placeholder: "Ticket or id of a peer",
    required: true,
  });
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const form = element(
    "form",
    {
      class: "dial",
      onSubmit: () => {
        setHidden(problem, true);
        consoleClient.dial({ target: target.value }).then(
          ({ peerId }) => {
            target.value = "";
            select(peerId);
          },
          (error: unknown) => {
            setText(problem, describeFailure(error));
            setHidden(problem, false);
          },
        );
      },
    },
    element("label", { for: "target", class: "visually-hidden" }, "Ticket or id of a peer"),
    target,
    element("button", { class: "primary" }, "Dial"),
  );
  const list = element("ul", { class: "peers" });
  const empty = element(
    "p",
    { class: "empty" },
    "No peers yet. Give your ticket to somebody, or dial theirs.",
  );
  root.append(
    element("div", { class: "heading" }, element("h2", { id: "peers-title" }, "Peers")),
    form,
    problem,
    empty,
    list,
  );
  let selected: string | undefined;
  const rows = new Rows<Peer>(
    list,
    ({ id }) => id,
    ({ id }) =>
      createPeerRow(
        () => select(id),
        () => selected === id,
      ),
  );
  return {
    update: (model, nowSelected) => {
      selected = nowSelected;
      setHidden(empty, model.peers.size > 0);
      rows.update([...model.peers.values()]);
    },
  };
}

export function nameOf({ id, name }: Peer): string {
  return name === "" ? shortId(id) : name;
}

/** In words, and a class for its looks. */
export function stateOf({ state, path }: Peer): { readonly text: string; readonly kind: string } {
  switch (state) {
    case PeerState.CONNECTED:
      return path === Path.DIRECT
        ? { text: "Direct", kind: "direct" }
        : path === Path.RELAY
          ? { text: "Relayed", kind: "relay" }
          : { text: "Connected", kind: "relay" };
    case PeerState.LOST:
      return { text: "Lost", kind: "lost" };
    case PeerState.UNREACHABLE:
      return { text: "Unreachable", kind: "lost" };
    default:
      return { text: "Connecting", kind: "relay" };
  }
}

function createPeerRow(choose: () => void, isSelected: () => boolean): Row<Peer> {
  const name = element("span", { class: "name" });
  const id = element("code");
  const badge = element("span", { class: "badge" });
  const line = svgElement("path", { class: "line" });
  const plot = svgElement(
    "svg",
    { class: "spark", viewBox: `0 0 ${plotSize.width} ${plotSize.height}`, "aria-hidden": "true" },
    line,
  );
  const latency = element("span", { class: "latency" });
  const traffic = element("span", { class: "traffic" });
  const button = element(
    "button",
    { type: "button", class: "peer", onClick: choose },
    element("span", { class: "who" }, name, id),
    badge,
    element("span", { class: "delay" }, plot, latency),
    traffic,
  );
  return {
    node: element("li", {}, button),
    update: (peer) => {
      const { text, kind } = stateOf(peer);
      const last = peer.latenciesMs.at(-1);
      const isConnected = peer.state === PeerState.CONNECTED;
      setText(name, nameOf(peer));
      setText(id, shortId(peer.id));
      setText(badge, text);
      setAttribute(badge, "class", `badge ${kind}`);
      setAttribute(line, "d", plotLine(peer.latenciesMs, plotSize));
      setAttribute(plot, "class", isConnected ? "spark" : "spark past");
      setText(latency, isConnected && last !== undefined ? formatLatency(last) : "–");
      setText(
        traffic,
        `↑ ${formatBytes(Number(peer.bytesSent))}  ↓ ${formatBytes(Number(peer.bytesReceived))}`,
      );
      setAttribute(button, "aria-pressed", String(isSelected()));
    },
  };
}
