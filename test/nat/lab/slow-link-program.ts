// Carries the packets of the internet: takes each from a TUN device, holds it back for as long as its way is long, and puts
// it in again. Its stdin is lines of JSON, see slow-link.ts; it ends with it.

import { read, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { DelayQueue } from "./delay-queue.ts";
import { packetNodes } from "./packet-nodes.ts";
import type { SlowLinkSettings } from "./slow-link.ts";

/** Opened by who started us. */
const tun = Number(process.argv[2]);
const queue = new DelayQueue<Buffer>();
let settings: SlowLinkSettings = { delayMs: 0 };
let timer: NodeJS.Timeout | undefined;

createInterface({ input: process.stdin })
  .on("line", (line) => {
    settings = JSON.parse(line) as SlowLinkSettings;
    process.stdout.write("\n");
  })
  // The thread that waits for a packet does not let us end in any other way.
  .once("close", () => process.kill(process.pid, "SIGKILL"));
readNext(Buffer.alloc(65_536));
process.stdout.write("\n");

function readNext(buffer: Buffer): void {
  read(tun, buffer, 0, buffer.length, null, (error, length) => {
    if (error !== null) {
      throw error;
    }
    const packet = Buffer.from(buffer.subarray(0, length));
    const now = performance.now();
    queue.add(packet, now + delayOf(packet));
    send(now);
    readNext(buffer);
  });
}

function delayOf(packet: Buffer): number {
  const [source, destination] = packetNodes(packet);
  const { delayMs, nodes } = settings;
  return (nodes?.[source] ?? delayMs) + (nodes?.[destination] ?? delayMs);
}

/** Puts in again what is due, and waits for the next. */
function send(now: number): void {
  for (const packet of queue.takeDue(now)) {
    try {
      writeSync(tun, packet);
    } catch {
      // As a link that is too full does.
    }
  }
  clearTimeout(timer);
  if (queue.nextAt !== undefined) {
    timer = setTimeout(() => send(performance.now()), queue.nextAt - now);
  }
}
