import {
  type FoundWorker,
  type Pairing,
  PairingState,
  PeerState,
  type Place,
  PlaceState,
} from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient, describeFailure } from "./console-client.ts";
import { element, type Row, Rows, setAttribute, setHidden, setText } from "./dom.ts";
import { formatTime, shortId } from "./format.ts";
import type { PageModel } from "./page-model.ts";

/** Above so many workers there is a way to look for one. */
const maxUnfiltered = 8;

const badges: Readonly<Record<PlaceState, readonly [text: string, kind: string]>> = {
  [PlaceState.UNSPECIFIED]: ["Registering", "relay"],
  [PlaceState.REGISTERING]: ["Registering", "relay"],
  [PlaceState.REGISTERED]: ["Registered", "direct"],
  [PlaceState.WAITING]: ["Not registered", "lost"],
  [PlaceState.REPLACED]: ["Replaced", "lost"],
};

/** The place of rendezvous: whether this worker is registered, who else is, and partners. Hidden where none is used. */
export function createPlaceView(
  root: HTMLElement,
  select: (id: string) => void,
): (model: PageModel) => void {
  let model: PageModel | undefined;
  const badge = element("span", { class: "badge" });
  const detail = element("p", { class: "detail", "aria-live": "polite" });
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const attempt = (call: Promise<unknown>): void => {
    setHidden(problem, true);
    call.catch((error: unknown) => {
      setText(problem, describeFailure(error));
      setHidden(problem, false);
    });
  };
  const dial = (target: string): void => {
    const state = model?.peers.get(target)?.state;
    attempt(
      state === PeerState.CONNECTED
        ? Promise.resolve(select(target))
        : consoleClient.dial({ target }).then(() => select(target)),
    );
  };
  const pairing = createPairing(attempt, dial);
  const filter = element("input", {
    id: "filter",
    type: "search",
    autocomplete: "off",
    placeholder: "Name, id or label",
    onInput: () => model && update(model),
  });
  const filterRow = element(
    "div",
    {},
    element("label", { for: "filter", class: "visually-hidden" }, "Workers to show"),
    filter,
  );
  const list = element("ul", { class: "found", "aria-label": "Workers here" });
  const hint = element("p", { class: "hint", role: "status" });
  root.append(
    element("div", { class: "heading" }, element("h2", { id: "place-title" }, "Rendezvous"), badge),
    detail,
    pairing.node,
    problem,
    filterRow,
    list,
    hint,
  );
  const rows = new Rows<FoundWorker>(
    list,
    ({ id }) => id,
    ({ id }) =>
      createFoundRow(
        () => dial(id),
        () => model?.peers.get(id)?.state,
      ),
  );
  function update(now: PageModel): void {
    model = now;
    const { place, found } = now;
    setHidden(root, place === undefined);
    if (place === undefined) {
      return;
    }
    const isSilent = place.state === PlaceState.REGISTERED && place.problem !== "";
    const [text, kind] = isSilent ? ["No answer", "lost"] : badges[place.state];
    setText(badge, text);
    setAttribute(badge, "class", `badge ${kind}`);
    setText(detail, describe(place));
    setAttribute(detail, "class", place.problem === "" ? "detail" : "detail problem");
    pairing.update(place.pairing, now);
    setHidden(filterRow, found.size <= maxUnfiltered);
    const all = [...found.values()];
    const wanted = found.size <= maxUnfiltered ? "" : filter.value.trim().toLowerCase();
    const shown = all.filter((worker) => wanted === "" || fits(worker, wanted));
    rows.update(shown);
    setText(hint, describeList(place, all.length, shown.length));
  }
  return update;
}

