import type { MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { aborted, onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { peerKey } from "../rpc/caller.ts";
import { createPeerClient } from "../rpc/peer-client.ts";
import type { PeerRouter } from "../rpc/peer-router.ts";
import { ChatLink } from "./chat-link.ts";
import { type ChatRequestSchema, WorkerService } from "./gen/connectquic/worker/v1/worker_pb.js";
import { maxLinksPerPeer, maxPeers } from "./worker-limits.ts";

export interface PeerLinksOptions {
  readonly router: PeerRouter;
  /** What to be called. */
  readonly name: string;
  readonly events: PeerLinkEvents;
}

export interface PeerLinkEvents {
  /** False: there are too many peers. */
  dialing(id: string): boolean;
  notDialed(id: string): void;
  /** The first conversation with the peer, or another name of it. `addr` when it was dialed. False: too many peers. */
  opened(id: string, name: string, addr: EndpointAddr | undefined): boolean;
  /** The last conversation has ended, or a dial has failed. */
  closed(id: string, problem: string): void;
  heard(id: string, text: string): void;
}

/** How often a connection that is dialed shows that it is there; well below the worker's idle timeout. Milliseconds. */
const keepAliveIntervalMs = 3_000;
const firstRedialMs = 1_000;
const maxRedialMs = 30_000;

/** A peer that is wanted. */
interface Dial {
  readonly id: string;
  readonly unwanted: AbortController;
  readonly done: Promise<void>;
  /** The conversation that there is may go on, and is the last. */
  readonly lastly: AbortController;
}

/** Conversations with peers: those that they begin, and those with peers that are dialed until they are not wanted. */
export class PeerLinks {
  readonly #router: PeerRouter;
  readonly #platform: Platform;
  readonly #name: string;
  readonly #events: PeerLinkEvents;
  readonly #links = new Map<string, Set<ChatLink>>();
  readonly #dials = new Map<string, Dial>();
  /** Those that end with the conversation that they have. */
  readonly #lasting = new Set<Dial>();

  constructor({ router, name, events }: PeerLinksOptions) {
    this.#router = router;
    this.#platform = router.endpoint.platform;
    this.#name = name;
    this.#events = events;
  }

  /** The conversation with a peer, the latest where there are several. */
  get(id: string): ChatLink | undefined {
    return [...(this.#links.get(id) ?? [])].at(-1);
  }

  /** Dials a peer, and again whenever it is lost. Throws a ConnectError when there are too many peers. */
  dial(addr: EndpointAddr): void {
    const id = addr.id.toString();
    if (this.#dials.has(id)) {
      return;
    }
    if (!this.#events.dialing(id)) {
      throw new ConnectError(`there are ${maxPeers} peers already`, Code.ResourceExhausted);
    }
    const unwanted = new AbortController();
    const lastly = new AbortController();
    const done = this.#keepDialing(addr, unwanted.signal, lastly.signal);
    this.#dials.set(id, { id, unwanted, lastly, done });
  }

  /** Dials a peer no more once it is lost, or right now where it is not connected. */
  release(id: string): void {
    const dial = this.#dials.get(id);
    if (dial === undefined) {
      return;
    }
    this.#dials.delete(id);
    dial.lastly.abort();
    if (this.get(id) === undefined) {
      dial.unwanted.abort(new Error(notDialed));
    } else {
      this.#lasting.add(dial);
      void dial.done.finally(() => this.#lasting.delete(dial));
    }
    this.#events.notDialed(id);
  }

  /** Ends the conversations with a peer, and dials it no more. */
  async disconnect(id: string): Promise<void> {
    const dials = [...this.#dials.values(), ...this.#lasting].filter((dial) => dial.id === id);
    this.#dials.delete(id);
    for (const link of this.#links.get(id) ?? []) {
      link.end(disconnected);
    }
    for (const { unwanted } of dials) {
      unwanted.abort(new Error(disconnected));
    }
    this.#events.notDialed(id);
    await Promise.all(dials.map(({ done }) => done));
  }

  /** Ends all conversations, so that the peers know that this worker leaves. */
  async close(): Promise<void> {
    await Promise.all(
      [...new Set([...this.#dials.keys(), ...this.#links.keys()])].map((id) => this.disconnect(id)),
    );
  }

  /** The handler of conversations that peers begin. */
  readonly chat: ServiceImpl<typeof WorkerService>["chat"] = (requests, context) => {
    const peer = context.values.get(peerKey);
    const { signal } = context;
    const link = this.#createLink(peer.id.toString(), peer.transport({ acceptCompression: [] }));
    const iterator = requests[Symbol.asyncIterator]();
    const links = this;
    return (async function* () {
      const first = await iterator.next();
      const hello = first.done === true ? undefined : first.value.content;
      if (hello?.case !== "hello") {
        throw new ConnectError("a conversation begins with hello", Code.InvalidArgument);
      }
      links.#open(link, hello.value.name, undefined);
      void links.#read(link, iterator);
      try {
        yield { content: { case: "hello" as const, value: { name: links.#name } } };
        for await (const text of link.texts()) {
          yield { content: { case: "text" as const, value: { text } } };
        }
      } finally {
        // Where the call has failed, the reader may not have noticed yet.
        link.end(signal.aborted ? endOf(signal.reason) : hasLeft);
        links.#close(link);
      }
    })();
  };

  async #keepDialing(
    addr: EndpointAddr,
    unwanted: AbortSignal,
    lastly: AbortSignal,
  ): Promise<void> {
    const id = addr.id.toString();
    const transport = this.#router.transportTo(addr, {
      keepAliveIntervalMs,
      acceptCompression: [],
    });
    let redialMs = firstRedialMs;
    try {
      while (!unwanted.aborted && !lastly.aborted) {
        const linked = this.get(id);
        if (linked !== undefined) {
          // It has dialed us.
          await Promise.race([linked.ended, aborted(unwanted), aborted(lastly)]);
          continue;
        }
        const link = this.#createLink(id, transport);
        const wasOpen = await this.#converse(link, addr, unwanted);
        await this.#pause(redialMs, AbortSignal.any([unwanted, lastly]));
        redialMs = wasOpen ? firstRedialMs : Math.min(redialMs * 2, maxRedialMs);
      }
    } finally {
      await transport.close();
    }
  }

  /** Resolves at the end of the conversation; false when there was none. */
  async #converse(link: ChatLink, addr: EndpointAddr, unwanted: AbortSignal): Promise<boolean> {
    const name = this.#name;
    async function* requests() {
      yield { content: { case: "hello" as const, value: { name } } };
      for await (const text of link.texts()) {
        yield { content: { case: "text" as const, value: { text } } };
      }
    }
    const giveUp = new AbortController();
    let leaving: Timer | undefined;
    let wasOpen = false;
    const stopListening = onAbort(unwanted, () => {
      // The peer hears the end of a conversation, and ends it as well.
      leaving = this.#platform.setTimer(wasOpen ? leaveMs : 0, () => giveUp.abort(unwanted.reason));
    });
    try {
      const client = createPeerClient(WorkerService, link.transport);
      for await (const { content } of client.chat(requests(), { signal: giveUp.signal })) {
        if (content.case === "hello" && !wasOpen) {
          this.#open(link, content.value.name, addr);
          wasOpen = true;
        } else if (content.case === "text" && wasOpen) {
          this.#events.heard(link.peerId, link.hear(content.value.text));
        }
      }
      link.end(hasLeft);
    } catch (error) {
      link.end(messageOf(error));
    } finally {
      stopListening();
      if (leaving !== undefined) {
        this.#platform.clearTimer(leaving);
      }
    }
    if (wasOpen) {
      this.#close(link);
    } else if (!unwanted.aborted) {
      this.#events.closed(link.peerId, link.problem ?? hasLeft);
    }
    return wasOpen;
  }

  /** Until the peer says no more. */
  async #read(
    link: ChatLink,
    requests: AsyncIterator<MessageShape<typeof ChatRequestSchema>>,
  ): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await requests.next();
        if (done === true) {
          link.end(hasLeft);
          return;
        }
        if (value.content.case === "text") {
          this.#events.heard(link.peerId, link.hear(value.content.value.text));
        }
      }
    } catch (error) {
      link.end(endOf(error));
    }
  }

  #createLink(id: string, transport: ChatLink["transport"]): ChatLink {
    return new ChatLink(id, transport, () => this.#platform.now());
  }

  /** Throws a ConnectError when there are too many. */
  #open(link: ChatLink, name: string, addr: EndpointAddr | undefined): void {
    const { peerId } = link;
    const links = this.#links.get(peerId) ?? new Set();
    if (links.size >= maxLinksPerPeer || !this.#events.opened(peerId, name, addr)) {
      throw new ConnectError("too many peers, or conversations of one", Code.ResourceExhausted);
    }
    this.#links.set(peerId, links.add(link));
  }

  #close(link: ChatLink): void {
    const { peerId, problem = hasLeft } = link;
    const links = this.#links.get(peerId);
    if (links?.delete(link) === true && links.size === 0) {
      this.#links.delete(peerId);
      this.#events.closed(peerId, problem);
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    let wake = (): void => {};
    const over = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const timer = this.#platform.setTimer(ms, wake);
    await Promise.race([over, aborted(signal)]);
    this.#platform.clearTimer(timer);
  }
}

const hasLeft = "it has left";
const disconnected = "disconnected here";
const notDialed = "not dialed any more";
/** How long a peer may take to end a conversation as well. */
const leaveMs = 1_000;

/** How a conversation has ended that the peer began. It has left as well where it did not wait for us to hear that. */
function endOf(error: unknown): string {
  return ConnectError.from(error).code === Code.Canceled ? hasLeft : messageOf(error);
}

/** Why a call has ended, for people. */
export function messageOf(error: unknown): string {
  return ConnectError.from(error).rawMessage;
}
