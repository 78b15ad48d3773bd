// A run for a test to kill: builds a network, says so, and waits for its end.

import { LabNetwork } from "./lab-network.ts";
import { startWatchdog } from "./start-watchdog.ts";

startWatchdog();
await LabNetwork.create(
  { hosts: { a: { at: "internet" }, b: { at: "internet" } } },
  { delayMs: 0 },
);
process.stdout.write("built\n");
setInterval(() => {}, 1_000_000);
