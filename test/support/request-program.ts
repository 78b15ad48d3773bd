// Asks for a page that is answered and one that is not, and has nothing else to do: it is to end with its stdin.

import { nodeRequest } from "../../src/net/node-http.ts";
import { serveParent } from "./process.ts";

// The requests do not hold the process, so that it needs something that does until it listens to its parent.
process.stdin.resume();
const [answered = "", silent = ""] = process.argv.slice(2);
const signal = new AbortController().signal;
await nodeRequest(new URL(answered), { method: "GET", signal, maxBytes: 100 });
void nodeRequest(new URL(silent), { method: "GET", signal, maxBytes: 100 });
serveParent({}, async () => {});
