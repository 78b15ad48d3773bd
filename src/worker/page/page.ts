// The page of a worker: one watch brings all that is to be seen.

import { PeerState } from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient, describeFailure } from "./console-client.ts";
import { setAttribute, setText } from "./dom.ts";
import { createLogView } from "./log-view.ts";
import { createNetworkView } from "./network-view.ts";
import { PageModel } from "./page-model.ts";
import { createPeerView } from "./peer-view.ts";
import { createPeersView } from "./peers-view.ts";
import { createPlaceView } from "./place-view.ts";
import { createSelfView } from "./self-view.ts";

const model = new PageModel();
let selected: string | undefined;
/** To be selected as soon as the worker has told of it. */
let wanted: string | undefined;

const showSelf = createSelfView(byId("self"));
const showNetwork = createNetworkView(byId("network"));
const showLog = createLogView(byId("log"));
const status = byId("status");
const peer = createPeerView(byId("peer"));
const select = (id: string): void => {
  wanted = id;
  show();
};
const peers = createPeersView(byId("peers"), select);
const showPlace = createPlaceView(byId("place"), (id) => {
  select(id);
  byId("peer").scrollIntoView({ block: "nearest" });
  document.getElementById("message")?.focus();
});

function show(): void {
  if (wanted !== undefined && model.peers.has(wanted)) {
    selected = wanted;
    wanted = undefined;
  }
  if (selected === undefined || !model.peers.has(selected)) {
    const all = [...model.peers.values()];
    selected = (all.find(({ state }) => state === PeerState.CONNECTED) ?? all[0])?.id;
  }
  showSelf(model);
  showNetwork(model);
  showPlace(model);
  showLog(model);
  peers.update(model, selected);
  peer.update(model, selected);
}

function setStatus(state: "live" | "waiting", text: string): void {
  setText(status, text);
  setAttribute(status, "class", `status ${state}`);
}

/** From one attempt to reach the worker to the next. Milliseconds. */
const retryMs = 1_000;
/** A page that nobody sees gives its connection back after this: a browser has six for all pages of a worker. */
const hiddenMs = 10_000;

let watching: AbortController | undefined;
let hidden: ReturnType<typeof setTimeout> | undefined;

async function watch(): Promise<void> {
  watching = new AbortController();
  const { signal } = watching;
  while (!signal.aborted) {
    let problem = "the worker has ended";
    try {
      for await (const changes of consoleClient.watch({}, { signal })) {
        model.apply(changes);
        setStatus("live", "Live");
        show();
      }
    } catch (error) {
      problem = describeFailure(error);
    }
    if (!signal.aborted) {
      setStatus("waiting", `No connection to the worker: ${problem}. Trying again…`);
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      watching?.abort();
      watching = undefined;
      setStatus("waiting", "Paused while nobody looks");
    }, hiddenMs);
  } else if (watching === undefined) {
    void watch();
  }
});

void watch();

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`the page has no ${id}`);
  }
  return found;
}
