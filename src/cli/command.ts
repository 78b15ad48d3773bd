import type { Platform } from "../base/platform.ts";
import type { Endpoint, EndpointOptions } from "../endpoint/endpoint.ts";
import type { OptionTable } from "./option-table.ts";

/** What a command has of the world. */
export interface CommandIo {
  /** Prints lines of the result: to stdout. */
  readonly print: (text: string) => void;
  /** Prints what is about the result: to stderr. */
  readonly note: (text: string) => void;
  /** Fires when the command is to end, as by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly platform: Platform;
  /** `Endpoint.bind`. */
  readonly bindEndpoint: (options: EndpointOptions) => Promise<Endpoint>;
}

/** A command of `connect-quic`. */
export interface Command {
  readonly name: string;
  /** For the list of commands. */
  readonly summary: string;
  /** What stands behind the name: `<ticket or id> [options]`. */
  readonly usage: string;
  /** For its help: what it does, what it prints, and its exit codes. */
  readonly about: string;
  readonly options: OptionTable;
  /**
   * Resolves with the exit code. Throws UsageError or IdentityError for what was typed, what failed otherwise, and, once
   * `io.signal` has fired before there was a result, anything.
   */
  readonly run: (args: readonly string[], io: CommandIo) => Promise<number>;
}
