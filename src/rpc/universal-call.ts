import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { BodyQueue } from "./body-queue.ts";
import type { CallRequest, ClientCall, ResponseHandler } from "./client-call.ts";
import {
  type FieldSection,
  headersFromFields,
  parseResponseHead,
  requestFields,
} from "./fields.ts";
import { reduceTimeout } from "./timeout-field.ts";

/** Makes a call and starts it. */
export type BeginCall = (request: CallRequest, response: ResponseHandler) => void;

/**
 * A request of connect-es's universal client as a call. Resolves with the head of the response; its body and trailers
 * follow. A body that is not read stops the peer. `early` and `key` as in {@link CallRequest}.
 */
export function universalCall(
  request: UniversalClientRequest,
  begin: BeginCall,
  { early = false, key }: Pick<CallRequest, "early" | "key"> = {},
): Promise<UniversalClientResponse> {
  const { method, url, header, body, signal } = request;
  return responseOf(
    {
      content: body,
      signal,
      early,
      key,
      fields: (waitedMs) => {
        const fields = requestFields(method, url, header);
        // The peer's clock for the deadline begins when the request arrives.
        return waitedMs > 0 ? fields.map((field) => reduceTimeout(field, waitedMs)) : fields;
      },
    },
    begin,
  );
}

/** A response whose head has arrived. */
export interface BegunResponse extends UniversalClientResponse {
  readonly body: ResponseBody;
}

/** Begins a call; as {@link universalCall}. */
export function responseOf(request: CallRequest, begin: BeginCall): Promise<BegunResponse> {
  return new Promise((resolve, reject) => {
    begin(request, new UniversalResponse({ resolve, reject }));
  });
}

interface Outcome {
  resolve(response: BegunResponse): void;
  reject(error: ConnectError): void;
}

class UniversalResponse implements ResponseHandler {
  /** Dropped once it is settled: it would hold the response's reader, see {@link abandonedReaders}. */
  #outcome: Outcome | undefined;
  #body: BodyQueue | undefined;
  readonly #trailer = new Headers();

  constructor(outcome: Outcome) {
    this.#outcome = outcome;
  }

  head(fields: FieldSection, call: ClientCall): void {
    const head = parseResponseHead(fields);
    if (head === undefined) {
      throw call.malformed("the header section of the response");
    }
    const { status, header } = head;
    const queue = new BodyQueue({
      pause: () => call.pause(),
      resumeSoon: () => call.resumeSoon(),
      abandon: () => {
        call.cancel(new ConnectError("response was left unread", Code.Canceled), { drop: false });
      },
    });
    this.#body = queue;
    const body = new ResponseBody(queue, call);
    abandonedReaders.register(body, call, this);
    this.#outcome?.resolve({ status, header, body, trailer: this.#trailer });
    this.#outcome = undefined;
  }

  data(bytes: Uint8Array): void {
    this.#body?.push(bytes);
  }

  trailers(fields: FieldSection, call: ClientCall): void {
    if (headersFromFields(fields, this.#trailer) === undefined) {
      throw call.malformed("the trailer section of the response");
    }
  }

  end(): void {
    abandonedReaders.unregister(this);
    this.#body?.end();
  }

  failed(error: ConnectError, { drop }: { readonly drop: boolean }): void {
    abandonedReaders.unregister(this);
    this.#outcome?.reject(error);
    this.#outcome = undefined;
    if (drop) {
      this.#body?.abort(error);
    } else {
      this.#body?.fail(error);
    }
  }
}

/** The reader's end of a queue, apart from it so that it can be seen when nobody holds it any more. */
export class ResponseBody implements AsyncIterableIterator<Uint8Array> {
  readonly #queue: BodyQueue;
  readonly #call: ClientCall;

  constructor(queue: BodyQueue, call: ClientCall) {
    this.#queue = queue;
    this.#call = call;
  }

  /** Throws when the caller has given up, though the response may be complete by now. */
  throwIfUnwanted(): void {
    this.#call.throwIfUnwanted();
  }

  /** Ends the call, unless it ends by itself right now. */
  cancelSoon(error: ConnectError): void {
    this.#call.cancelSoon(error);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return this.#queue.next();
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    return this.#queue.return();
  }

  throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    return this.#queue.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * Clients of Connect do not say when a `for await` over responses is left early: the iterator is just dropped. Its call
 * would stay open, and its peer busy, for as long as the connection. So the call is cancelled when the garbage collector
 * finds that nobody can read its response any more.
 */
const abandonedReaders = new FinalizationRegistry<ClientCall>((call) => {
  call.cancel(new ConnectError("nobody reads the response", Code.Canceled));
});
