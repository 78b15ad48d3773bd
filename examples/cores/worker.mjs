// Starts worker.ts where Node.js cannot by itself.

import { register } from "tsx/esm/api";

register();
await import("./worker.ts");
