import type { Client, ConnectError, ContextValues } from "@connectrpc/connect";
import { nodePlatform } from "../base/node-platform.ts";
import { answeredByKey } from "../rpc/answered-by.ts";
import { CarrierCall } from "./carrier-call.ts";
import type { TunnelService } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { InheritedValues } from "./inherited-values.ts";
import { readAnnouncement } from "./negotiation.ts";
import { ServingTunnel } from "./serving-tunnel.ts";
import type { CloseTunnelOptions, OpenTunnelOptions } from "./tunnel-options.ts";
import { type TunnelRouterOptions, TunnelRoutes, type TunnelRoutesFn } from "./tunnel-routes.ts";

/** A tunnel through which the other side calls services of this one, until it is closed. */
export interface ReverseTunnelServer extends AsyncDisposable {
  /**
   * Resolves when the other side has taken the tunnel. Rejects with ConnectError when it does not, with the code of its
   * refusal if there was one.
   */
  readonly opened: Promise<void>;
  /** Resolves when the tunnel is closed, however that came: {@link closeCause} says. It does not open again. */
  readonly closed: Promise<void>;
  /** Why the tunnel is closed; undefined as long as it is not. */
  readonly closeCause: ConnectError | undefined;
  /**
   * Refuses new calls with Unavailable, lets those that run come to their end, at most `graceMs` (default 0: their handlers
   * are told to stop at once), and closes the tunnel. Resolves when all of that is done; a second call can only shorten
   * the time.
   */
  close(options?: CloseTunnelOptions): Promise<void>;
}

export interface ReverseTunnelOptions extends OpenTunnelOptions {
  /** Of the services in the tunnel. */
  readonly router?: TunnelRouterOptions;
}

/**
 * Opens a reverse tunnel: the other side, which was dialed, calls the services that `routes` registers. `client` may be on
 * any transport with streams that go both ways at once.
 *
 * ```ts
 * await using server = serveReverseTunnel(createClient(TunnelService, outer), (router) => {
 *   router.service(KioskService, kiosk);
 * });
 * await server.closed;
 * ```
 */
export function serveReverseTunnel(
  client: Pick<Client<typeof TunnelService>, "openReverseTunnel">,
  routes: TunnelRoutesFn,
  options: ReverseTunnelOptions = {},
): ReverseTunnelServer {
  const tunnel = new ServingTunnel(new TunnelRoutes(routes, options.router), options, nodePlatform);
  const carrier = new CarrierCall(nodePlatform, options);
  let values: ContextValues | undefined;
  const contextValues = new InheritedValues(options.contextValues).set(
    answeredByKey,
    (answering) => {
      values = answering;
    },
  );
  void carrier.run(tunnel, () =>
    tunnel.run(
      client.openReverseTunnel(tunnel.frames, {
        ...carrier.callOptions,
        contextValues,
        onHeader: (responseHeader) =>
          tunnel.negotiated({
            announced: readAnnouncement(responseHeader),
            tunnel: { direction: "reverse", header: carrier.header, responseHeader },
            values,
          }),
      }),
    ),
  );
  return {
    opened: tunnel.opened,
    closed: carrier.closed,
    get closeCause() {
      return tunnel.closeCause;
    },
    close: (closeOptions) => carrier.close(tunnel, closeOptions),
    [Symbol.asyncDispose]: () => carrier.close(tunnel),
  };
}
