import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "./network-namespace.ts";

export interface SlowLinkSettings {
  /** How long a packet takes from or to the middle of the internet, each way. Milliseconds. */
  readonly delayMs: number;
  /** The same for single nodes, by their number. */
  readonly nodes?: Readonly<Record<number, number>>;
}

/** The device in the middle of the internet that packets are to be routed to, once. */
export const slowDevice = "slow";

/**
 * What makes the internet slow where the kernel has no netem: a process of ours that packets are routed through by a TUN
 * device. It delays all of them alike, whatever the protocol, and changes none.
 */
export class SlowLink {
  readonly #child: ChildProcess;
  readonly #answers: Interface;

  private constructor(child: ChildProcess, answers: Interface) {
    this.#child = child;
    this.#answers = answers;
  }

  static async start(core: NetworkNamespace, settings: SlowLinkSettings): Promise<SlowLink> {
    await core.ip(
      `tuntap add dev ${slowDevice} mode tun`,
      `link set ${slowDevice} txqueuelen 5000`,
      `link set ${slowDevice} up`,
    );
    const program = fileURLToPath(new URL("slow-link-program.ts", import.meta.url));
    const child = core.spawn("perl", ["-e", openTun, process.execPath, "--import=tsx", program], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin?.on("error", () => {});
    const { stdout } = child;
    if (stdout === null) {
      throw new Error("the slow link has no output");
    }
    const link = new SlowLink(child, createInterface({ input: stdout }));
    await link.#answer();
    await link.set(settings);
    return link;
  }

  /** From the next packet on. */
  async set(settings: SlowLinkSettings): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify(settings)}\n`);
    await this.#answer();
  }

  async #answer(): Promise<void> {
    const failed = once(this.#child, "close").then(([code]) => {
      throw new Error(`the slow link ended with ${code}`);
    });
    await Promise.race([once(this.#answers, "line"), failed]);
  }
}

/** Node cannot attach to a device (it has no ioctl), Perl can, and hands it on: TUNSETIFF with IFF_TUN and IFF_NO_PI. */
const openTun = `
  $^F = 255;
  sysopen(my $tun, "/dev/net/tun", 2) or die "/dev/net/tun: $!";
  my $request = pack("a16 S x22", "${slowDevice}", 0x1001);
  ioctl($tun, 0x400454ca, $request) or die "TUNSETIFF: $!";
  exec(@ARGV, fileno($tun)) or die "exec: $!";
`;
