import {
  createPeerRouter,
  Endpoint,
  type ListenOptions,
  type PublicListener,
} from "../../src/index.ts";
import type { PeerRouter, PeerRouterOptions } from "../../src/rpc/peer-router.ts";
import { TestAuthority } from "./test-pki.ts";

export interface PublicRouterOptions extends Pick<ListenOptions, "engine">, PeerRouterOptions {}

/** A router on loopback that shows a certificate of a test's own authority. */
export interface PublicRouter extends AsyncDisposable {
  readonly router: PeerRouter;
  readonly listener: PublicListener;
  readonly port: number;
  /** The authority, in PEM. */
  readonly ca: string;
}

let authority: Promise<TestAuthority> | undefined;

/** The authority of this process. */
export function testAuthority(): Promise<TestAuthority> {
  authority ??= TestAuthority.create();
  return authority;
}

/** Starts to listen; services can be registered afterwards. */
export async function servePublicly(options: PublicRouterOptions = {}): Promise<PublicRouter> {
  const { engine, ...routerOptions } = options;
  const issuer = await testAuthority();
  const { certPem, keyPem } = await issuer.server(["127.0.0.1", "localhost"]);
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, routerOptions);
  const listener = await router.listen({
    bind: "127.0.0.1:0",
    cert: certPem,
    key: keyPem,
    ...(engine === undefined ? {} : { engine }),
  });
  return {
    router,
    listener,
    port: listener.addresses[0]?.port ?? 0,
    ca: issuer.certPem,
    [Symbol.asyncDispose]: async () => {
      await router.close({ graceMs: 0 });
      await endpoint.close({ timeoutMs: 0 });
    },
  };
}
