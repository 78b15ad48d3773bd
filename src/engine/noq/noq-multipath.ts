import { addressLength } from "../../base/address-book.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import type { Multipath, PathStatus } from "../engine.ts";
import { blocked, notFound } from "./core.ts";
import type { ConnectionOwner } from "./noq-connection.ts";

/** What is needed of the connection whose paths these are. */
export interface MultipathConnection {
  /** The core's name for it. */
  readonly handle: number;
  readonly isClosed: boolean;
}

/** The paths of a connection; all that is done to them leaves with the turn. */
export class NoqMultipath implements Multipath {
  readonly #connection: MultipathConnection;
  readonly #owner: ConnectionOwner;

  constructor(connection: MultipathConnection, owner: ConnectionOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  open(remote: SocketAddress, status: PathStatus): "opened" | "later" | "unavailable" {
    const answer = this.#act((handle, now) => {
      this.#put(remote);
      return this.#call.path_open(now, handle, backupNumber(status));
    });
    return answer === blocked ? "later" : answer >= 0 ? "opened" : "unavailable";
  }

  close(id: number): boolean {
    return this.#act((handle, now) => this.#call.path_close(now, handle, id)) === 0;
  }

  setStatus(id: number, status: PathStatus): void {
    this.#act((handle) => this.#call.path_set_status(handle, id, backupNumber(status)));
  }

  setIdleTimeout(id: number, timeoutMs: number): void {
    this.#act((handle, now) => this.#call.path_set_idle_timeout(now, handle, id, timeoutMs));
  }

  probeMtu(id: number, mtu: number): void {
    this.#act((handle) => this.#call.path_probe_mtu(handle, id, mtu));
  }

  ping(id: number): void {
    this.#act((handle) => this.#call.path_ping(handle, id));
  }

  addCandidate(address: SocketAddress): boolean {
    const answer = this.#act((handle) => {
      this.#put(address);
      return this.#call.candidate_add(handle);
    });
    return answer === 0;
  }

  removeCandidate(address: SocketAddress): void {
    this.#act((handle) => {
      this.#put(address);
      this.#call.candidate_remove(handle);
    });
  }

  remoteCandidates(): SocketAddress[] | undefined {
    if (this.#connection.isClosed) {
      return undefined;
    }
    const { core, addresses } = this.#owner;
    const start = core.call.candidates_of_peer(this.#connection.handle);
    if (start === 0) {
      return undefined;
    }
    const { bytes } = core;
    return Array.from({ length: core.view.getUint32(start, true) }, (_, index) =>
      addresses.decode(bytes, start + 4 + index * addressLength),
    );
  }

  punch(): "started" | "nothing" | "unavailable" {
    const answer = this.#act((handle, now) => this.#call.connection_punch(now, handle));
    return answer === 0 ? "started" : answer === blocked ? "nothing" : "unavailable";
  }

  networkChanged(dead: readonly number[]): void {
    this.#act((handle, now) => {
      const { core } = this.#owner;
      for (const [index, id] of dead.entries()) {
        core.view.setUint32(core.scratch + 4 * index, id, true);
      }
      core.call.connection_network_changed(now, handle, dead.length);
    });
  }

  get #call(): ConnectionOwner["core"]["call"] {
    return this.#owner.core.call;
  }

  #act<T>(act: (handle: number, now: number) => T): T | typeof notFound {
    if (this.#connection.isClosed) {
      return notFound;
    }
    const answer = act(this.#connection.handle, this.#owner.now());
    this.#owner.schedule();
    return answer;
  }

  #put(address: SocketAddress): void {
    const { core, addresses } = this.#owner;
    core.bytes.set(addresses.encode(address), core.scratch);
  }
}

function backupNumber(status: PathStatus): number {
  return status === "backup" ? 1 : 0;
}
