// A device somewhere behind a router: nobody can dial it, so it dials a hub, and is called on that connection.

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createPeerRouter, createQuicTransport, Endpoint, SecretKey } from "connect-quic";
import { registerDeviceService } from "../../gen/device/v1/device_quic.ts";
import { aborted, printRow, runProgram, UsageError } from "../echo/terminal.ts";

const usage = `Usage: node --import tsx examples/reverse/device.ts --hub <ticket> [options]

Dials a hub and serves device.v1.DeviceService to it, until Ctrl-C. Dials again when the hub was away.

Options
  --hub <ticket>   whom to dial: the ticket that the hub prints
  --name <text>    what the hub calls it (default: device)
  --key <file>     who to be: the key in this file, which is made if it does not exist (default: a new key each time)
  --relay <url>    a relay server, for a hub that cannot be reached directly; may be given several times
  --help
`;

const leastIntervalMs = 100;

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      hub: { type: "string" },
      name: { type: "string", default: "device" },
      key: { type: "string" },
      relay: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  if (values.hub === undefined) {
    throw new UsageError("--hub is missing: the ticket that the hub prints (--help says more)");
  }
  await using endpoint = await Endpoint.bind({
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    relays: values.relay,
  });
  // Nobody but the hub has any business here.
  const router = createPeerRouter(endpoint, {
    authorize: (caller) => caller.type === "peer" && caller.id.equals(transport.peer),
  });
  registerDeviceService(router, {
    describe: () => ({ name: values.name, uptimeSeconds: Math.floor(process.uptime()) }),
    show: ({ text }) => {
      printRow("show", text);
      return {};
    },
    async *watch({ intervalMs }, context) {
      for (;;) {
        yield { memoryBytes: BigInt(process.memoryUsage().rss) };
        // Ends at once when the hub has heard enough.
        await sleep(Math.max(intervalMs, leastIntervalMs), undefined, { signal: context.signal });
      }
    },
  });
  router.peers.onOpened((hub) => printRow("hub", `${hub.id.short} is connected`));
  router.peers.onClosed((hub) => printRow("hub", `${hub.id.short} is gone, dialing again`));
  printRow("id", endpoint.id.toString());

  const transport = createQuicTransport({ endpoint, to: values.hub, serve: router });
  await aborted(signal);
  printRow("stop", "no new calls; those that run may end");
  await transport.close();
  await router.close();
}

await runProgram("device", main);
