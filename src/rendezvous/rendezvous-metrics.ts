/** What goes on now. */
export interface RendezvousGauges {
  /** Calls that hold a registration. */
  readonly holds: number;
  readonly watches: number;
  /** Calls that wait for a partner, or have one. */
  readonly pairCalls: number;
  readonly stateUp: boolean;
  /** Undefined while that is not known. */
  readonly registrations: number | undefined;
}

/** What a place has done since it started. */
export class RendezvousMetrics {
  registered = 0;
  /** Malformed, too large, not signed by the peer, signed too early or too late, over a limit, or denied. */
  registrationsRefused = 0;
  renewed = 0;
  unregistered = 0;
  lookUps = 0;
  pairs = 0;
  /** Sent to watchers, each counted for each of them. */
  changesSent = 0;

  /** The text that Prometheus reads (OpenMetrics 1.0). */
  toOpenMetrics(now: RendezvousGauges): string {
    const counters: Row[] = [
      ["registrations", "Registrations that were taken, changes included", this.registered],
      ["registrations_refused", "Registrations that were not", this.registrationsRefused],
      ["renewals", "Leases that were renewed", this.renewed],
      ["unregistrations", "Peers that have unregistered", this.unregistered],
      ["look_ups", "Pages of peers that were looked up", this.lookUps],
      ["changes_sent", "Changes that were sent to watchers", this.changesSent],
      ["pairs", "Peers that have got a partner here", this.pairs],
    ];
    const gauges: Row[] = [
      ["holds", "Calls that hold a registration", now.holds],
      ["watches", "Calls that watch", now.watches],
      ["pair_calls", "Calls that wait for a partner, or have one", now.pairCalls],
      ["state_up", "Whether the state can be reached", now.stateUp ? 1 : 0],
      ...(now.registrations === undefined
        ? []
        : [["registered_peers", "Registrations that there are", now.registrations] as Row]),
    ];
    const lines = [
      ...counters.flatMap((row) => linesOf(row, "counter", "_total")),
      ...gauges.flatMap((row) => linesOf(row, "gauge", "")),
    ];
    return `${[...lines, "# EOF"].join("\n")}\n`;
  }
}

type Row = readonly [name: string, help: string, value: number];

function linesOf([name, help, value]: Row, type: string, suffix: string): string[] {
  return [
    `# HELP rendezvous_${name} ${help}.`,
    `# TYPE rendezvous_${name} ${type}`,
    `rendezvous_${name}${suffix} ${value}`,
  ];
}
