import type { SocketAddress } from "../base/socket-address.ts";
import type { EngineConnection, Multipath, PathInfo, PathStatus, Role } from "../engine/engine.ts";
import type { PathPort } from "../net/connection-paths.ts";
import { closeCode } from "./endpoint-error.ts";

/** The paths of an engine's connection, for those who look after them. */
export class EnginePathPort implements PathPort {
  readonly offered: readonly SocketAddress[];
  readonly #connection: EngineConnection;
  readonly #multipath: Multipath;

  constructor(
    connection: EngineConnection,
    multipath: Multipath,
    offered: readonly SocketAddress[],
  ) {
    this.#connection = connection;
    this.#multipath = multipath;
    this.offered = offered;
  }

  get role(): Role {
    return this.#connection.role;
  }

  paths(): PathInfo[] {
    return this.#connection.paths();
  }

  open(remote: SocketAddress, status: PathStatus): "opened" | "later" | "unavailable" {
    return this.#multipath.open(remote, status);
  }

  close(id: number): boolean {
    return this.#multipath.close(id);
  }

  setStatus(id: number, status: PathStatus): void {
    this.#multipath.setStatus(id, status);
  }

  setIdleTimeout(id: number, timeoutMs: number): void {
    this.#multipath.setIdleTimeout(id, timeoutMs);
  }

  probeMtu(id: number, mtu: number): void {
    this.#multipath.probeMtu(id, mtu);
  }

  ping(id: number): void {
    this.#multipath.ping(id);
  }

  addCandidate(address: SocketAddress): boolean {
    return this.#multipath.addCandidate(address);
  }

  removeCandidate(address: SocketAddress): void {
    this.#multipath.removeCandidate(address);
  }

  remoteCandidates(): SocketAddress[] | undefined {
    return this.#multipath.remoteCandidates();
  }

  punch(): "started" | "nothing" | "unavailable" {
    return this.#multipath.punch();
  }

  networkChanged(dead: readonly number[]): void {
    this.#multipath.networkChanged(dead);
  }

  giveUp(): void {
    this.#connection.close(closeCode.none, "this host has slept");
  }
}
