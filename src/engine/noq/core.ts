// One instance of crates/quic-core: its functions, its memory, and what it asks of us. Knows the ABI and nothing else.

import type { Platform } from "../../base/platform.ts";
import { EngineError } from "../engine.ts";
import { BytePool } from "./byte-pool.ts";
import { packetCipher } from "./packet-cipher.ts";

/** Bytes of stream data that one call carries. */
export const maxChunk: number = 64 * 1024;
/** What `streamRead` puts before the data in the scratch memory. */
export const readHeader = 16;
/** Answers of functions that could not do what they were asked. */
export const notFound = -1;
export const invalidAddress = -2;
export const blocked = -3;
export const invalidName = -5;
export const nobodyTrusted = -6;

/** Receive states, as `streamRead` leaves them at the start of the scratch memory. */
export const receiveOpen = 0;
export const receiveFinished = 1;
export const receiveReset = 2;

/** The exports of the module. Handles and stream ids are doubles, codes bigints, times milliseconds. */
export interface CoreFunctions {
  scratch_pointer(): number;
  inbox_reserve(capacity: number): number;
  endpoint_create(length: number): void;
  endpoint_set_certificate(length: number): void;
  endpoint_set_protocols(length: number): void;
  endpoint_connect(now: number, length: number): number;
  endpoint_stats(): number;
  datagram_owner(length: number): number;
  turn_receive(now: number, length: number): number;
  events_pointer(): number;
  events_clear(): void;
  turn_transmit(now: number): number;
  transmits_pointer(): number;
  transmits_clear(): void;
  next_deadline(): number;
  connection_close(now: number, handle: number, code: bigint, length: number): void;
  connection_early(handle: number): number;
  connection_ping(handle: number): void;
  connection_set_keep_alive(now: number, handle: number, intervalMs: number): void;
  connection_export(handle: number, length: number, label: number, context: number): number;
  connection_stats(handle: number): number;
  connection_paths(handle: number): number;
  connection_network_changed(now: number, handle: number, count: number): void;
  connection_punch(now: number, handle: number): number;
  candidate_add(handle: number): number;
  candidate_remove(handle: number): void;
  candidates_of_peer(handle: number): number;
  path_open(now: number, handle: number, backup: number): number;
  path_close(now: number, handle: number, path: number): number;
  path_set_status(handle: number, path: number, backup: number): void;
  path_set_idle_timeout(now: number, handle: number, path: number, timeoutMs: number): void;
  path_probe_mtu(handle: number, path: number, mtu: number): void;
  path_ping(handle: number, path: number): void;
  datagram_max_size(handle: number): number;
  datagram_send(handle: number, length: number): number;
  stream_open(handle: number, unidirectional: number): number;
  stream_write(handle: number, id: number, length: number, finish: number): number;
  stream_finish(handle: number, id: number): void;
  stream_reset(handle: number, id: number, code: bigint): void;
  stream_stop(handle: number, id: number, code: bigint): void;
  stream_set_priority(handle: number, id: number, priority: number): void;
  stream_read(handle: number, id: number, maxLength: number): number;
  panic_for_test(): void;
}

export interface CoreHost {
  readonly platform: Platform;
  sign(message: Uint8Array, signatureScheme: number): Uint8Array;
  readonly keyLog: ((line: string) => void) | undefined;
  /** Called once, inside the call that hit the panic, before it throws. */
  failed(): void;
}

/**
 * A panic ends the instance: the call that hit it and every later one throw an `engine-failed` {@link EngineError}, and
 * `failure` says why.
 */
export class Core {
  readonly call: CoreFunctions;
  /** Where arguments and small answers lie. */
  readonly scratch: number;
  readonly #pool = new BytePool();
  readonly #memory: WebAssembly.Memory;
  #bytes: Uint8Array;
  #view: DataView;
  #panic: string | undefined;
  #failure: EngineError | undefined;
  readonly #onFailure: () => void;

