import type { CloseCause, ConnectedInfo, ConnectionHandler } from "../engine/engine.ts";
import { closeCode } from "./endpoint-error.ts";

/** The handler of a connection until its handshake is done, one way or the other. */
export function untilConnected(
  connected: (info: ConnectedInfo) => void,
  closed: (cause: CloseCause) => void = () => {},
): ConnectionHandler {
  return {
    connected,
    closed,
    // Streams come only after `connected`, which installs another handler: this is for an engine that has gone wrong.
    streamOpened: (stream) => {
      stream.stop(closeCode.internalError);
      stream.reset(closeCode.internalError);
    },
    streamsAvailable: () => {},
    datagram: () => {},
    datagramsWritable: () => {},
    pathsChanged: () => {},
  };
}
