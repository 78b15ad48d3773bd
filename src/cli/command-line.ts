import { IdentityError, type IdentityErrorCode } from "../identity/identity-error.ts";
import type { Command, CommandIo } from "./command.ts";
import { exitCode, Interrupted } from "./exit-code.ts";
import { explain } from "./explain.ts";
import { idCommand } from "./id-command.ts";
import { netcheckCommand } from "./netcheck-command.ts";
import { optionsHelp, quote } from "./option-table.ts";
import { pingCommand } from "./ping-command.ts";
import { relayCommand } from "./relay-command.ts";
import { rendezvousCommand } from "./rendezvous-command.ts";
import { UsageError } from "./usage-error.ts";
import { packageVersion } from "./version.ts";
import { workerCommand } from "./worker-command.ts";

const commands: readonly Command[] = [
  idCommand,
  pingCommand,
  netcheckCommand,
  relayCommand,
  rendezvousCommand,
  workerCommand,
];

/** Runs `connect-quic` with these arguments. Resolves with the exit code, and does not reject. */
export async function runCommandLine(args: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = args;
  switch (name) {
    case undefined:
      io.note(generalHelp());
      return exitCode.usage;
    case "--help":
    case "-h":
      io.print(generalHelp());
      return exitCode.done;
    case "--version":
      io.print(packageVersion());
      return exitCode.done;
  }
  const command = commands.find((one) => one.name === name);
  if (command === undefined) {
    const what = name.startsWith("-") ? "option" : "command";
    const known = [...commands.map((one) => one.name), "--help", "--version"].join(", ");
    io.note(`connect-quic: unknown ${what} ${quote(name)}: there are ${known}`);
    return exitCode.usage;
  }
  if (asksForHelp(rest)) {
    io.print(helpOf(command));
    return exitCode.done;
  }
  try {
    return await command.run(rest, io);
  } catch (error) {
    if (io.signal.aborted) {
      const { reason } = io.signal;
      return reason instanceof Interrupted ? reason.exitCode : exitCode.SIGINT;
    }
    const isUsage = isUsageError(error);
    const hint = isUsage ? ` (connect-quic ${name} --help says more)` : "";
    io.note(`connect-quic ${name}: ${explain(error)}${hint}`);
    return isUsage ? exitCode.usage : exitCode.failed;
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const options = end === -1 ? args : args.slice(0, end);
  return options.includes("--help") || options.includes("-h");
}

function isUsageError(error: unknown): boolean {
  return (
    error instanceof UsageError ||
    (error instanceof IdentityError && typedCodes.includes(error.code))
  );
}

/** What is typed; files are not. */
const typedCodes: readonly IdentityErrorCode[] = [
  "invalid-ticket",
  "invalid-id",
  "invalid-address",
];

function generalHelp(): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 2;
  return [
    "Usage: connect-quic <command> [options]",
    "",
    "Commands",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    "",
    "Options",
    "  --help     this, or with a command its help",
    "  --version",
    "",
    `Exit codes: ${exitCode.done} done, ${exitCode.failed} failed, ${exitCode.usage} not understood, ${exitCode.SIGINT} interrupted before there was a result.`,
  ].join("\n");
}

function helpOf({ name, usage, about, options }: Command): string {
  return [
    `Usage: connect-quic ${name} ${usage}`,
    "",
    about,
    "",
    "Options",
    ...optionsHelp({ ...options, help: { type: "boolean", help: "this" } }),
  ].join("\n");
}
