import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  type Interceptor,
  type MethodImpl,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { callScope } from "./call-scope.ts";
import { type Caller, callerName } from "./caller.ts";
import { envelopeHandler } from "./envelope-handler.ts";
import type { Route } from "./server-call.ts";
import { hasNoSideEffects } from "./side-effects.ts";
import { unaryRoute } from "./unary-route.ts";
import { unknownMethod } from "./unknown-method.ts";

/**
 * Decides whether somebody may call a method, before anything of the request's content is read. False, a throw or a
 * rejection mean no: the caller gets PermissionDenied, or the ConnectError that was thrown.
 */
export type AuthorizeCall = (caller: Caller, method: DescMethod) => boolean | Promise<boolean>;

/** Options of one service or method; they replace those of the router. */
export interface PeerServiceOptions extends ConnectRouterOptions {
  /** Asked for each call, after the router's own `authorize` said yes. Default: everybody may call. */
  readonly authorize?: AuthorizeCall;
}

export interface ServiceRoutesOptions {
  /** Of all services that do not have their own. */
  readonly handlers: ConnectRouterOptions & { readonly readMaxBytes: number };
  readonly authorize: AuthorizeCall | undefined;
  /** Goes around all handlers, inside of nothing but the call's scope. */
  readonly limitDuration: Interceptor | undefined;
  readonly report: (error: unknown) => void;
}

/** The methods that a router serves, by path. */
export class ServiceRoutes {
  readonly #options: ServiceRoutesOptions;
  readonly #router: ConnectRouter;
  readonly #routes = new Map<string, Route>();
  readonly #services = new Set<string>();

  constructor(options: ServiceRoutesOptions) {
    this.#options = options;
    this.#router = createConnectRouter(options.handlers);
  }

  get handlers(): UniversalHandler[] {
    return this.#router.handlers;
  }

  addService<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options: PeerServiceOptions = {},
  ): void {
    const methods = implementation as Partial<Record<string, unknown>>;
    const implementationOf = ({ localName }: DescMethod): unknown => {
      const method = methods[localName];
      return typeof method === "function" ? method.bind(implementation) : undefined;
    };
    this.#add(options, implementationOf, (merged) => {
      this.#router.service(service, implementation, merged);
    });
    this.#services.add(service.typeName);
  }

  addMethod<M extends DescMethod>(
    method: M,
    implementation: MethodImpl<M>,
    options: PeerServiceOptions = {},
  ): void {
    const implementationOf = (): unknown => implementation;
    this.#add(options, implementationOf, (merged) => {
      this.#router.rpc(method, implementation, merged);
    });
    this.#services.add(method.parent.typeName);
  }

  /** Also of paths that are not served: that route answers Unimplemented. */
  find(path: string): Route {
    const query = path.indexOf("?");
    const pathname = query < 0 ? path : path.slice(0, query);
    return this.#routes.get(pathname) ?? this.#unknown(pathname);
  }

  #add(
    options: PeerServiceOptions,
    implementationOf: (method: DescMethod) => unknown,
    register: (merged: ConnectRouterOptions) => void,
  ): void {
    const { authorize, ...own } = options;
    const merged = { ...this.#options.handlers, ...own };
    const known = this.#router.handlers.length;
    const limit = this.#options.limitDuration;
    const outer = limit === undefined ? [callScope] : [callScope, limit];
    register({ ...merged, interceptors: [...outer, ...(merged.interceptors ?? [])] });
    const hooks = [this.#options.authorize, authorize].filter((hook) => hook !== undefined);
    for (const handler of this.#router.handlers.slice(known)) {
      const { method } = handler;
      // A limit is an interceptor.
      const run = limit === undefined ? implementationOf(method) : undefined;
      const route: Route = {
        handle: envelopeHandler(method, run, merged, handler) ?? handler,
        readMaxBytes: merged.readMaxBytes,
        early: hasNoSideEffects(method),
        unary: unaryRoute(method, run, merged),
      };
      if (hooks.length > 0) {
        route.authorize = (caller) => this.#authorize(hooks, caller, method);
      }
      this.#routes.set(handler.requestPath, route);
    }
  }

  async #authorize(
    hooks: readonly AuthorizeCall[],
    caller: Caller,
    method: DescMethod,
  ): Promise<ConnectError | undefined> {
    const denied = new ConnectError(
      `${callerName(caller)} may not call ${method.parent.typeName}/${method.name}`,
      Code.PermissionDenied,
    );
    try {
      for (const hook of hooks) {
        if (!(await hook(caller, method))) {
          return denied;
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof ConnectError) {
        return error;
      }
      this.#options.report(error);
      return denied;
    }
  }

  #unknown(pathname: string): Route {
    const [, service = "", method = ""] = pathname.slice(0, maxEchoedPath).split("/");
    const message = this.#services.has(service)
      ? `service ${service} has no method ${method}`
      : `no service ${service} here`;
    return { handle: unknownMethod(message), readMaxBytes: this.#options.handlers.readMaxBytes };
  }
}

/** How much of a path that is not served comes back in the error. Characters. */
const maxEchoedPath = 200;
