import assert from "node:assert/strict";
import { test } from "node:test";
import { runCommandLine } from "../../../src/cli/command-line.ts";
import { RelayServer } from "../../../src/relay/server/relay-server.ts";
import { RecordedIo } from "../../support/recorded-io.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { noIroh } from "./iroh.ts";
import { IrohPeer } from "./iroh-peer.ts";

stayAlive();

const options = { skip: noIroh, timeout: 60_000 };

test(
  "connect-quic ping --alpn reaches a real iroh peer by its id and our relay, and sees the direct path",
  options,
  async (t) => {
    const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
    t.after(() => relay.close());
    await using peer = await IrohPeer.bind("some/1", "127.0.0.1:0", relay.url);
    const io = new RecordedIo();
    const code = await runCommandLine(
      [
        ...["ping", peer.id, "--relay", relay.url, "--alpn", "some/1"],
        ...["--until-direct", "--interval", "0.05", "--count", "1000"],
      ],
      io,
    );
    assert.equal(code, 0, [...io.printed, ...io.notes].join("\n"));
    const short = peer.id.slice(0, 10);
    const place = String.raw`(via relay ${relay.url}|direct \S+)`;
    assert.match(io.printed[0] ?? "", new RegExp(`^connected to ${short} ${place} in [0-9.]+ ms$`));
    const estimates = io.printed.filter((line) => line.startsWith("round trip"));
    assert.match(
      estimates.at(-1) ?? "",
      new RegExp(`^round trip to ${short} direct \\S+: [0-9.]+ ms$`),
    );
  },
);
