// What the servers of bench/cores.ts serve, on whatever thread.

import { createHash } from "node:crypto";
import { readlinkSync } from "node:fs";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import type { PeerRouter } from "../src/index.ts";

const blob = new Uint8Array(64 * 1024);

export function register(router: PeerRouter): void {
  router.service(EchoService, {
    /** A message that begins with "work" has something done for it that takes some 0.1 ms. */
    echo: ({ message }) => {
      if (message.startsWith("work")) {
        createHash("sha256").update(blob).digest();
      }
      return { message };
    },
  });
}

/** The number that Linux has for the thread that calls this. */
export function threadNumber(): number {
  return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
}
