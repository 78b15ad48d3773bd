import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";

/**
 * A free UDP port of 127.0.0.1 for a program that is ended and started again where it was: none of those that systems give
 * to who asks for any, so that nobody has it in between.
 */
export async function lastingPort(): Promise<number> {
  for (let left = 100; left > 0; left -= 1) {
    const port = randomInt(20_000, 30_000);
    const socket = createSocket("udp4");
    try {
      socket.bind(port, "127.0.0.1");
      await once(socket, "listening");
      return port;
    } catch {
      // Somebody has it.
    } finally {
      socket.close();
    }
  }
  throw new Error("no free UDP port from 20000 to 29999");
}
