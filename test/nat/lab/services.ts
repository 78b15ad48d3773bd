import { irohDnsServer, irohRelay } from "../../support/iroh-programs.ts";
import { publicAddress, servicesNode } from "./address-plan.ts";
import type { LabNetwork } from "./lab-network.ts";
import { LabService } from "./lab-service.ts";
import { runCommand } from "./run-command.ts";

/** A pkarr relay by its URL, and a DNS server with the zone where it tells what the relay was told. */
export interface Directory {
  readonly pkarr: string;
  readonly dns: string;
  readonly origin: string;
}

interface ByFamily {
  readonly ipv4: string;
  readonly ipv6: string;
}

const address: ByFamily = publicAddress(servicesNode);

/** Where peers find the relay. By address, not by name: a network that lets no UDP through may have no DNS either. */
export const relayUrl: ByFamily = {
  ipv4: `http://${address.ipv4}:3340/`,
  ipv6: `http://[${address.ipv6}]:3340/`,
};

/** Where peers find the STUN server. */
export const stunServer: ByFamily = {
  ipv4: `${address.ipv4}:3478`,
  ipv6: `[${address.ipv6}]:3478`,
};

/** Where peers publish and look up addresses: pkarr by HTTP, and DNS under an origin. */
export const directory: Directory = {
  pkarr: `http://${address.ipv4}:8080/pkarr`,
  dns: `${address.ipv4}:53`,
  origin: "lab.test",
};

/** Builds the relay where that was not done before, which takes minutes. Returns what stands against it, if anything does. */
export function prepareRelay(): string | undefined {
  return irohRelay.prepare();
}

/** Returns what stands against a STUN server, if anything does. */
export async function prepareStun(): Promise<string | undefined> {
  // It ends with a failure however it is asked for its version: that it can be started is what counts.
  const missing = await runCommand("sh", ["-c", "command -v turnserver"]).catch(() => undefined);
  return missing === undefined
    ? "no turnserver: on Debian, apt-get install --no-install-recommends coturn"
    : undefined;
}

/** Builds the directory as `prepareRelay` does. */
export function prepareDirectory(): string | undefined {
  return irohDnsServer.prepare();
}

/** The real iroh-relay, by plain HTTP: the iroh of npm takes no certificates but those of public authorities. */
export function startRelay(network: LabNetwork): Promise<LabService> {
  return LabService.start(network, {
    command: irohRelay.path,
    args: ["--dev"],
    env: { RUST_LOG: "info" },
    ready: /relay: serving on/,
  });
}

/** coturn, for its answers to binding requests alone. */
export function startStun(network: LabNetwork): Promise<LabService> {
  return LabService.start(network, {
    command: "turnserver",
    args: [
      ...["-n", "--stun-only", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout"],
      ...["--listening-ip", address.ipv4, "--listening-ip", address.ipv6],
      ...["--listening-port", "3478", "--pidfile", "/dev/null"],
    ],
    ready: /Total General servers/,
  });
}

/** The real iroh-dns-server, without the mainline DHT. What it keeps is gone with it: a mount that nobody else sees. */
export function startDirectory(network: LabNetwork): Promise<LabService> {
  return LabService.start(network, {
    command: "sh",
    args: ["-c", startOnOwnMount, irohDnsServer.path],
    env: { RUST_LOG: "info", CONFIG: directoryConfig },
    ready: /DNS server listening/,
  });
}

const startOnOwnMount = `mount -t tmpfs none /mnt && printf %s "$CONFIG" > /mnt/config.toml &&
  exec "$0" --config /mnt/config.toml`;

const directoryConfig = `
pkarr_put_rate_limit = "disabled"
data_dir = "/mnt"
[http]
port = 8080
bind_addr = "0.0.0.0"
[dns]
port = 53
bind_addr = "0.0.0.0"
default_soa = "ns1.${directory.origin} hostmaster.${directory.origin} 0 10800 3600 604800 3600"
default_ttl = 30
origins = ["${directory.origin}.", "."]
rr_a = "${address.ipv4}"
rr_ns = "ns1.${directory.origin}."
[mainline]
enabled = false
[metrics]
disabled = true
`;