  constructor(module: WebAssembly.Module, host: CoreHost) {
    this.#onFailure = () => host.failed();
    const instance = new WebAssembly.Instance(module, { host: this.#imports(host) });
    const { memory, ...functions } = instance.exports;
    this.#memory = memory as WebAssembly.Memory;
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#view = new DataView(this.#memory.buffer);
    this.call = this.#guarded(functions as unknown as CoreFunctions);
    this.scratch = this.call.scratch_pointer();
  }

  /** Why the instance is unusable, if it is. */
  get failure(): EngineError | undefined {
    return this.#failure;
  }

  /** All memory of the instance. Any call may make it grow, and then this is another array. */
  get bytes(): Uint8Array {
    // What has grown leaves an empty array behind. To ask the memory for its buffer takes longer.
    if (this.#bytes.length === 0) {
      this.#bytes = new Uint8Array(this.#memory.buffer);
    }
    return this.#bytes;
  }

  get view(): DataView {
    if (this.#view.buffer !== this.bytes.buffer) {
      this.#view = new DataView(this.bytes.buffer);
    }
    return this.#view;
  }

  /** A copy of what the last call has left in the scratch memory; it belongs to the caller. */
  take(offset: number, length: number): Uint8Array {
    return this.#pool.copy(this.bytes, this.scratch + offset, length);
  }

  /** Copies arguments to where the next call looks for them; returns their length. */
  put(bytes: Uint8Array): number {
    this.bytes.set(bytes, this.scratch);
    return bytes.length;
  }

  #imports(host: CoreHost): Record<string, (...values: number[]) => number | undefined> {
    const { platform, keyLog } = host;
    const view = (pointer = 0, length = 0) => this.bytes.subarray(pointer, pointer + length);
    const slice = (pointer = 0, length = 0) => this.bytes.slice(pointer, pointer + length);
    const text = (pointer = 0, length = 0) => new TextDecoder().decode(slice(pointer, length));
    return {
      now_ms: () => platform.now(),
      unix_ms: () => platform.unixMs(),
      random_fill: (pointer = 0, length = 0) => {
        platform.randomFill(this.bytes.subarray(pointer, pointer + length));
        return undefined;
      },
      // What is thrown here must not unwind through the core, which could not go on afterwards.
      sign: (scheme = 0, pointer, length, into = 0, capacity = 0) => {
        try {
          const signature = host.sign(slice(pointer, length), scheme);
          this.bytes.set(signature.subarray(0, capacity), into);
          return signature.length <= capacity ? signature.length : -1;
        } catch {
          return -1;
        }
      },
      seal: (key, nonce, header, headerLength, text, length, tag = 0) => {
        if (packetCipher === undefined) {
          return -1;
        }
        try {
          packetCipher.seal(
            view(key, 32),
            view(nonce, 12),
            view(header, headerLength),
            view(text, length),
            view(tag, 16),
          );
          return 1;
        } catch {
          return -1;
        }
      },
      open: (key, nonce, header, headerLength, text, length, tag = 0) => {
        if (packetCipher === undefined) {
          return -1;
        }
        try {
          const isRight = packetCipher.open(
            view(key, 32),
            view(nonce, 12),
            view(header, headerLength),
            view(text, length),
            view(tag, 16),
          );
          return isRight ? 1 : 0;
        } catch {
          return -1;
        }
      },
      key_log: (pointer, length) => {
        try {
          keyLog?.(text(pointer, length));
        } catch {
          // A debugging aid that fails must not fail the handshake.
        }
        return undefined;
      },
      panicked: (pointer, length) => {
        this.#panic = text(pointer, length);
        return undefined;
      },
    };
  }

  /** Turns a trap into an error of ours, and refuses every call after it. */
  #guarded(functions: CoreFunctions): CoreFunctions {
    const guard =
      (run: (...values: never[]) => unknown) =>
      (...values: never[]): unknown => {
        if (this.#failure !== undefined) {
          throw this.#failure;
        }
        try {
          return run(...values);
        } catch (cause) {
          const reason = this.#panic ?? (cause instanceof Error ? cause.message : String(cause));
          this.#failure = new EngineError("engine-failed", `the QUIC core failed: ${reason}`, {
            cause,
          });
          this.#onFailure();
          throw this.#failure;
        }
      };
    const entries = Object.entries(functions).filter(([, value]) => typeof value === "function");
    return Object.fromEntries(
      entries.map(([name, run]) => [name, guard(run)]),
    ) as unknown as CoreFunctions;
  }
}
