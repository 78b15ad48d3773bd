// Builds iroh's servers where they are not there yet, which takes minutes. Tests skip what could not be built, so this
// only says why.

import { irohDnsServer, irohRelay } from "./iroh-programs.ts";

for (const program of [irohRelay, irohDnsServer]) {
  const problem = program.prepare();
  if (problem !== undefined) {
    console.error(problem);
  }
}
