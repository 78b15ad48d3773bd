import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  type MethodImpl,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { callScope } from "../rpc/call-scope.ts";
import { defaultReadMaxBytes } from "../rpc/message-limits.ts";

/** Registers services, as for Connect's own adapters: `(router) => router.service(ElizaService, eliza)`. */
export type TunnelRoutesFn = (router: ConnectRouter) => void;

/** Of the services in a tunnel: those of Connect's routers that mean something without HTTP. */
export type TunnelRouterOptions = Omit<
  ConnectRouterOptions,
  | "acceptCompression"
  | "compressMinBytes"
  | "connect"
  | "grpc"
  | "grpcWeb"
  | "requireConnectProtocolHeader"
>;

/** The methods that can be called through a tunnel. */
export class TunnelRoutes {
  readonly #byPath = new Map<string, UniversalHandler>();

  constructor(routes: TunnelRoutesFn, options: TunnelRouterOptions = {}) {
    const router = new ScopedRouter({
      ...options,
      readMaxBytes: options.readMaxBytes ?? defaultReadMaxBytes,
      acceptCompression: [],
      connect: false,
      grpcWeb: false,
    });
    routes(router);
    for (const handler of router.handlers) {
      this.#byPath.set(handler.requestPath, handler);
    }
  }

  /** @param methodName such as `/package.Service/Method`, or that without the first slash; throws ConnectError */
  find(methodName: string): UniversalHandler {
    const path = methodName.startsWith("/") ? methodName : `/${methodName}`;
    const handler = this.#byPath.get(path);
    if (handler === undefined) {
      const name = path.slice(1, maxEchoedName);
      throw /^[^/]+\/[^/]+$/.test(name)
        ? new ConnectError(`${name} is not implemented`, Code.Unimplemented)
        : new ConnectError(`${name} is not the name of a method`, Code.InvalidArgument);
    }
    return handler;
  }
}

/** A router whose handlers all learn when their call is complete, whatever options a service has. */
class ScopedRouter implements ConnectRouter {
  readonly #options: ConnectRouterOptions;
  readonly #router: ConnectRouter;

  constructor(options: ConnectRouterOptions) {
    this.#options = options;
    this.#router = createConnectRouter(options);
  }

  get handlers(): UniversalHandler[] {
    return this.#router.handlers;
  }

  service<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: ConnectRouterOptions,
  ): this {
    this.#router.service(service, implementation, this.#scoped(options));
    return this;
  }

  rpc<M extends DescMethod>(
    method: M,
    implementation: MethodImpl<M>,
    options?: ConnectRouterOptions,
  ): this {
    this.#router.rpc(method, implementation, this.#scoped(options));
    return this;
  }

  #scoped(options: ConnectRouterOptions | undefined): ConnectRouterOptions {
    const { acceptCompression, connect, grpcWeb } = this.#options;
    const merged = { ...this.#options, ...options };
    return {
      ...merged,
      ...(acceptCompression === undefined ? {} : { acceptCompression }),
      ...(connect === undefined ? {} : { connect }),
      ...(grpcWeb === undefined ? {} : { grpcWeb }),
      grpc: true,
      interceptors: [callScope, ...(merged.interceptors ?? [])],
    };
  }
}

/** How much of a name that is not served comes back in the error. Characters. */
const maxEchoedName = 200;
