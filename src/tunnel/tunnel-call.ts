import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { onAbort } from "../base/on-abort.ts";
import type { TunnelClientCore } from "./client-core.ts";
import type { ClientStream, ResponseEvents } from "./client-stream.ts";
import { ContentReader } from "./content-reader.ts";
import type { Status } from "./gen/google/rpc/status_pb.ts";
import type { Metadata } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { MessageSender } from "./message-sender.ts";
import { headersFromMetadata, metadataFromHeaders } from "./metadata.ts";
import type { BinaryEncoding } from "./negotiation.ts";
import { addStatus } from "./status.ts";

/**
 * A request of connect-es's gRPC client through a tunnel. Resolves with the head of the response; its body and trailers
 * follow.
 */
export function callThrough(
  core: TunnelClientCore,
  request: UniversalClientRequest,
): Promise<UniversalClientResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    if (signal?.aborted === true) {
      reject(canceled(signal));
      return;
    }
    try {
      new TunnelCall({ resolve, reject }).start(core, request);
    } catch (error) {
      reject(error);
    }
  });
}

interface Outcome {
  resolve(response: UniversalClientResponse): void;
  reject(error: unknown): void;
}

class TunnelCall implements ResponseEvents {
  /** Dropped once it is settled: it would hold the response's reader, see {@link abandonedReaders}. */
  #outcome: Outcome | undefined;
  #stream: ClientStream | undefined;
  #sender: MessageSender | undefined;
  #encoding: BinaryEncoding = "utf8";
  #stopListening: () => void = () => {};
  readonly #body: ContentReader;
  readonly #trailer = new Headers();

  constructor(outcome: Outcome) {
    this.#outcome = outcome;
    this.#body = new ContentReader({
      read: () => this.#stream?.read(),
      abandon: () => this.cancel(new ConnectError("the response was left unread", Code.Canceled)),
    });
  }

  start(core: TunnelClientCore, { url, header, body, signal }: UniversalClientRequest): void {
    const stream = core.open(
      {
        methodName: new URL(url).pathname,
        headers: (encoding) => {
          this.#encoding = encoding;
          return metadataFromHeaders(header, encoding);
        },
      },
      this,
    );
    this.#stream = stream;
    this.#stopListening = onAbort(signal, () => this.#giveUp(canceled(signal), { drop: true }));
    if (body === undefined) {
      stream.end();
    } else {
      this.#sender = new MessageSender(stream, body);
      void this.#send(stream, this.#sender);
    }
  }

  /** Ends the call from this side. What has arrived may still be read. */
  cancel(error: ConnectError): void {
    this.#giveUp(error, { drop: false });
  }

  // ResponseEvents

  headers(metadata: Metadata | undefined): void {
    const header = headersFromMetadata(metadata, this.#encoding);
    if (header === undefined) {
      throw malformed("the headers of the response");
    }
    header.set("content-type", "application/grpc+proto");
    const body = readerOf(this.#body);
    abandonedReaders.register(body, this, this);
    this.#outcome?.resolve({ status: 200, header, body, trailer: this.#trailer });
    this.#outcome = undefined;
  }

  readable(): void {
    if (this.#outcome !== undefined) {
      this.headers(undefined);
    }
    this.#body.wake();
  }

  writable(): void {
    this.#sender?.writable();
  }

  closed(trailers: Metadata | undefined, status: Status | undefined): void {
    if (this.#outcome !== undefined) {
      this.headers(undefined);
    }
    if (headersFromMetadata(trailers, this.#encoding, this.#trailer) === undefined) {
      this.failed(malformed("the trailers of the response"));
      return;
    }
    addStatus(this.#trailer, status);
    this.#over();
    this.#body.end();
  }

  failed(error: ConnectError): void {
    this.#over(error);
    this.#outcome?.reject(error);
    this.#outcome = undefined;
    this.#body.fail(error);
  }

  #giveUp(error: ConnectError, { drop }: { readonly drop: boolean }): void {
    if (drop) {
      this.#body.abort(error);
    }
    this.#stream?.cancel();
    this.failed(error);
  }

  async #send(stream: ClientStream, sender: MessageSender): Promise<void> {
    try {
      if (await sender.run()) {
        stream.end();
      }
    } catch (error) {
      if (!stream.over) {
        this.#giveUp(ConnectError.from(error, Code.Internal), { drop: true });
      }
    }
  }

  #over(error?: ConnectError): void {
    abandonedReaders.unregister(this);
    this.#stopListening();
    this.#sender?.stop(error);
  }
}

/** The reader's end of a body, apart from it so that it can be seen when nobody holds it any more. */
function readerOf(body: ContentReader): AsyncIterableIterator<Uint8Array> {
  return {
    next: () => body.next(),
    return: () => body.return(),
    throw: (error: unknown) => body.throw(error),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * Clients of Connect do not say when a `for await` over responses is left early. The call is cancelled when the garbage
 * collector finds that nobody can read its response any more.
 */
const abandonedReaders = new FinalizationRegistry<TunnelCall>((call) => {
  call.cancel(new ConnectError("nobody reads the response", Code.Canceled));
});

function canceled(signal: AbortSignal | undefined): ConnectError {
  return ConnectError.from(signal?.reason, Code.Canceled);
}

function malformed(what: string): ConnectError {
  return new ConnectError(`the tunnel's peer sent what cannot be: ${what}`, Code.Internal);
}
