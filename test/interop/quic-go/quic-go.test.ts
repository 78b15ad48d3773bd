import { stayAlive } from "../../support/stay-alive.ts";
import { describeClient } from "../http3/as-client.ts";
import { describeServer } from "../http3/as-server.ts";
import { GoProgram } from "../http3/go-program.ts";
import type { Stack } from "../http3/stack.ts";

const program = new GoProgram(new URL(".", import.meta.url), "quic-go-peer");
const missing = program.build();
const stack: Stack = {
  name: `quic-go${program.versionOf("github.com/quic-go/quic-go")}`,
  missing,
  command: program.path,
  args: [],
};
const without = { "QPACK table": "this stack has no dynamic table" };

stayAlive();
describeClient(stack, { without });
describeServer(stack, { without });
