// Builds programs in Rust where they are not there yet, which takes minutes: those that the test files need whose paths are
// given, or with --servers iroh's servers, or with --peers our programs on iroh's crates. Tests skip what could not be
// built, so this only says why.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { irohDnsServer, irohRelay } from "./iroh-programs.ts";
import { neededPrograms } from "./needed-programs.ts";
import { firstIrohPeer, irohRustPeer, tonicIrohPeer } from "./rust-programs.ts";

const args = process.argv.slice(2);
const programs =
  args[0] === "--servers"
    ? [irohRelay, irohDnsServer]
    : args[0] === "--peers"
      ? [tonicIrohPeer, irohRustPeer, firstIrohPeer]
      : neededPrograms(args.map((path) => pathToFileURL(resolve(path))));
for (const [index, program] of programs.entries()) {
  console.error(`programs in Rust, ${index + 1} of ${programs.length}: ${program.name}`);
  const problem = program.prepare();
  if (problem !== undefined) {
    console.error(problem);
  }
}
