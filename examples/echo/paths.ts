// Which way data goes, as it happens.

import { type Connection, formatTransportAddr } from "connect-quic";
import { printRow } from "./terminal.ts";

/** Prints that a peer is reached over a relay, and from then on each other way that data takes. */
export function printMoves(connection: Connection): void {
  const start = performance.now();
  let before: string | undefined;
  const look = (): void => {
    const inUse = connection.paths().find(({ active }) => active);
    if (inUse === undefined) {
      return;
    }
    const place = formatTransportAddr(inUse.remote);
    if (before === undefined && inUse.remote.type === "relay") {
      printRow("path", place);
    } else if (before !== undefined && before !== place) {
      printRow("path", `${before} → ${place}`, performance.now() - start);
    }
    before = place;
  };
  look();
  connection.onPathsChanged(look);
}
