import { existsSync } from "node:fs";
import { formatNamespaceName } from "./namespace-name.ts";
import { runCommand } from "./run-command.ts";

/**
 * Why networks cannot be made here, with what to do about it; undefined where they can be. Tries it: being root says little
 * inside of a container.
 */
export async function missingRequirement(): Promise<string | undefined> {
  if (process.platform !== "linux") {
    return "network namespaces are Linux's: run it there, a virtual machine will do";
  }
  if (process.getuid?.() !== 0) {
    return "only root may make network namespaces: run it with sudo, or in a container that is --privileged";
  }
  for (const { command, args, from } of commands) {
    try {
      await runCommand(command, args);
    } catch {
      return `no working ${command}: on Debian, apt-get install ${from}`;
    }
  }
  if (!existsSync("/dev/net/tun")) {
    return "no /dev/net/tun, which delays packets: modprobe tun, or give it to the container with --device=/dev/net/tun";
  }
  return tryNamespace();
}

const commands = [
  { command: "ip", args: ["-V"], from: "iproute2" },
  { command: "nft", args: ["--version"], from: "nftables" },
  { command: "sysctl", args: ["--version"], from: "procps" },
  { command: "perl", args: ["-v"], from: "perl-base" },
] as const;

/** Makes a namespace and everything special that is needed inside. */
async function tryNamespace(): Promise<string | undefined> {
  const name = formatNamespaceName({ pid: process.pid, network: 0, node: "trial" });
  try {
    await runCommand("ip", ["netns", "add", name]);
  } catch (error) {
    return `network namespaces cannot be made here, a container has to be --privileged (${describe(error)})`;
  }
  try {
    await runCommand("ip", ["-n", name, "tuntap", "add", "dev", "trial", "mode", "tun"]);
    await runCommand("ip", ["-n", name, "rule", "add", "iif", "trial", "lookup", "100"]);
    await runCommand("ip", ["netns", "exec", name, "nft", "-f", "-"], {
      input: `table inet trial {
        chain before { type filter hook prerouting priority raw; policy accept;
          meta l4proto udp ct zone set 1
          numgen random mod 100 < 5 drop
        }
        chain source { type nat hook postrouting priority srcnat; policy accept;
          udp sport 1 snat ip to 192.0.2.1:2
          masquerade fully-random
        }
      }`,
    });
    return undefined;
  } catch (error) {
    return `the kernel lacks something for networks with NAT: it needs nftables with nat, masquerade and numgen, TUN devices and routing by rules (${describe(error)})`;
  } finally {
    await runCommand("ip", ["netns", "delete", name]);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message.replaceAll(/\s+/g, " ") : String(error);
}
