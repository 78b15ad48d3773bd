// Builds programs in Rust where they are not there yet, which takes minutes: iroh's servers, or with --peers what the tests
// of Rust peers need. Tests skip what could not be built, so this only says why.

import { irohDnsServer, irohRelay } from "./iroh-programs.ts";
import { firstIrohPeer, irohRustPeer, tonicIrohPeer } from "./rust-programs.ts";

const peers = process.argv.includes("--peers");
for (const program of peers
  ? [tonicIrohPeer, irohRustPeer, firstIrohPeer]
  : [irohRelay, irohDnsServer]) {
  const problem = program.prepare();
  if (problem !== undefined) {
    console.error(problem);
  }
}
