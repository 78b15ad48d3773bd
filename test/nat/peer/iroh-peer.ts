// A peer of real iroh, of the npm package @number0/iroh.

import type {
  BiStream,
  Connection as IrohConnection,
  Endpoint as IrohEndpoint,
} from "@number0/iroh";
import { iroh } from "../../interop/iroh/iroh.ts";
import {
  echoAlpn,
  type PeerConnection,
  type PeerEndpoint,
  type PeerOptions,
  type PeerStream,
} from "./peer-endpoint.ts";
import type { PathKind } from "./peer-protocol.ts";
import { runPeer } from "./run-peer.ts";

runPeer(bindIroh);

/**
 * iroh learns its outside addresses from relays with TLS, whose certificates it checks against public authorities; no
 * relay of a laboratory has one. It is told instead what it would have learned.
 */
async function bindIroh(options: PeerOptions): Promise<PeerEndpoint> {
  const { Endpoint, EndpointTicket, RelayMode, presetMinimal } = iroh();
  const builder = Endpoint.builder();
  presetMinimal(builder);
  builder.alpns([alpn]);
  builder.relayMode(
    options.relay === undefined ? RelayMode.disabled() : RelayMode.customFromUrls([options.relay]),
  );
  for (const address of options.bind) {
    builder.bindAddr(address);
  }
  const endpoint = await builder.bind();
  if (options.relay !== undefined) {
    await endpoint.online();
  }
  for (const address of options.external ?? []) {
    await endpoint.addExternalAddr(address);
  }
  void acceptAll(endpoint, options.onConnection ?? (() => {}));
  return {
    id: endpoint.id().toString(),
    ticket: () => EndpointTicket.fromAddr(endpoint.addr()).toString(),
    dial: async (ticket) => {
      const addr = EndpointTicket.fromString(ticket).endpointAddr();
      return peerConnection(await endpoint.connect(addr, alpn));
    },
    changeExternal: async (add, remove) => {
      for (const address of add) {
        await endpoint.addExternalAddr(address);
      }
      for (const address of remove) {
        await endpoint.removeExternalAddr(address);
      }
    },
    close: () => endpoint.close(),
  };
}

async function acceptAll(
  endpoint: IrohEndpoint,
  onConnection: (connection: PeerConnection) => void,
): Promise<void> {
  for (;;) {
    const incoming = await endpoint.acceptNext();
    if (incoming === null) {
      return;
    }
    const accept = async (): Promise<void> => {
      const connection = await (await incoming.accept()).connect();
      onConnection(peerConnection(connection));
      for (;;) {
        void echoStream(await connection.acceptBi()).catch(() => {});
      }
    };
    // Ends with the connection, which its dialer watches.
    void accept().catch(() => {});
  }
}

async function echoStream({ send, recv }: BiStream): Promise<void> {
  for (;;) {
    const bytes = await recv.read(maxReadBytes);
    if (bytes.length === 0) {
      return send.finish();
    }
    await send.writeAll(bytes);
  }
}

function peerConnection(connection: IrohConnection): PeerConnection {
  return {
    echo: async (bytes) => {
      const { send, recv } = await connection.openBi();
      await send.writeAll([...bytes]);
      await send.finish();
      return Uint8Array.from(await recv.readToEnd(maxReadBytes));
    },
    openStream: async () => peerStream(await connection.openBi()),
    watchPath: (onPath) => watchSelected(connection, onPath),
    closed: connection.closed(),
  };
}

function peerStream({ send, recv }: BiStream): PeerStream {
  return {
    write: (bytes) => send.writeAll([...bytes]),
    read: async () => {
      const bytes = await recv.read(maxReadBytes);
      return bytes.length === 0 ? undefined : Uint8Array.from(bytes);
    },
  };
}

/** By asking again and again: the binding's own `watchPaths` aborts the process, for want of a runtime where it is called. */
function watchSelected(
  connection: IrohConnection,
  onPath: (kind: PathKind, to: string) => void,
): void {
  let last: string | undefined;
  let looks = 0;
  const look = (): void => {
    const selected = connection.paths().find(({ isSelected }) => isSelected);
    if (selected !== undefined && selected.remoteAddr !== last) {
      last = selected.remoteAddr;
      onPath(selected.isIp ? "direct" : "relay", selected.remoteAddr);
    }
    if (connection.closeReason() === null) {
      // Close enough to measure how long the first change takes.
      setTimeout(look, ++looks < 2_000 ? 2 : 20);
    }
  };
  look();
}

const alpn = [...Buffer.from(echoAlpn)];
const maxReadBytes = 65_536;
