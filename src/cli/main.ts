#!/usr/bin/env node
// The program `connect-quic`: what it shares with the rest of the process.

import { nodePlatform } from "../base/node-platform.ts";
import { Endpoint } from "../endpoint/endpoint.ts";
import { runCommandLine } from "./command-line.ts";
import { exitCode, Interrupted } from "./exit-code.ts";

const ending = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (ending.signal.aborted) {
      process.exit(exitCode[name]);
    }
    ending.abort(new Interrupted(name));
  });
}

/** As after a SIGPIPE, which Node.js ignores: whoever read what we print has gone. */
const brokenPipe = 141;
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", () => process.exit(brokenPipe));
}

// Endpoints and their timers do not keep the process alive; a command does.
setInterval(() => {}, 0x7fff_ffff);
const code = await runCommandLine(process.argv.slice(2), {
  print: (text) => process.stdout.write(`${text}\n`),
  note: (text) => process.stderr.write(`${text}\n`),
  signal: ending.signal,
  platform: nodePlatform,
  bindEndpoint: (options) => Endpoint.bind(options),
});
// All is closed. What may go on is a name that the system looks up, which cannot be called off.
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
