import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import type { ConsoleService } from "./gen/connectquic/worker/v1/console_pb.js";
import type { Worker } from "./worker.ts";
import { maxWatchers } from "./worker-limits.ts";

/** From one response of a watch to the next, at least: as often as people see a difference. Milliseconds. */
const watchIntervalMs = 100;

/** What a worker's page calls. */
export function consoleService(
  worker: Worker,
  platform: Platform,
): ServiceImpl<typeof ConsoleService> {
  let watchers = 0;
  async function* watch(_: unknown, context: HandlerContext) {
    if (watchers >= maxWatchers) {
      throw new ConnectError(
        `${maxWatchers} pages watch already: close one`,
        Code.ResourceExhausted,
      );
    }
    watchers += 1;
    const signal = AbortSignal.any([context.signal, worker.ending]);
    try {
      for (let seen: number | undefined; !signal.aborted; ) {
        const { changes, version } = worker.state.changesSince(seen);
        if (seen !== version) {
          yield changes;
          await pause(watchIntervalMs, { platform, signal });
        } else {
          await worker.changed.wait({ signal });
        }
        seen = version;
      }
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    } finally {
      watchers -= 1;
    }
  }
  return {
    watch,
    dial: ({ target }) => ({ peerId: worker.dial(target) }),
    disconnect: async ({ peerId }) => {
      await worker.disconnect(peerId);
      return {};
    },
    sendMessage: async ({ peerId, way, text }) => {
      await worker.sendMessage(peerId, way, text);
      return {};
    },
    startBenchmark: ({ peerId, direction, totalBytes }) => ({
      number: BigInt(worker.startBenchmark(peerId, direction, totalBytes)),
    }),
    cancelBenchmark: ({ number }) => {
      worker.cancelBenchmark(Number(number));
      return {};
    },
    startFile: ({ peerId, name, size }) => ({
      number: BigInt(worker.startFile(peerId, name, size)),
    }),
    findPartner: ({ pool }) => {
      worker.findPartner(pool);
      return {};
    },
    leavePartner: () => {
      worker.leavePartner();
      return {};
    },
    checkNetwork: async () => {
      await worker.checkNetwork();
      return {};
    },
  };
}

async function pause(
  ms: number,
  { platform, signal }: { readonly platform: Platform; readonly signal: AbortSignal },
): Promise<void> {
  const { promise, resolve } = deferred<void>();
  const timer = platform.setTimer(ms, resolve);
  const stopListening = onAbort(signal, resolve);
  await promise;
  stopListening();
  platform.clearTimer(timer);
}
