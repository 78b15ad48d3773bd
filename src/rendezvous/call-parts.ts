import type { Platform } from "../base/platform.ts";
import type { RendezvousLimits } from "./rendezvous-limits.ts";
import type { RendezvousMetrics } from "./rendezvous-metrics.ts";
import type { RendezvousState } from "./rendezvous-state.ts";

/** What the long calls of a place share. */
export interface CallParts {
  readonly state: RendezvousState;
  readonly limits: RendezvousLimits;
  readonly metrics: RendezvousMetrics;
  readonly platform: Platform;
  readonly report: (error: unknown) => void;
  /** Fires when the place closes. */
  readonly closing: AbortSignal;
}
