import type { Socket } from "node:dgram";
import { endianness } from "node:os";
import type { BindSocket } from "./datagram-socket.ts";
import { SegmentedSend, type SystemCalls } from "./segmented-send.ts";
import { bindUdp, bindUdpWith } from "./udp-socket.ts";

/**
 * UDP sockets that hand several datagrams to the kernel in one call (UDP_SEGMENT), by the FFI library koffi, which has to be
 * installed: it saves a sixth of the processor time of who sends much in packets of the internet's size, and nothing where
 * packets are single. What cannot be sent so goes the plain way, as everything does elsewhere than on Linux with 64 bits.
 *
 * ```ts
 * const endpoint = await Endpoint.bind({ network: { bindSocket: await batchedUdp() } });
 * ```
 *
 * Rejects with an Error that says so when koffi cannot be loaded.
 */
export async function batchedUdp(
  load: () => Promise<SystemCalls> = loadSystemCalls,
): Promise<BindSocket> {
  const isKnown = process.platform === "linux" && ["x64", "arm64"].includes(process.arch);
  if (!isKnown || endianness() !== "LE") {
    return bindUdp;
  }
  let calls: SystemCalls;
  try {
    calls = await load();
  } catch (cause) {
    throw new Error("cannot batch datagrams: koffi cannot be loaded (npm install koffi)", {
      cause,
    });
  }
  return bindUdpWith((socket) => {
    const fd = fileDescriptorOf(socket);
    return fd === undefined ? undefined : new SegmentedSend(fd, calls);
  });
}

/** Those of the C library that this program runs on, by koffi. Rejects when that is not installed. */
export async function loadSystemCalls(): Promise<SystemCalls> {
  const { default: koffi } = await import("koffi");
  // The program itself, which has the C library in it, whichever that is.
  const library = koffi.load(null);
  return {
    addressOf: (buffer) => koffi.address(buffer),
    sendmsg: library.func("long sendmsg(int fd, void *message, int flags)"),
    setsockopt: library.func(
      "int setsockopt(int fd, int level, int name, void *value, unsigned int length)",
    ),
    errno: () => koffi.errno(),
  };
}

/**
 * Node.js has no name for it that is meant for us: it stands in the socket's own state, which a symbol leads to; undefined
 * should that be gone. The descriptor is good until the socket is closed, which its owner alone does.
 */
function fileDescriptorOf(socket: Socket): number | undefined {
  const states = socket as unknown as Readonly<Record<symbol, unknown>>;
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state = states[symbol] as { readonly handle?: { readonly fd?: unknown } } | undefined;
    const fd = typeof state === "object" ? state?.handle?.fd : undefined;
    if (typeof fd === "number" && fd >= 0) {
      return fd;
    }
  }
  return undefined;
}
