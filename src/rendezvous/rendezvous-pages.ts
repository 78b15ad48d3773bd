import { formatTransportAddr } from "../identity/transport-addr.ts";
import type { PeerEntry } from "./peer-set.ts";
import type { RendezvousGauges, RendezvousMetrics } from "./rendezvous-metrics.ts";
import type { RendezvousState } from "./rendezvous-state.ts";

/** Peers that `/debug/list_workers` shows at most. */
const maxListed = 10_000;

export interface RendezvousPage {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface PageSource {
  readonly state: RendezvousState;
  readonly metrics: RendezvousMetrics;
  readonly calls: () => Pick<RendezvousGauges, "holds" | "watches" | "pairCalls">;
  readonly trouble: string | undefined;
}

/**
 * What operators ask for: `/healthz` (200, or 503 with the reason), `/metrics`, and `/debug/list_workers` with the parameter
 * `namespace`. Undefined for any other path.
 */
export async function rendezvousPage(
  target: string,
  source: PageSource,
): Promise<RendezvousPage | undefined> {
  const { pathname, searchParams } = new URL(target, "http://localhost");
  switch (pathname) {
    case "/healthz":
      return source.trouble === undefined
        ? page(200, "text/plain", "ok\n")
        : page(503, "text/plain", `${source.trouble}\n`);
    case "/metrics":
      return page(
        200,
        "application/openmetrics-text; version=1.0.0",
        source.metrics.toOpenMetrics({
          ...source.calls(),
          stateUp: source.state.trouble === undefined,
          registrations: await registrationsOf(source.state),
        }),
      );
    case "/debug/list_workers":
      return await workers(source, searchParams.get("namespace"));
    default:
      return undefined;
  }
}

async function registrationsOf(state: RendezvousState): Promise<number | undefined> {
  try {
    return await state.registrations();
  } catch {
    return undefined;
  }
}

async function workers({ state }: PageSource, namespace: string | null): Promise<RendezvousPage> {
  try {
    const names = namespace === null ? await state.namespaces() : [namespace];
    const all: PeerEntry[] = [];
    let total = 0;
    for (const name of names) {
      const entries = (await state.set(name))?.entries ?? [];
      total += entries.length;
      all.push(...entries.slice(0, maxListed - all.length));
    }
    return page(200, "application/json", `${JSON.stringify({ total, workers: all.map(show) })}\n`);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return page(503, "application/json", `${JSON.stringify({ error: problem })}\n`);
  }
}

function show({ record, registeredAtMs }: PeerEntry): unknown {
  const { id, namespace, services, labels, addr, signedUs } = record;
  return {
    id: id.toString(),
    namespace,
    services,
    labels,
    addrs: addr.addrs.map(formatTransportAddr),
    registeredAt: new Date(registeredAtMs).toISOString(),
    signedAt: new Date(Number(signedUs / 1_000n)).toISOString(),
  };
}

function page(status: number, type: string, body: string): RendezvousPage {
  return {
    status,
    headers: {
      "content-type": `${type}; charset=utf-8`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
    body,
  };
}
