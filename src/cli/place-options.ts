import type { PublishedAddrs } from "../discovery/pkarr-publisher.ts";
import { checkLabels, checkName } from "../rendezvous/registration.ts";
import { MeetingPlace } from "../worker/meeting-place.ts";
import { explain } from "./explain.ts";
import { type OptionValues, quote } from "./option-table.ts";
import type { relayOptionTable } from "./relay-options.ts";
import { UsageError } from "./usage-error.ts";

/** Options of a command that registers at a place of rendezvous. */
export const placeOptionTable = {
  rendezvous: {
    type: "string",
    value: "<url, ticket or id>",
    help: "register at this place of rendezvous, and find peers there: its URL, such as\nhttps://rendezvous.example, or its ticket or id, to call it by its key",
  },
  "rendezvous-token": {
    type: "string",
    value: "<text>",
    help: "shown to the place, which may let in nobody without",
  },
  namespace: {
    type: "string",
    value: "<text>",
    help: "the registry to be in: who is in another is not seen (default: the one without\na name)",
  },
  publish: {
    type: "string",
    value: "<all or relay>",
    help: "which addresses others see there: all, or the relay's alone, and the rest is for\npeers that are connected (default: all)",
  },
  label: {
    type: "string",
    multiple: true,
    value: "<key=value>",
    help: "what others see there, besides --name, which is the label 'name'",
  },
  pair: {
    type: "boolean",
    help: "find a partner there and dial it, and another whenever there is none",
  },
  pool: {
    type: "string",
    value: "<text>",
    help: "with --pair: whoever names the same one may be the partner (default: the one\nwithout a name)",
  },
} as const;

export interface Meeting extends AsyncDisposable {
  readonly place: MeetingPlace;
  readonly addrs: PublishedAddrs;
  readonly labels: Readonly<Record<string, string>>;
  readonly pool: string | undefined;
}

/** Undefined for no place. Throws {@link UsageError}. */
export function meetingOf(
  values: OptionValues<typeof placeOptionTable & typeof relayOptionTable>,
): Meeting | undefined {
  const { rendezvous: to, namespace, publish = "all", label = [], pair = false, pool } = values;
  const { "rendezvous-token": token, relay } = values;
  if (to === undefined) {
    const [alone] = Object.keys(placeOptionTable).filter((name) => Object.hasOwn(values, name));
    if (alone !== undefined) {
      throw new UsageError(`--${alone} is for --rendezvous, which is missing`);
    }
    return undefined;
  }
  if (pool !== undefined && !pair) {
    throw new UsageError("--pool is for --pair, which is missing");
  }
  if (publish !== "all" && publish !== "relay") {
    throw new UsageError(`--publish takes all or relay, found ${quote(publish)}`);
  }
  if (publish === "relay" && relay === undefined) {
    throw new UsageError("--publish relay is for --relay, which is missing: nobody would find us");
  }
  const labels = labelsOf(label);
  checked("--namespace", () => checkName("namespace", namespace ?? ""));
  checked("--pool", () => checkName("pool", pool ?? ""));
  const place = checked("--rendezvous", () => new MeetingPlace({ to, namespace, token }));
  return {
    place,
    addrs: publish,
    labels,
    pool: pair ? (pool ?? "") : undefined,
    [Symbol.asyncDispose]: () => place.close(),
  };
}

function labelsOf(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels = new Map<string, string>();
  for (const text of texts) {
    const [, key = "", value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (value === undefined) {
      throw new UsageError(`--label takes <key>=<value>, such as zone=north, found ${quote(text)}`);
    }
    if (labels.has(key)) {
      throw new UsageError(`--label gives ${quote(key)} twice`);
    }
    labels.set(key, value);
  }
  const record = Object.fromEntries(labels);
  checked("--label", () => checkLabels(record));
  return record;
}

function checked<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`${option}: ${explain(error)}`);
  }
}
