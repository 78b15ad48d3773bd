import { readFile } from "node:fs/promises";
import { explain } from "./explain.ts";
import type { OptionValues } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

/** How a server is reached over HTTP: with a certificate, or without. */
export const tlsOptionTable = {
  "tls-cert": {
    type: "string",
    value: "<file>",
    help: "the certificate and those that lead to an authority, in PEM",
  },
  "tls-key": { type: "string", value: "<file>", help: "its private key, in PEM" },
} as const;

type TlsValues = OptionValues<typeof tlsOptionTable> & { readonly dev?: boolean | undefined };

/** In PEM; undefined for plain HTTP. @param who takes the options, for the error where they are missing */
export async function certificateOf(
  who: string,
  { dev = false, "tls-cert": cert, "tls-key": key }: TlsValues,
): Promise<{ readonly cert: Uint8Array; readonly key: Uint8Array } | undefined> {
  if (dev) {
    if (cert !== undefined || key !== undefined) {
      throw new UsageError("--dev is plain HTTP: it takes no --tls-cert and no --tls-key");
    }
    return undefined;
  }
  if (cert === undefined || key === undefined) {
    throw new UsageError(`${who} takes --tls-cert and --tls-key, or --dev for plain HTTP`);
  }
  return { cert: await readPem("tls-cert", cert), key: await readPem("tls-key", key) };
}

async function readPem(option: string, file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new Error(`cannot read --${option}: ${explain(error)}`, { cause: error });
  }
}
