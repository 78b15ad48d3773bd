// What runs in the page: calls with Connect-Web, and what the browser says of how they went. Bundled by the test, which
// calls `cases` by name and compares what they return.

import type { PerformanceEntry } from "node:perf_hooks";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { EchoRequestSchema, EchoService } from "../../../gen/echo/v1/echo_pb.ts";

/** Part of what browsers know of a resource; tests compile against Node's types. */
type ResourceTiming = PerformanceEntry & { readonly nextHopProtocol: string };

/** What a page can speak. */
export type Way = "connect-json" | "connect-binary" | "grpc-web";

export interface Answer {
  readonly message: string;
  /** Response headers, null when the page does not get to see them. */
  readonly answered: string | null;
  readonly hidden: string | null;
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  /** Messages of the details, which are `EchoRequest`. */
  readonly details: readonly string[];
}

/** What the page can be asked to do; `baseUrl` says where to call. */
export const cases = {
  async unary(way: Way, baseUrl: string, message: string): Promise<Answer> {
    let header = new Headers();
    const response = await measured(baseUrl, "Echo", 1, () =>
      client(way, baseUrl).echo(
        { message },
        {
          headers: { "x-asked": "may I" },
          onHeader: (fields) => {
            header = fields;
          },
        },
      ),
    );
    return {
      message: response.message,
      answered: header.get("x-answered"),
      hidden: header.get("x-hidden"),
    };
  },

  /** A message of this many bytes there and back. */
  async large(way: Way, baseUrl: string, size: number): Promise<{ size: number; same: boolean }> {
    const pattern = "0123456789abcdef";
    const message = pattern.repeat(size / pattern.length);
    const response = await measured(baseUrl, "Echo", 1, () =>
      client(way, baseUrl).echo({ message }),
    );
    return { size: response.message.length, same: response.message === message };
  },

  async stream(
    way: Way,
    baseUrl: string,
    count: number,
  ): Promise<{ inOrder: boolean; received: number }> {
    return await measured(baseUrl, "Repeat", 1, async () => {
      let inOrder = true;
      let received = 0;
      for await (const { number } of client(way, baseUrl).repeat({ message: "again", count })) {
        inOrder &&= number === ++received;
      }
      return { inOrder, received };
    });
  },

  /** Many calls at once; whether each got its answer. */
  async together(way: Way, baseUrl: string, count: number): Promise<boolean> {
    const messages = Array.from({ length: count }, (_, index) => `call ${index}`);
    const responses = await measured(baseUrl, "Echo", count, () =>
      Promise.all(messages.map((message) => client(way, baseUrl).echo({ message }))),
    );
    return responses.every(({ message }, index) => message === messages[index]);
  },

  async failure(way: Way, baseUrl: string, message: string): Promise<Failure> {
    return await measured(baseUrl, "Echo", 1, () => fails(client(way, baseUrl).echo({ message })));
  },

  async streamFailure(
    way: Way,
    baseUrl: string,
  ): Promise<{ first: string | undefined; failure: Failure }> {
    return await measured(baseUrl, "Repeat", 1, async () => {
      const responses = client(way, baseUrl).repeat({ message: "fail" })[Symbol.asyncIterator]();
      const first = await responses.next();
      return { first: first.value?.message, failure: await fails(responses.next()) };
    });
  },

  /** Gives a stream up after its first message. */
  async abort(way: Way, baseUrl: string): Promise<Failure> {
    return await measured(baseUrl, "Repeat", 1, async () => {
      const controller = new AbortController();
      const responses = client(way, baseUrl)
        .repeat({ message: "endless" }, { signal: controller.signal })
        [Symbol.asyncIterator]();
      await responses.next();
      controller.abort();
      return await fails(drain(responses));
    });
  },

  /** Whether the browser lets this page call at all. */
  async refused(way: Way, baseUrl: string): Promise<Failure> {
    return await fails(client(way, baseUrl).echo({ message: "from elsewhere" }));
  },

  /** Calls until one has gone over HTTP/3; the protocols of all calls. */
  async untilH3(baseUrl: string, limitMs: number): Promise<string[]> {
    const protocols: string[] = [];
    const end = performance.now() + limitMs;
    do {
      const entries = await resources(baseUrl, "Echo", 1, () =>
        client("connect-binary", baseUrl).echo({ message: "which way?" }),
      );
      protocols.push(...entries.map(({ nextHopProtocol }) => nextHopProtocol));
    } while (protocols.at(-1) !== "h3" && performance.now() < end);
    return protocols;
  },
};

Object.assign(globalThis, { cases });

function client(way: Way, baseUrl: string) {
  return createClient(EchoService, transport(way, baseUrl));
}

function transport(way: Way, baseUrl: string): Transport {
  switch (way) {
    case "connect-json":
      return createConnectTransport({ baseUrl, useBinaryFormat: false });
    case "connect-binary":
      return createConnectTransport({ baseUrl, useBinaryFormat: true });
    case "grpc-web":
      return createGrpcWebTransport({ baseUrl });
    default:
      return way satisfies never;
  }
}

/** Makes calls, and asserts that each went over HTTP/3. */
async function measured<T>(
  baseUrl: string,
  method: string,
  count: number,
  run: () => Promise<T>,
): Promise<T> {
  let result: [T] | undefined;
  const entries = await resources(baseUrl, method, count, async () => {
    result = [await run()];
  });
  const protocols = entries.map(({ nextHopProtocol }) => nextHopProtocol);
  if (result === undefined || protocols.some((protocol) => protocol !== "h3")) {
    throw new Error(`expected all of ${count} calls over h3, found ${JSON.stringify(protocols)}`);
  }
  return result[0];
}

/** What the browser noted of the calls that `run` makes, `count` of them. */
async function resources(
  baseUrl: string,
  method: string,
  count: number,
  run: () => Promise<unknown>,
): Promise<ResourceTiming[]> {
  const url = `${baseUrl}/${EchoService.typeName}/${method}`;
  const entries: ResourceTiming[] = [];
  // The browser adds an entry some time after the response has ended.
  let observer: InstanceType<typeof PerformanceObserver> | undefined;
  const noted = new Promise<void>((resolve) => {
    observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntriesByName(url)) {
        entries.push(entry as ResourceTiming);
      }
      if (entries.length >= count) {
        resolve();
      }
    });
    observer.observe({ type: "resource" });
  });
  try {
    await run();
    await noted;
  } finally {
    observer?.disconnect();
  }
  return entries;
}

async function drain(responses: AsyncIterator<unknown>): Promise<void> {
  while (!(await responses.next()).done) {
    // To the end, which is an error.
  }
}

async function fails(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (reason) {
    const error = ConnectError.from(reason);
    return {
      code: Code[error.code],
      message: error.rawMessage,
      details: error.findDetails(EchoRequestSchema).map(({ message }) => message),
    };
  }
  throw new Error("the call did not fail");
}
