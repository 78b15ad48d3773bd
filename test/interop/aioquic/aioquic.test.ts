import { fileURLToPath } from "node:url";
import { PythonEnvironment } from "../../support/python-environment.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { describeClient } from "../http3/as-client.ts";
import { describeServer } from "../http3/as-server.ts";
import type { Stack } from "../http3/stack.ts";

const python = new PythonEnvironment("aioquic", "aioquic>=1.2,<2");
const missing = python.prepare();
const stack: Stack = {
  name: `aioquic${python.version()}`,
  missing,
  command: python.interpreter,
  args: [fileURLToPath(new URL("peer.py", import.meta.url))],
};

stayAlive();
describeClient(stack, { saysGoaway: true, measuresEncoderStream: true });
describeServer(stack, { measuresEncoderStream: true });
