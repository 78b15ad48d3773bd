import type { SocketAddress } from "../base/socket-address.ts";
import type {
  ConnectionHandler,
  ConnectionStats,
  EngineConnection,
  EngineStream,
  PathInfo,
  Role,
  StreamDirection,
} from "../engine/engine.ts";

/**
 * An engine's connection whose events pass through its first owner: the owner goes on hearing of them and forwards each
 * to `handler`, which the second owner sets.
 */
export class HandedOverConnection implements EngineConnection {
  handler: ConnectionHandler;
  readonly #engine: EngineConnection;

  constructor(engine: EngineConnection, handler: ConnectionHandler) {
    this.#engine = engine;
    this.handler = handler;
  }

  get role(): Role {
    return this.#engine.role;
  }

  get remoteAddress(): SocketAddress {
    return this.#engine.remoteAddress;
  }

  get early(): boolean {
    return this.#engine.early;
  }

  get maxDatagramSize(): number | undefined {
    return this.#engine.maxDatagramSize;
  }

  openStream(direction: StreamDirection): EngineStream | undefined {
    return this.#engine.openStream(direction);
  }

  sendDatagram(bytes: Uint8Array): "sent" | "blocked" | "too-large" {
    return this.#engine.sendDatagram(bytes);
  }

  close(code: bigint, reason: string): void {
    this.#engine.close(code, reason);
  }

  ping(): void {
    this.#engine.ping();
  }

  setKeepAlive(intervalMs: number): void {
    this.#engine.setKeepAlive(intervalMs);
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    return this.#engine.exportKeyingMaterial(length, label, context);
  }

  stats(): ConnectionStats {
    return this.#engine.stats();
  }

  paths(): PathInfo[] {
    return this.#engine.paths();
  }
}
