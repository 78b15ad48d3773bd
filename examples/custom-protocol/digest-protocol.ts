// A protocol of our own: on each stream the caller sends any number of bytes, and gets their SHA-256 back. It has no
// messages, no schema and no RPC in it, only QUIC streams; the bytes are hashed as they come, whatever their number.

import { createHash } from "node:crypto";
import type { BiStream, Connection, ProtocolHandler } from "connect-quic";

/** What both sides say they speak, in the TLS handshake (ALPN). The number changes when the protocol does. */
export const digestAlpn = "connect-quic-example/digest/1";

/** The serving side: gets each connection whose caller asked for {@link digestAlpn}. */
export const digestHandler: ProtocolHandler = {
  async accept(connection: Connection): Promise<void> {
    for (;;) {
      const stream = await connection.acceptBi();
      if (stream === undefined) {
        return; // The caller has closed the connection.
      }
      // Streams are served side by side, and one that breaks concerns no other.
      void answer(stream).catch(() => stream.send.reset());
    }
  },
};

async function answer({ receive, send }: BiStream): Promise<void> {
  const hash = createHash("sha256");
  for await (const bytes of receive) {
    hash.update(bytes);
  }
  await send.write(hash.digest());
  await send.finish();
}

/** The calling side. A slow peer slows the source down: nothing piles up in between. */
export async function digest(
  connection: Connection,
  source: AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const { send, receive } = await connection.openBi();
  try {
    for await (const bytes of source) {
      await send.write(bytes);
    }
  } catch (error) {
    // Without an end or a reset the other side would wait for more.
    send.reset();
    receive.stop();
    throw error;
  }
  const [answer] = await Promise.all([receive.readExact(32), send.finish()]);
  return answer;
}
