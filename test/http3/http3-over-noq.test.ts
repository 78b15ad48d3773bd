import { EnginePair } from "../support/engine-pair.ts";
import { http3Suite } from "../support/http3-suite.ts";
import { ignore } from "../support/recorded-connection.ts";

http3Suite("noq", async (options) => {
  const pair = new EnginePair(
    {},
    { behaviour: ignore, ...(options.server === undefined ? {} : { transport: options.server }) },
    { behaviour: ignore, ...(options.client === undefined ? {} : { transport: options.client }) },
  );
  const { local, remote } = pair.connect();
  const { platform } = pair.network;
  const advance = async (byMs: number): Promise<void> => {
    const until = platform.now() + byMs;
    await platform.runAsync(() => false, byMs);
    platform.runFor(until - platform.now());
  };
  return {
    client: local.connection,
    server: remote.connection,
    platform,
    advance,
    settle: () => advance(1_000),
  };
});
