import type { Transport } from "@connectrpc/connect";
import { followSignal } from "./follow-signal.ts";
import { wrapIterable } from "./wrap-iterable.ts";

/**
 * The same transport, for signals that outlive their calls: connect-es adds listeners to the signal of a call and never
 * takes them away.
 */
export function followSignals(transport: Transport): Transport {
  return {
    async unary(method, signal, ...rest) {
      const following = signal && followSignal(signal);
      try {
        return await transport.unary(method, following?.signal, ...rest);
      } finally {
        following?.release();
      }
    },
    async stream(method, signal, ...rest) {
      const following = signal && followSignal(signal);
      try {
        const response = await transport.stream(method, following?.signal, ...rest);
        const message = wrapIterable(response.message, async (messages) => {
          try {
            const result = await messages.next();
            if (result.done === true) {
              following?.release();
            }
            return result;
          } catch (error) {
            following?.release();
            throw error;
          }
        });
        return { ...response, message };
      } catch (error) {
        following?.release();
        throw error;
      }
    },
  };
}
