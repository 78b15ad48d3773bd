import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EndpointTicket } from "../../../src/index.ts";
import { peerPort } from "../lab/address-plan.ts";
import { LabNetwork } from "../lab/lab-network.ts";
import { type LabStep, LabSteps } from "../lab/lab-steps.ts";
import type { Topology } from "../lab/topology.ts";
import { LabProgram } from "./lab-program.ts";

/** A device behind a NAT that nobody can dial, and its hub elsewhere on the internet. */
const topology: Topology = {
  routers: { home: { mapping: "address-and-port-dependent" } },
  hosts: { a: { at: "home" }, b: { at: "internet" } },
};
const delayMs = 10;

/**
 * `examples/reverse` as people run it: a device behind a NAT dials its hub, is called by it, and again after the hub was
 * started anew. Rejects with what did not come to be.
 */
export async function measureReverse(): Promise<readonly LabStep[]> {
  const folder = mkdtempSync(join(tmpdir(), "connect-quic-reverse-"));
  try {
    await using network = await LabNetwork.create(topology, { delayMs });
    const hubOptions = ["--key", join(folder, "hub.key"), "--bind", `0.0.0.0:${peerPort}`];
    const startHub = (): LabProgram => new LabProgram(network, "b", "reverse/hub", hubOptions);
    const steps = new LabSteps();

    const hub = startHub();
    const ticket = await steps.take("the hub is there", hub.line(/^ticket +(\S+)$/));
    const { ipAddrs } = EndpointTicket.parse(ticket).addr;
    if (ipAddrs.length === 0) {
      throw new Error("the hub's ticket names no address");
    }
    const device = new LabProgram(network, "a", "reverse/device", [
      ...["--hub", ticket, "--name", "kiosk"],
    ]);
    await steps.take("a device behind a NAT is with it", hub.line(/^come +[0-9a-f]{10} kiosk$/));
    await steps.take("the hub calls it", show(hub, device, "Mind the gap"));
    hub.type("watch kiosk 3");
    await steps.take(
      "a stream of three messages comes from it",
      (async () => {
        for (let left = 3; left > 0; left -= 1) {
          await hub.line(/^memory +[0-9.]+ MB$/);
        }
      })(),
    );

    await steps.take(
      "the hub has stopped, and the device says so",
      Promise.all([hub.stop(), device.line(/^hub +[0-9a-f]{10} is gone/)]),
    );
    const next = startHub();
    await steps.take(
      "a hub with the same key was started, and the device is with it",
      next.line(/^come +[0-9a-f]{10} kiosk$/),
    );
    await steps.take("that one calls it", show(next, device, "hello again"));
    await steps.take(
      "the device has stopped, and the hub says so",
      Promise.all([device.stop(), next.line(/^gone +[0-9a-f]{10} kiosk$/)]),
    );
    await next.stop();
    return steps.taken;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function show(hub: LabProgram, device: LabProgram, text: string): Promise<void> {
  hub.type(`show kiosk ${text}`);
  await Promise.all([
    hub.line(new RegExp(`^shown +${text}$`)),
    device.line(new RegExp(`^show +${text}$`)),
  ]);
}
