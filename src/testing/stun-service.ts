import { socketAddress } from "../base/socket-address.ts";
import { decodeStun, encodeStunSuccess, isStun, StunError } from "../net/stun.ts";
import type { TestHost } from "./test-host.ts";

/** RFC 8489 §18.6. */
export const stunPort = 3_478;

/** Has `host` tell whoever asks by STUN where the question came from. */
export function answerStun(host: TestHost): void {
  const addresses = host.addresses.map((address) => socketAddress(address, stunPort));
  const socket = host.bindUdp(addresses, {
    datagram: (from, bytes) => {
      try {
        const message = isStun(bytes) ? decodeStun(bytes) : undefined;
        if (message?.type === "request") {
          const response = encodeStunSuccess(message.id, from);
          socket.send(from, response, response.length);
        }
      } catch (error) {
        if (!(error instanceof StunError)) {
          throw error;
        }
      }
    },
    failed: () => {},
  });
}
