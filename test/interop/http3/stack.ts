import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { Engine } from "../../../src/engine/engine.ts";
import { noq } from "../../../src/engine/noq/noq.ts";
import { testAuthority } from "../../support/public-router.ts";
import { quicheOrReason } from "../../support/quiche-or-reason.ts";
import { ForeignProcess } from "./foreign-process.ts";

/** What carries our side. */
export interface OurEngine {
  /** What to add to the name of the other side. */
  readonly note: string;
  readonly engine: () => Engine;
  /** Why it cannot be had. */
  readonly missing: string | undefined;
}

const { engine: quiche, skip } = quicheOrReason();

export const ourEngines: readonly OurEngine[] = [
  { note: "", engine: () => noq, missing: undefined },
  { note: ", ours on quiche", engine: quiche, missing: skip || undefined },
];

/** Another implementation of HTTP/3, in a program of ours that README.md describes. */
export interface Stack {
  /** With its version. */
  readonly name: string;
  /** Why it cannot be had. */
  readonly missing: string | undefined;
  readonly command: string;
  /** What comes before the role. */
  readonly args: readonly string[];
}

/** Starts the program as a client of the server on this port, connected. */
export async function startClient({ command, args }: Stack, port: number): Promise<ForeignProcess> {
  const { certPem } = await testAuthority();
  const all = [...args, "client", `${port}`, file("ca.pem", certPem)];
  const { process } = await ForeignProcess.start(command, all, "connected");
  return process;
}

/** Starts the program as a server with a certificate for 127.0.0.1. */
export async function startServer({
  command,
  args,
}: Stack): Promise<{ server: ForeignProcess; port: number }> {
  const authority = await testAuthority();
  const { certPem, keyPem } = await authority.server(["127.0.0.1"]);
  const all = [...args, "server", file("cert.pem", certPem), file("key.pem", keyPem)];
  const { process, line } = await ForeignProcess.start(command, all, "listening");
  return { server: process, port: Number(line.port) };
}

let folder: string | undefined;

function file(name: string, content: string): string {
  folder ??= mkdtempSync(join(tmpdir(), "connect-quic-interop-"));
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

after(() => {
  if (folder !== undefined) {
    rmSync(folder, { recursive: true, force: true });
  }
});
