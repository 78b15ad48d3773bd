import { socketAddress } from "../../../src/base/socket-address.ts";
import { openMulticast } from "../../../src/discovery/node-multicast.ts";

/** Why multicast cannot be had here; false where it can. */
export const noMulticast: string | false = await openMulticast(
  { groups: [socketAddress("224.0.0.251", 5353), socketAddress("ff02::fb", 5353)], ttl: 255 },
  { datagram: () => {}, failed: () => {} },
).then(
  async (socket): Promise<false> => {
    await socket.close();
    return false;
  },
  (error: unknown) => `this machine has no multicast: ${error}`,
);
