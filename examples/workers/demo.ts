// `npm run demo:workers`: a relay, a rendezvous and two workers with their pages, on this machine.

import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aborted, runProgram } from "../echo/terminal.ts";
import { type ProgramOptions, RunningProgram } from "./program.ts";

const usage = `Usage: npm run demo:workers

Starts a relay, a place of rendezvous and two workers on this machine, Ada and Bob, and prints where their pages are. Both
register at the place, which makes them a pair. All that they learn of each other there is the id and the relay: that is
where they meet, and then they find the direct path by themselves, as they do behind NATs.

Ctrl-C ends all of them; the second time at once. Exit code: 0 after that, 1 when one of them could not start.

Options
  --help
`;

const root = fileURLToPath(new URL("../..", import.meta.url));

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: "boolean" } } });
  if (values.help === true) {
    console.log(usage);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "connect-quic-demo-"));
  const running: RunningProgram[] = [];
  const start = async (options: Omit<ProgramOptions, "main">): Promise<RunningProgram> => {
    const program = new RunningProgram({ ...options, main: join(folder, programPath) });
    running.push(program);
    await program.ready(signal);
    return program;
  };
  try {
    console.log("Building the program, and the page…\n");
    await build(folder, signal);
    const relay = await start({
      name: "relay",
      args: ["relay", "--dev", "--listen", "127.0.0.1:0", "--metrics", "here"],
      readyAfter: "metrics",
    });
    const relayUrl = relay.value("relay");
    print(relay, relay.value("metrics"));
    const rendezvous = await start({
      name: "rendezvous",
      args: ["rendezvous", "--dev", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1:0"],
      readyAfter: "ticket",
    });
    print(rendezvous, `${rendezvous.value("rendezvous")}/debug/list_workers`);
    const startWorker = async (name: string): Promise<RunningProgram> => {
      const worker = await start({
        name,
        args: [
          ...["worker", "--name", name, "--bind", "127.0.0.1:0", "--relay", relayUrl],
          ...["--rendezvous", rendezvous.value("rendezvous"), "--publish", "relay", "--pair"],
        ],
        readyAfter: "ticket",
      });
      print(worker, worker.value("page"));
      return worker;
    };
    const ada = await startWorker("Ada");
    await startWorker("Bob");
    console.log(`
Open the pages of both. To see what Bob's says when Ada dies: kill -9 ${ada.pid}
Ctrl-C ends all.`);
    for (const { name, ended } of running) {
      void ended.then((how) => signal.aborted || console.log(`${name} has ended: ${how}`));
    }
    await Promise.race([aborted(signal), Promise.all(running.map(({ ended }) => ended))]);
  } finally {
    // Workers first, so that they can say goodbye.
    await Promise.all(running.splice(2).map((program) => program.end()));
    await Promise.all(running.map((program) => program.end()));
    rmSync(folder, { recursive: true, force: true });
  }
}

const programPath = "src/cli/main.js";

/** Puts the program and the page into a folder, with what they need. */
async function build(folder: string, signal: AbortSignal): Promise<void> {
  copyFileSync(join(root, "package.json"), join(folder, "package.json"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  const child = spawn(process.execPath, ["scripts/bundle.mjs", folder, "src/cli/main.ts"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    signal,
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error("cannot build the program: npm ci comes first")),
    );
  });
}

function print({ name, pid }: RunningProgram, url: string): void {
  console.log(`${name.padEnd(12)}${url.padEnd(46)}process ${pid}`);
}

await runProgram("demo:workers", main);