/** Finding a partner: begin, wait, cancel, leave. */
function createPairing(
  attempt: (call: Promise<unknown>) => void,
  open: (id: string) => void,
): { readonly node: HTMLElement; update(pairing: Pairing | undefined, model: PageModel): void } {
  let partnerId = "";
  const pool = element("input", {
    id: "pool",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "none",
    placeholder: "Pool, or none",
    maxlength: 64,
  });
  const form = element(
    "form",
    {
      class: "dial",
      onSubmit: () => attempt(consoleClient.findPartner({ pool: pool.value.trim() })),
    },
    element("label", { for: "pool", class: "visually-hidden" }, "Pool"),
    pool,
    element("button", { class: "secondary" }, "Find me a partner"),
  );
  const text = element("span", { "aria-live": "polite" });
  const chat = element(
    "button",
    { type: "button", class: "quiet", onClick: () => open(partnerId) },
    "Chat",
  );
  const leave = element("button", {
    type: "button",
    class: "quiet",
    onClick: () => attempt(consoleClient.leavePartner({})),
  });
  const running = element("div", { class: "row pairing" }, text, chat, leave);
  const last = element("p", { class: "hint" });
  return {
    node: element("div", { class: "partner" }, form, running, last),
    update: (pairing, { found, peers }) => {
      const state = pairing?.state ?? PairingState.UNSPECIFIED;
      const idle = state === PairingState.UNSPECIFIED;
      const isPaired = state === PairingState.PAIRED;
      const { problem = "", sinceMs = 0n, pool: where = "" } = pairing ?? {};
      partnerId = pairing?.partnerId ?? "";
      setHidden(form, !idle);
      setHidden(running, idle);
      setHidden(chat, !isPaired);
      const since = formatTime(Number(sinceMs));
      const name = found.get(partnerId)?.name || peers.get(partnerId)?.name || shortId(partnerId);
      const pooled = where === "" ? "" : ` in the pool ${where}`;
      setText(
        text,
        isPaired
          ? `Paired with ${name}${pooled} since ${since}`
          : `Waiting for a partner${pooled} since ${since}…`,
      );
      setText(leave, isPaired ? "Leave" : "Cancel");
      setText(last, problem === "" ? "" : `${idle ? "The last one ended: " : ""}${problem}`);
    },
  };
}

function createFoundRow(dial: () => void, stateOf: () => PeerState | undefined): Row<FoundWorker> {
  const name = element("span", { class: "name" });
  const id = element("code");
  const labels = element("span", { class: "labels", dir: "auto" });
  const since = element("span", { class: "hint" });
  const button = element("button", { type: "button", class: "quiet", onClick: dial });
  return {
    node: element(
      "li",
      {},
      element("span", { class: "who" }, name, id),
      element("span", { class: "who" }, labels, since),
      button,
    ),
    update: (worker) => {
      const connected = stateOf() === PeerState.CONNECTED;
      const called = worker.name === "" ? shortId(worker.id) : worker.name;
      setText(name, called);
      setText(id, shortId(worker.id));
      setText(labels, labelsOf(worker).join("  "));
      setText(since, `Since ${formatTime(Number(worker.registeredAtMs))}`);
      setText(button, connected ? "Chat" : "Dial");
      setAttribute(button, "aria-label", `${connected ? "Chat with" : "Dial"} ${called}`);
    },
  };
}

function labelsOf({ labels }: FoundWorker): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

function fits(worker: FoundWorker, wanted: string): boolean {
  return [worker.name, worker.id, ...labelsOf(worker)].some((text) =>
    text.toLowerCase().includes(wanted),
  );
}

function describe({ name, namespace, problem, sinceMs, state }: Place): string {
  const where = namespace === "" ? name : `${name}, namespace ${namespace}`;
  const since = formatTime(Number(sinceMs));
  switch (state) {
    case PlaceState.REGISTERED:
      return problem === ""
        ? `At ${where}, since ${since}`
        : `At ${where}, which does not answer: ${problem}. Trying again…`;
    case PlaceState.WAITING:
      return `Not at ${where} since ${since}: ${problem}. Trying again…`;
    case PlaceState.REPLACED:
      return `Not at ${where} since ${since}: ${problem}.`;
    default:
      return `Registering at ${where}…`;
  }
}

function describeList({ listed, untold }: Place, all: number, shown: number): string {
  const more = untold === 0 ? "" : `, and ${untold} more than are listed: dial those by their ids`;
  if (all === 0) {
    return listed ? "No other worker is here yet." : "Who else is here is not known yet.";
  }
  return shown === all && untold === 0 ? "" : `${shown} of ${all} workers${more}`;
}
