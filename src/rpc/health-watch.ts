import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { RetryDelays } from "../base/retry-delays.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "./gen/grpc/health/v1/health_pb.ts";
import { createPeerClient } from "./peer-client.ts";

export interface HealthWatchOptions {
  /** How the peer is called. */
  readonly transport: Transport;
  readonly service: string;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly platform: Platform;
  /** Whether it serves, each time that it says so. */
  readonly onStatus: (isServing: boolean) => void;
}

/** What a peer answers that tells its health to nobody, or not to us: it counts as healthy. */
const untold: readonly Code[] = [Code.Unimplemented, Code.PermissionDenied, Code.Unauthenticated];

/** Follows what a peer says of its health by gRPC's health service. Resolves when that says nothing more. Never rejects. */
export async function watchHealth(options: HealthWatchOptions): Promise<void> {
  const { onStatus, platform, service, signal, transport } = options;
  const client = createPeerClient(Health, transport);
  const delays = new RetryDelays(platform);
  while (!signal.aborted) {
    try {
      for await (const { status } of client.watch({ service }, { signal })) {
        delays.succeeded();
        onStatus(status === ServingStatus.SERVING);
      }
      // It closes, or it will say more when it is asked again.
      onStatus(false);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (untold.includes(ConnectError.from(error).code)) {
        onStatus(true);
        return;
      }
    }
    await pause(platform, delays.failed(), signal).catch(() => {});
  }
}
