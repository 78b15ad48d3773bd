import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { Signal } from "../base/signal.ts";
import {
  type Health,
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "./gen/grpc/health/v1/health_pb.ts";

/** What a router says of itself to those who ask by gRPC's health service. */
export interface RouterHealth {
  /**
   * Says whether a service, or with "" the whole router, takes calls at present. Nothing else changes: calls that come are
   * served. At first all that is served is healthy. A name that is not served is known from then on.
   */
  set(service: string | { readonly typeName: string }, isServing: boolean): void;
}

/** The health of a router, and the service that tells it. A router that closes is not healthy. */
export class HealthReport implements RouterHealth {
  readonly service: Pick<ServiceImpl<typeof Health>, "check" | "watch">;
  /** By name; the router itself is "". */
  readonly #serving = new Map<string, boolean>([["", true]]);
  readonly #changed = new Signal();
  #isClosed = false;

  constructor() {
    this.service = {
      check: (request) => {
        const status = this.#statusOf(request.service);
        if (status === ServingStatus.SERVICE_UNKNOWN) {
          throw new ConnectError("no such service here", Code.NotFound);
        }
        return { status };
      },
      watch: (request, context) => this.#watch(request, context),
    };
  }

  set(service: string | { readonly typeName: string }, isServing: boolean): void {
    this.#serving.set(typeof service === "string" ? service : service.typeName, isServing);
    this.#changed.notify();
  }

  /** A service is served. */
  add(service: string): void {
    if (!this.#serving.has(service)) {
      this.set(service, true);
    }
  }

  /** Nothing is served any more, and those who watch learn no more. */
  close(): void {
    this.#isClosed = true;
    this.#changed.notify();
  }

  async *#watch(
    { service }: HealthCheckRequest,
    { signal }: HandlerContext,
  ): AsyncGenerator<{ status: ServingStatus }> {
    let told: ServingStatus | undefined;
    for (;;) {
      const status = this.#statusOf(service);
      if (status !== told) {
        told = status;
        yield { status };
      } else if (this.#isClosed) {
        return;
      } else {
        await this.#changed.wait({ signal });
      }
    }
  }

  #statusOf(service: string): ServingStatus {
    const isServing = this.#serving.get(service);
    if (isServing === undefined) {
      return ServingStatus.SERVICE_UNKNOWN;
    }
    return isServing && this.#serving.get("") === true && !this.#isClosed
      ? ServingStatus.SERVING
      : ServingStatus.NOT_SERVING;
  }
}
