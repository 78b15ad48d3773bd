import { access } from "node:fs/promises";
import { SecretKey } from "../identity/secret-key.ts";
import type { Command } from "./command.ts";
import { exitCode } from "./exit-code.ts";
import { jsonLine } from "./json-line.ts";
import { parseOptions } from "./option-table.ts";
import { rejectArguments } from "./positionals.ts";

const defaultFile = "peer.key";

const options = {
  key: {
    type: "string",
    value: "<file>",
    help: `the key file, which is made if it does not exist (default: ${defaultFile})`,
  },
  json: { type: "boolean", help: "print JSON: id, key (the file), created" },
} as const;

export const idCommand: Command = {
  name: "id",
  summary: "print the id of a key file, which is made if it does not exist",
  usage: "[options]",
  about: `Prints the id that peers dial, the public key of the secret key in a file. Programs use the same file with
SecretKey.loadOrCreate(file). Whoever has the file can be this peer.`,
  options,
  run: async (args, { print, note }) => {
    const { values, positionals } = parseOptions(options, args);
    rejectArguments(positionals);
    const { key = defaultFile, json = false } = values;
    const existed = await exists(key);
    const secretKey = await SecretKey.loadOrCreate(key);
    const id = secretKey.publicKey.toString();
    if (json) {
      print(jsonLine({ id, key, created: !existed }));
    } else {
      print(id);
      if (!existed) {
        note(`made a new key: ${key}`);
      }
    }
    return exitCode.done;
  },
};

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
