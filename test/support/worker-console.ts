import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  ConsoleService,
  type WatchResponse,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { PageModel } from "../../src/worker/page/page-model.ts";

/** Calls a worker as its page does. */
export class WorkerConsole {
  readonly client: Client<typeof ConsoleService>;

  /** @param page its URL */
  constructor(page: string) {
    this.client = createClient(
      ConsoleService,
      createConnectTransport({ baseUrl: new URL(page).origin, httpVersion: "1.1" }),
    );
  }

  /** Watches the worker until there is what `find` looks for in its state. Rejects when it ends, and with the signal's reason. */
  async until<T>(
    find: (model: PageModel) => T | undefined | false,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    const model = new PageModel();
    const found = new AbortController();
    const signal = AbortSignal.any([found.signal, ...(options.signal ? [options.signal] : [])]);
    try {
      for await (const changes of this.client.watch({}, { signal })) {
        model.apply(changes as WatchResponse);
        const value = find(model);
        if (value !== undefined && value !== false) {
          return value;
        }
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      found.abort();
    }
    throw new Error("the worker has ended");
  }
}
