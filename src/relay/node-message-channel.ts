import { X509Certificate } from "node:crypto";
import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { type ConnectionOptions, TLSSocket } from "node:tls";
import type { ClientOptions, WebSocket } from "ws";
import type {
  MessageChannel,
  MessageChannelHandler,
  MessageChannelOptions,
  OpenMessageChannel,
} from "./message-channel.ts";
import type { ExportKeys } from "./relay-auth-header.ts";

/** How long the end of a WebSocket may take that is closed in good order. */
const closeTimeoutMs = 2_000;

/**
 * Opens WebSockets with the `ws` package: Node.js 20 has none, and the one of later versions tells neither what is buffered
 * nor lets a program choose authorities. The sockets do not keep the process alive.
 */
export const openNodeMessageChannel: OpenMessageChannel = (url, options, handler) => {
  const channel = new NodeMessageChannel();
  channel.handler = handler;
  // It takes a quarter of the time in which all of this library is loaded, and many programs need no relay.
  import("ws")
    .then((ws) => {
      if (channel.isOver) {
        channel.fail();
      } else {
        channel.begin(connect(ws.WebSocket, url, options));
      }
    })
    // What cannot even be tried: an authority that is no certificate, a token that no header can hold.
    .catch((error) => channel.fail(error instanceof Error ? error : new Error(String(error))));
  return channel;
};

/** A WebSocket of the `ws` package, of either side. */
export class NodeMessageChannel implements MessageChannel {
  #socket: WebSocket | undefined;
  /** Set it before the next turn of the event loop. */
  handler: MessageChannelHandler | undefined;
  #localHost: string | undefined;
  #buffered = 0;
  #error: Error | undefined;
  #paused = false;
  #over = false;

  /** Owns the socket from now on. Where it is open already, `opened` is not called. */
  begin(socket: WebSocket): void {
    this.#socket = socket;
    socket.binaryType = "nodebuffer";
    socket.on("upgrade", (response) => {
      this.#localHost = response.socket.localAddress?.replace(/^::ffff:/, "");
    });
    socket.on("open", () => {
      if (this.#paused) {
        socket.pause();
      }
      this.handler?.opened(socket.protocol);
    });
    socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary && !this.#over) {
        this.handler?.message(new Uint8Array(data.buffer, data.byteOffset, data.length));
      }
    });
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    socket.on("close", (code, reason) => {
      const text = reason.length > 0 ? ` ${JSON.stringify(reason.toString())}` : "";
      const told = code === noCloseFrame ? undefined : new Error(`closed with code ${code}${text}`);
      this.#end(this.#error ?? told);
    });
  }

  /** It was closed, from either side. */
  get isOver(): boolean {
    return this.#over;
  }

  /** There will be no socket, and why, if it was not closed. */
  fail(error?: Error): void {
    this.#end(error);
  }

  get localHost(): string | undefined {
    return this.#localHost;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  send(message: Uint8Array): void {
    const socket = this.#socket;
    if (this.#over || socket === undefined || socket.readyState !== socket.OPEN) {
      return;
    }
    this.#buffered += message.length;
    socket.send(message, () => {
      this.#buffered -= message.length;
      if (this.#buffered === 0 && !this.#over) {
        this.handler?.drained();
      }
    });
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket?.resume();
  }

  close(options?: { readonly now?: boolean }): void {
    this.#over = true;
    const socket = this.#socket;
    if (options?.now === true) {
      socket?.terminate();
    } else if (socket !== undefined) {
      // A socket that reads nothing would not see the other side's answer.
      socket.resume();
      socket.close();
      setTimeout(() => socket.terminate(), closeTimeoutMs).unref();
    }
  }

  #end(error: Error | undefined): void {
    const { handler } = this;
    const reason = this.#over ? undefined : error;
    this.#over = true;
    this.handler = undefined;
    handler?.closed(reason);
  }
}

function connect(
  WebSocket: typeof import("ws").WebSocket,
  url: URL,
  options: MessageChannelOptions,
): WebSocket {
  const { subprotocols, headers, headersOverTls, authorities, timeoutMs, maxMessageBytes } =
    options;
  const hostname = withoutLastDot(url.hostname);
  const socketOptions: ClientOptions & ConnectionOptions & { lookup: LookupFunction } = {
    headers: { ...headers, host: url.port === "" ? hostname : `${hostname}:${url.port}` },
    handshakeTimeout: timeoutMs,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    followRedirects: false,
    ...(isPrivate(url) ? { generateMask: (key: Uint8Array) => key.fill(0) } : {}),
    servername: isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? hostname : "",
    ...(authorities === undefined ? {} : { ca: authorities.map(toPem) }),
    finishRequest: (request) => {
      request.on("socket", (socket) => {
        socket.unref();
        if (socket instanceof TLSSocket && headersOverTls !== undefined) {
          // Nothing has been written yet: headers can be added when the connection is there.
          socket.once("secureConnect", () => {
            const added = headersOverTls(exporterOf(socket));
            for (const [name, value] of Object.entries(added)) {
              request.setHeader(name, value);
            }
            request.end();
          });
        } else {
          request.end();
        }
      });
    },
    lookup: lookupWithDot,
  };
  return new WebSocket(url, [...subprotocols], socketOptions);
}

/**
 * Whether nobody between the two ends can read what is sent. A client masks what it sends so that others cannot choose what
 * intermediaries see (RFC 6455 §10.3). Where there are none, a key of zeros, which leaves everything as it is, saves both
 * ends a pass over every byte in JavaScript, which takes as long as sending it.
 */
function isPrivate({ protocol, hostname }: URL): boolean {
  return protocol === "wss:" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

/** Keying material of a TLS connection that is there. */
export function exporterOf(socket: TLSSocket): ExportKeys {
  return (label, context, length) => {
    try {
      return new Uint8Array(socket.exportKeyingMaterial(length, label, Buffer.from(context)));
    } catch {
      // TLS 1.2 has none in some cases, and neither has a connection that has just ended.
      return undefined;
    }
  };
}

/** Looks a host up as it stands, and without the dot at its end where only files of this machine know it. */
const lookupWithDot: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, options, (error, address, family) => {
    if (error?.code === "ENOTFOUND" && hostname.endsWith(".")) {
      lookup(withoutLastDot(hostname), options, callback);
    } else {
      callback(error, address, family);
    }
  });
};

/** Relay URLs have a dot at the end of the host, which certificates and HTTP servers do not know. */
function withoutLastDot(hostname: string): string {
  return hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
}

function toPem(certificate: Uint8Array): string {
  return new X509Certificate(certificate).toString();
}

/** What `ws` says where the connection ended without one (RFC 6455 §7.1.5). */
const noCloseFrame = 1_006;
