// `connect-quic rendezvous` as a process of its own, until its stdin ends. Prints its ticket.

import { runCommandLine } from "../../src/cli/command-line.ts";
import { serveParent } from "../support/process.ts";
import { RecordedIo } from "../support/recorded-io.ts";

const io = new RecordedIo();
const ended = runCommandLine(["rendezvous", "--dev", "--listen", "127.0.0.1:0"], io);
serveParent({ ticket: await io.line(/^ticket +(\S+)$/) }, async () => {
  io.interrupt();
  await ended;
});
