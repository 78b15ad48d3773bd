import { join } from "node:path";
import {
  BenchmarkState,
  ChatWay,
  Direction,
  Path,
  PeerState,
  PlaceState,
} from "../../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import type { PageModel } from "../../../src/worker/page/page-model.ts";
import { WorkerProgram } from "../../support/worker-program.ts";
import { publicAddress, servicesNode } from "../lab/address-plan.ts";
import { LabNetwork } from "../lab/lab-network.ts";
import { LabService } from "../lab/lab-service.ts";
import { type LabStep, LabSteps } from "../lab/lab-steps.ts";
import { relayUrl, startStun, stunServer } from "../lab/services.ts";
import type { Topology } from "../lab/topology.ts";
import { LabWorker } from "./lab-worker.ts";

/** Each behind a NAT of its own, whose mapping does not depend on the destination. */
const topology: Topology = {
  routers: { home: {}, office: {} },
  hosts: { a: { at: "home" }, b: { at: "office" } },
};
const delayMs = 10;
const placePort = 3_350;
/** Any step is done in a few seconds, but on a machine that has too much to do. */
const stepTimeoutMs = 120_000;
const benchmarkBytes = 8 * 2 ** 20;

/**
 * Two workers behind NATs, with a relay and a place of rendezvous on the internet, all as people run them: they are paired,
 * talk over the relay while there is no other way and directly once there is one, and one is killed. Rejects with what did
 * not come to be.
 */
export async function measureWorkers(): Promise<readonly LabStep[]> {
  using program = WorkerProgram.build();
  const main = join(program.folder, "src/cli/main.js");
  await using network = await LabNetwork.create(topology, { delayMs });
  await startStun(network);
  await startProgram(network, [main, "relay", "--dev", "--listen", "0.0.0.0:3340"], /^relay +/m);
  const place = await startProgram(
    network,
    [
      ...[main, "rendezvous", "--dev", "--listen", `0.0.0.0:${placePort}`],
      ...["--bind", `${publicAddress(servicesNode).ipv4}:0`],
    ],
    /^ticket +(\S+)$/m,
  );
  const placeUrl = `http://${publicAddress(servicesNode).ipv4}:${placePort}`;
  // Until the workers have met, there is no way but over the relay.
  await network.setTrouble({ directLossPercent: 100 });

  const common = ["--relay", relayUrl.ipv4, "--stun", stunServer.ipv4, "--pair"];
  const start = (host: "a" | "b", name: string, rendezvous: string): Promise<LabWorker> =>
    LabWorker.start(network, {
      host,
      main,
      args: ["--name", name, "--rendezvous", rendezvous, ...common],
    });
  const steps = new LabSteps();
  using ada = await steps.take("Ada is there", start("a", "Ada", placeUrl));
  using bob = await steps.take("Bob is there", start("b", "Bob", place.told));
  const both = [
    [ada, bob],
    [bob, ada],
  ] as const;
  const until = async (find: (model: PageModel, other: LabWorker) => boolean): Promise<void> => {
    const signal = AbortSignal.timeout(stepTimeoutMs);
    await Promise.all(
      both.map(([worker, other]) =>
        worker.console.until((model) => find(model, other), { signal }),
      ),
    );
  };

  await steps.take(
    "both are registered, one by URL and one by key, and see each other",
    until(({ place, found }, { id }) => place?.state === PlaceState.REGISTERED && found.has(id)),
  );
  await steps.take(
    "both are connected over the relay",
    until(({ peers }, { id }) => {
      const peer = peers.get(id);
      return peer?.state === PeerState.CONNECTED && peer.path === Path.RELAY;
    }),
  );
  await steps.take("a message each way", chat(both, ChatWay.STREAM, "over the relay"));

  await network.setTrouble({});
  await steps.take(
    "the path is direct, once there is one",
    until(({ peers }, { id }) => peers.get(id)?.path === Path.DIRECT),
  );
  await steps.take("a message each way", chat(both, ChatWay.STREAM, "directly"));
  await steps.take("a datagram each way", chat(both, ChatWay.DATAGRAM, "in a datagram"));

  const before = await network.traffic("b");
  await steps.take(`a benchmark of ${benchmarkBytes / 2 ** 20} MiB`, benchmark(ada, bob));
  const { direct } = await network.traffic("b");
  if (direct - before.direct < benchmarkBytes) {
    throw new Error(`of the benchmark ${direct - before.direct} bytes have come directly`);
  }

  await ada.kill();
  await steps.take(
    "one was killed, and the other says that it is lost",
    within(bob, ({ peers, found, events }) => {
      const peer = peers.get(ada.id);
      const isTold = events.some(({ text, warning }) => warning && text.startsWith("lost Ada"));
      return peer?.state === PeerState.LOST && isTold && !found.has(ada.id);
    }),
  );
  return steps.taken;
}

function within(worker: LabWorker, find: (model: PageModel) => boolean): Promise<boolean> {
  return worker.console.until(find, { signal: AbortSignal.timeout(stepTimeoutMs) });
}

async function chat(
  both: readonly (readonly [LabWorker, LabWorker])[],
  way: ChatWay,
  words: string,
): Promise<void> {
  for (const [from, to] of both) {
    const text = `${words}, ${from.id}`;
    // A datagram may get lost.
    for (let left = way === ChatWay.DATAGRAM ? 10 : 1; left > 0; left--) {
      await from.console.client.sendMessage({ peerId: to.id, way, text });
      const signal = AbortSignal.timeout(left === 1 ? stepTimeoutMs : 1_000);
      const isHeard = to.console.until(
        ({ messages }) => messages.some((one) => one.text === text && one.way === way),
        { signal },
      );
      if (left === 1 || (await isHeard.catch(() => false))) {
        await isHeard;
        break;
      }
    }
  }
}

async function benchmark(from: LabWorker, to: LabWorker): Promise<void> {
  const { number } = await from.console.client.startBenchmark({
    peerId: to.id,
    direction: Direction.UPLOAD,
    totalBytes: BigInt(benchmarkBytes),
  });
  let problem = "";
  await within(from, ({ benchmarks }) => {
    const run = benchmarks.get(String(number));
    problem = run?.problem ?? "";
    return run !== undefined && run.state !== BenchmarkState.RUNNING;
  });
  if (problem !== "") {
    throw new Error(problem);
  }
}

function startProgram(
  network: LabNetwork,
  args: readonly string[],
  ready: RegExp,
): Promise<LabService> {
  return LabService.start(network, { command: process.execPath, args, ready });
}
