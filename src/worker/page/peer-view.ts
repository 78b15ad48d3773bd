import { type Peer, PeerState } from "../gen/connectquic/worker/v1/console_pb.js";
import { createBenchmarkView } from "./benchmark-view.ts";
import { createChatView } from "./chat-view.ts";
import { consoleClient } from "./console-client.ts";
import { element, setAttribute, setHidden, setText } from "./dom.ts";
import { formatTime } from "./format.ts";
import type { PageModel } from "./page-model.ts";
import { nameOf, stateOf } from "./peers-view.ts";

export interface PeerView {
  update(model: PageModel, selected: string | undefined): void;
}

/** One peer: how it is reached, a chat with it, and benchmarks. */
export function createPeerView(root: HTMLElement): PeerView {
  let shown: Peer | undefined;
  const title = element("h2", { id: "peer-title" });
  const badge = element("span", { class: "badge" });
  const detail = element("p", { class: "detail", "aria-live": "polite" });
  const disconnect = element(
    "button",
    {
      type: "button",
      class: "quiet",
      // The state says what came of it.
      onClick: () => void consoleClient.disconnect({ peerId: shown?.id ?? "" }).catch(() => {}),
    },
    "Disconnect",
  );
  const chatRoot = element("div", { class: "chat" });
  const benchmarkRoot = element("div", { class: "benchmarks" });
  const chat = createChatView(chatRoot);
  const benchmark = createBenchmarkView(benchmarkRoot);
  root.append(
    element("div", { class: "heading" }, title, badge, disconnect),
    detail,
    element("div", { class: "panels" }, chatRoot, benchmarkRoot),
  );
  return {
    update: (model, selected) => {
      shown = selected === undefined ? undefined : model.peers.get(selected);
      setHidden(root, shown === undefined);
      if (shown === undefined) {
        return;
      }
      const { text, kind } = stateOf(shown);
      setText(title, nameOf(shown));
      setText(badge, text);
      setAttribute(badge, "class", `badge ${kind}`);
      setText(detail, describe(shown));
      setAttribute(detail, "class", kind === "lost" ? "detail problem" : "detail");
      setHidden(disconnect, shown.state !== PeerState.CONNECTED && !shown.dialed);
      setText(disconnect, shown.state === PeerState.CONNECTED ? "Disconnect" : "Stop dialing");
      chat.update(model, shown);
      benchmark.update(model, shown);
    },
  };
}

function describe({ state, remote, problem, sinceMs, dialed }: Peer): string {
  const since = formatTime(Number(sinceMs));
  const again = dialed ? " It is dialed again and again." : "";
  switch (state) {
    case PeerState.CONNECTED:
      return remote === "" ? `Connected since ${since}` : `At ${remote}, since ${since}`;
    case PeerState.LOST:
      return `Lost at ${since}: ${problem}.${again}`;
    case PeerState.UNREACHABLE:
      return `Not reached: ${problem}.${again}`;
    default:
      return "Dialing…";
  }
}
