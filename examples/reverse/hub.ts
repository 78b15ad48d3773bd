// A hub that devices dial, and a command line to call them.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { ConnectError } from "@connectrpc/connect";
import { createPeerClient, createPeerRouter, Endpoint, type Peer, SecretKey } from "connect-quic";
import { DeviceService } from "../../gen/device/v1/device_pb.ts";
import {
  aborted,
  formatBytes,
  positiveInteger,
  printRow,
  runProgram,
  UsageError,
} from "../echo/terminal.ts";

const usage = `Usage: node --import tsx examples/reverse/hub.ts [options]

Waits for devices (examples/reverse/device.ts) and calls them as it is told, until Ctrl-C.

Options
  --bind <ip:port>   where to listen, such as 0.0.0.0:4433 or [::]:4433; may be given twice, for IPv4 and IPv6
                     (default: all addresses, free ports)
  --key <file>       who to be: the key in this file, which is made if it does not exist; with it, and the same --bind,
                     devices find a hub again that was started anew (default: a new key each time)
  --relay <url>      a relay server, with which devices reach this hub wherever it is; may be given several times
  --help

Commands, one a line
  list                     the devices that are connected
  show <device> <text>     has a device show a text
  watch <device> <count>   prints so many measurements of a device (default: 3)

A device is named by its name, or by how its id begins.
`;

const callTimeoutMs = 5_000;

/** The devices that are connected, with what they call themselves. */
class Devices {
  readonly #names = new Map<string, string>();
  readonly #peers: () => Iterable<Peer>;

  constructor(peers: () => Iterable<Peer>) {
    this.#peers = peers;
  }

  /** Asks a device that has come what it is called. */
  async opened(peer: Peer): Promise<void> {
    const { name } = await clientOf(peer).describe({}, { timeoutMs: callTimeoutMs });
    this.#names.set(peer.id.toString(), name);
    printRow("come", `${peer.id.short} ${name}`);
  }

  closed(peer: Peer): void {
    printRow("gone", `${peer.id.short} ${this.nameOf(peer)}`);
    this.#names.delete(peer.id.toString());
  }

  nameOf(peer: Peer): string {
    return this.#names.get(peer.id.toString()) ?? "?";
  }

  *[Symbol.iterator](): Iterator<Peer> {
    yield* this.#peers();
  }

  /** Throws unless one device is meant. */
  find(text: string | undefined): Peer {
    const found = [...this].filter(
      (peer) => text === this.nameOf(peer) || (text && peer.id.toString().startsWith(text)),
    );
    const [peer] = found;
    if (peer === undefined || found.length > 1) {
      throw new UsageError(`${found.length} devices are called ${JSON.stringify(text ?? "")}`);
    }
    return peer;
  }
}

function clientOf(peer: Peer) {
  return createPeerClient(DeviceService, peer.transport());
}

async function obey(command: string, devices: Devices): Promise<void> {
  const [verb, device, ...rest] = command.trim().split(/ +/);
  switch (verb) {
    case "":
      return;
    case "list":
      for (const peer of devices) {
        printRow(peer.id.short, devices.nameOf(peer), peer.connection.stats().rttMs);
      }
      return;
    case "show":
      await clientOf(devices.find(device)).show(
        { text: rest.join(" ") },
        { timeoutMs: callTimeoutMs },
      );
      printRow("shown", rest.join(" "));
      return;
    case "watch": {
      let left = positiveInteger("count", rest[0]) ?? 3;
      for await (const { memoryBytes } of clientOf(devices.find(device)).watch({})) {
        printRow("memory", formatBytes(Number(memoryBytes)));
        left -= 1;
        if (left === 0) {
          return;
        }
      }
      return;
    }
    default:
      throw new UsageError(`no command ${JSON.stringify(verb)}: list, show or watch`);
  }
}

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      bind: { type: "string", multiple: true },
      key: { type: "string" },
      relay: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  await using endpoint = await Endpoint.bind({
    ...(values.bind === undefined ? {} : { bind: values.bind }),
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    relays: values.relay,
  });
  // It serves nothing itself, but takes the connections of devices.
  const router = createPeerRouter(endpoint);
  const devices = new Devices(() => router.peers);
  const complain = (error: unknown): void => {
    const text = error instanceof ConnectError ? error.rawMessage : String(error);
    printRow("failed", text);
  };
  router.peers.onOpened((peer) => void devices.opened(peer).catch(complain));
  router.peers.onClosed((peer) => devices.closed(peer));
  printRow("id", endpoint.id.toString());
  if (values.relay.length > 0) {
    await endpoint.online({ signal });
  }
  printRow("ticket", endpoint.ticket());

  const commands = createInterface({ input: process.stdin });
  commands.on("line", (line) => void obey(line, devices).catch(complain));
  await aborted(signal);
  commands.close();
  printRow("stop", "no new calls; those that run may end");
  await router.close();
}

await runProgram("hub", main);
