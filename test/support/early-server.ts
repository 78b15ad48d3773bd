// A server of early data in a process of its own, for test/rpc/early-data-processes.test.ts. The argument is its key.

import { EarlyService } from "../../gen/connectquic/test/v1/early_pb.ts";
import { createPeerRouter, Endpoint, peerKey, SecretKey } from "../../src/index.ts";
import { serveParent } from "./process.ts";

const [key = "", port = "0"] = process.argv.slice(2);
const endpoint = await Endpoint.bind({
  bind: `127.0.0.1:${port}`,
  secretKey: SecretKey.parse(key),
  acceptEarlyData: true,
});
let paid = 0;
createPeerRouter(endpoint).service(EarlyService, {
  look: ({ text }, { values }) => ({ text, early: values.get(peerKey).connection.early }),
  pay: () => {
    paid += 1;
    return { text: String(paid) };
  },
});
serveParent({ ticket: endpoint.ticket(), port: endpoint.boundAddresses[0]?.port }, () =>
  endpoint.close({ timeoutMs: 0 }),
);
