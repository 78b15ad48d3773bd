// How the simulated clients of bench/rendezvous.ts call their places: at one of them, and when that is lost at the next.

import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createQuicTransport, type Endpoint } from "../src/index.ts";
import type { PlaceAddress } from "./rendezvous-place.ts";

/** A connection by HTTP/2 to each place, of which the one with this number is called first. */
export function overHttp(places: readonly PlaceAddress[], first: number): Transport {
  const transports = places.map(({ url, cert }) =>
    createConnectTransport({
      baseUrl: url,
      httpVersion: "2",
      acceptCompression: [],
      nodeOptions: { ca: cert },
    }),
  );
  return nextPlace(transports, first);
}

/** As `overHttp`, by an endpoint of the peer. */
export function overQuic(
  endpoint: Endpoint,
  places: readonly PlaceAddress[],
  first: number,
): Transport {
  const transports = places.map(({ ticket }) => createQuicTransport({ endpoint, to: ticket }));
  return nextPlace(transports, first);
}

/** What a load balancer does: calls go on at the next place once one has been lost. */
function nextPlace(places: readonly Transport[], first: number): Transport {
  let at = first % places.length;
  const present = (): Transport => {
    const place = places[at];
    if (place === undefined) {
      throw new TypeError("no places");
    }
    return place;
  };
  const lost = (where: number, error: unknown, signal: AbortSignal | undefined): unknown => {
    if (where === at && signal?.aborted !== true && !answers.has(ConnectError.from(error).code)) {
      at = (at + 1) % places.length;
    }
    return error;
  };
  async function* watched<T>(
    where: number,
    messages: AsyncIterable<T>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (error) {
      throw lost(where, error, signal);
    }
  }
  return {
    unary: async (method, signal, ...rest) => {
      const where = at;
      try {
        return await present().unary(method, signal, ...rest);
      } catch (error) {
        throw lost(where, error, signal);
      }
    },
    stream: async (method, signal, ...rest) => {
      const where = at;
      try {
        const response = await present().stream(method, signal, ...rest);
        return { ...response, message: watched(where, response.message, signal) };
      } catch (error) {
        throw lost(where, error, signal);
      }
    },
  };
}

/** Codes of a place that is there. */
const answers: ReadonlySet<Code> = new Set([
  Code.NotFound,
  Code.AlreadyExists,
  Code.ResourceExhausted,
  Code.InvalidArgument,
]);
