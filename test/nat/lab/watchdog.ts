// Outlives the run that started it, and removes its networks when it is gone in whichever way: our stdin ends with it.
//
//   watchdog.ts <process id of the run>

import { sweepRun } from "./sweep.ts";

const run = Number(process.argv[2]);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  // Not before the run is gone: they are meant for it.
  process.on(signal, () => {});
}
process.stdin.resume();
process.stdin.once("close", () => {
  sweepRun(run).catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
});
