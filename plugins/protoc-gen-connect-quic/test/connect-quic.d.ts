// What generated code imports from connect-quic, as far as it needs it: the plugin is tested without the library.
// That both fit together is seen when gen/ is compiled.

import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl, Transport } from "@connectrpc/connect";

export interface Endpoint {
  readonly id: string;
}

export type Target = string;

export interface QuicTransportOptions {
  readonly endpoint: Endpoint;
  readonly to: Target;
  readonly interceptors?: readonly Interceptor[];
}

export function createQuicTransport(options: QuicTransportOptions): Transport;

export interface PeerServiceOptions {
  readonly readMaxBytes?: number;
}

export interface PeerRouter {
  service<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: PeerServiceOptions,
  ): this;
}
