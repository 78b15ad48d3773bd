import type { Client, ConnectError, Transport } from "@connectrpc/connect";
import { nodePlatform } from "../base/node-platform.ts";
import { createCallTransport } from "./call-transport.ts";
import { CallingTunnel } from "./calling-tunnel.ts";
import { CarrierCall } from "./carrier-call.ts";
import type { TunnelService } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { readAnnouncement } from "./negotiation.ts";
import type { CloseTunnelOptions, OpenTunnelOptions, TunnelCallOptions } from "./tunnel-options.ts";

/** A transport whose calls all go through one tunnel, until that is closed. */
export interface TunnelTransport extends Transport, AsyncDisposable {
  /**
   * Resolves when the tunnel is open; calls need not wait for that. Rejects with ConnectError when it cannot be opened,
   * with the code of the peer's refusal if there was one.
   */
  readonly opened: Promise<void>;
  /** Resolves when the tunnel is closed, however that came: {@link closeCause} says. It does not open again. */
  readonly closed: Promise<void>;
  /** Why no calls are taken any more: the error that they get. Undefined as long as they are. */
  readonly closeCause: ConnectError | undefined;
  /**
   * Takes no more calls, lets those that run come to their end, at most `graceMs` (default 0: they fail at once, with
   * Canceled), and closes the tunnel. Resolves when all of that is done; a second call can only shorten the time.
   */
  close(options?: CloseTunnelOptions): Promise<void>;
}

export interface TunnelTransportOptions extends OpenTunnelOptions, TunnelCallOptions {}

/**
 * Opens a tunnel, and is a transport for calls through it: all of them reach the process that the tunnel was opened to,
 * whatever is between. `client` may be on any transport with streams that go both ways at once.
 *
 * ```ts
 * await using transport = createTunnelTransport(createClient(TunnelService, outer));
 * const eliza = createClient(ElizaService, transport);
 * ```
 *
 * When the tunnel is lost, its calls fail with Unavailable, and so do later ones: open another.
 */
export function createTunnelTransport(
  client: Pick<Client<typeof TunnelService>, "openTunnel">,
  options: TunnelTransportOptions = {},
): TunnelTransport {
  const tunnel = new CallingTunnel(options, nodePlatform);
  const carrier = new CarrierCall(nodePlatform, options);
  void carrier.run(tunnel, () =>
    tunnel.run(
      client.openTunnel(tunnel.frames, {
        ...carrier.callOptions,
        onHeader: (header) => tunnel.negotiated(readAnnouncement(header)),
      }),
    ),
  );
  return {
    ...createCallTransport(tunnel.call, options),
    opened: tunnel.opened,
    closed: carrier.closed,
    get closeCause() {
      return tunnel.closeCause;
    },
    close: (closeOptions) => carrier.close(tunnel, closeOptions),
    [Symbol.asyncDispose]: () => carrier.close(tunnel),
  };
}
