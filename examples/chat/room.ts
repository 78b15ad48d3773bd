import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  createPeerClient,
  EndpointAddr,
  EndpointTicket,
  type Peer,
  type PeerRouter,
} from "connect-quic";
import {
  ChatService,
  type FollowRequest,
  type FollowResponseSchema,
  type SignedMessage,
} from "../../gen/chat/v1/chat_pb.ts";
import { comparePlaces, History } from "./history.ts";
import * as limits from "./limits.ts";
import { Membership, type Presence } from "./membership.ts";
import {
  type ChatMessage,
  readMessage,
  shortSignature,
  signatureOf,
  signMessage,
} from "./message.ts";
import { Outbox } from "./outbox.ts";
import { isName, printable } from "./printable.ts";
import { RateLimit, RateLimits } from "./rate-limit.ts";
import { RoomClock } from "./room-clock.ts";
import { Violation } from "./violation.ts";

/** What happens in a room. */
export type RoomEvent =
  /** In the order of the room. `isNews` is false for what was said before this member could hear it. */
  | { readonly type: "said"; readonly messages: readonly ChatMessage[]; readonly isNews: boolean }
  | { readonly type: "here" | "joined" | "back" | "left" | "lost"; readonly who: Presence }
  /** Something for the person to know, about a peer. */
  | { readonly type: "note"; readonly text: string };

export interface RoomOptions {
  readonly name: string;
  readonly nick: string;
  readonly router: PeerRouter;
  readonly tell: (event: RoomEvent) => void;
}

type News = MessageInitShape<typeof FollowResponseSchema>;

const dialTimeoutMs = 10_000;
/** Often enough for the idle timeout that main.ts sets. */
const keepAliveIntervalMs = 2_000;
/** How long those who are there get to hear that this member leaves. */
const farewellMs = 2_000;

/**
 * This member's part of a room. It follows each other member, by a call that streams what happens there, and is followed
 * by them. What it hears for the first time it passes on, so that a message also reaches those who cannot reach its author.
 *
 * `join` comes first unless this member makes the room, then `say` as often as wanted, and `leave` at the end.
 */
export class Room {
  readonly name: string;
  readonly #options: RoomOptions;
  readonly #self: string;
  readonly #history = new History<ChatMessage>({
    total: limits.maxHistory,
    ofAuthor: limits.maxHistoryOfAuthor,
  });
  readonly #clock = new RoomClock(limits.clockToleranceMs);
  readonly #membership: Membership;
  /** What is to be sent to those who follow, and their tickets, for others who come. */
  readonly #followers = new Map<string, { outbox: Outbox<News>; ticket: Uint8Array }>();
  readonly #shutOut = new Set<string>();
  readonly #ownRate = new RateLimit(limits.ownRate);
  readonly #authorRates = new RateLimits(limits.authorRate, limits.maxContacts);
  readonly #followRates = new RateLimits(limits.followRate, limits.maxContacts);
  /** Those of whom a note was shown, which is shown once. */
  readonly #noted = new Set<string>();
  /** What the first call of each of those that `join` names comes to. */
  readonly #joining = new Map<string, { resolve(): void; reject(error: unknown): void }>();
  readonly #calls = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #watchers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #isLeaving = false;

  constructor(options: RoomOptions) {
    this.name = options.name;
    this.#options = options;
    this.#self = options.router.endpoint.id.toString();
    this.#membership = new Membership({ self: this.#self, maxContacts: limits.maxContacts });
  }

  get history(): Iterable<ChatMessage> {
    return this.#history;
  }

  get present(): Iterable<Presence> {
    return this.#membership.present();
  }

  /**
   * Looks for members at these addresses; resolves when one has told what was said, or at once without addresses of
   * others. Rejects with what the first address came to when nobody answers who is in the room.
   */
  async join(addrs: readonly EndpointAddr[]): Promise<void> {
    const now = performance.now();
    const byId = new Map(addrs.map((addr) => [addr.id.toString(), addr]));
    byId.delete(this.#self);
    const attempts = Array.from(byId, ([id, addr]) => {
      const attempt = new Promise<void>((resolve, reject) => {
        this.#joining.set(id, { resolve, reject });
      });
      this.#membership.heard(addr, { from: "another", isNew: false, now });
      return attempt;
    });
    this.#callDue();
    if (attempts.length > 0) {
      await Promise.any(attempts).catch((error: AggregateError) => {
        throw error.errors[0];
      });
    }
  }

  /** Says something to all; waits where that would be faster than others take it. */
  async say(text: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = this.#ownRate.waitMs(performance.now());
      if (waitMs === 0) {
        break;
      }
      await sleep(waitMs, signal);
      signal.throwIfAborted();
    }
    this.#ownRate.take(performance.now());
    const { nick, router } = this.#options;
    const { secretKey } = router.endpoint;
    const timeMs = this.#clock.next(Date.now());
    const message = signMessage(secretKey, { room: this.name, nick, timeMs, text });
    this.#history.add(message);
    this.#passOn(message, this.#self);
    this.#options.tell({ type: "said", messages: [message], isNews: true });
  }

  /** Resolves when all who are there follow this member and have taken what it said, or at the signal. */
  async delivered(signal: AbortSignal): Promise<void> {
    const isDelivered = (): boolean =>
      [...this.#membership.present()].every(
        ({ id }) => this.#followers.get(id)?.outbox.isEmpty === true,
      );
    await this.#until(isDelivered, signal);
  }

  /** Serves a member that follows the room here, until one of the two leaves. */
  async *follow(request: FollowRequest, peer: Peer, signal: AbortSignal): AsyncGenerator<News> {
    const id = peer.id.toString();
    const addr = this.#admit(request, peer);
    const outbox = new Outbox<News>(limits.maxWaiting, () => this.#changed());
    const onAbort = (): void => outbox.end();
    signal.addEventListener("abort", onAbort, { once: true });
    const known = new Set(request.known);
    const { ticket } = request;
    const members = [...this.#followers].flatMap(([member, follower]) =>
      member === id ? [] : [follower.ticket],
    );
    // From here on nothing is missed: what comes while the history is sent waits in the outbox.
    const missed = [...this.#history].filter((message) => !known.has(shortSignature(message)));
    this.#followers.get(id)?.outbox.fail(new ConnectError("followed anew", Code.Aborted));
    this.#followers.set(id, { outbox, ticket });
    this.#tellOthers({ event: { case: "member", value: { ticket } } }, id);
    this.#heard(addr, "itself");
    try {
      yield { event: { case: "welcome", value: { nick: this.#options.nick } } };
      for (const member of members) {
        yield { event: { case: "member", value: { ticket: member } } };
      }
      for (const { signed } of missed) {
        yield { event: { case: "message", value: signed } };
      }
      yield { event: { case: "caughtUp", value: {} } };
      yield* outbox;
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (this.#followers.get(id)?.outbox === outbox) {
        this.#followers.delete(id);
      }
      this.#changed();
    }
  }

  /** Tells the others, waits until they have heard it, at most two seconds, and ends all calls. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    clearTimeout(this.#timer);
    for (const { outbox } of this.#followers.values()) {
      outbox.end({ event: { case: "left", value: {} } });
    }
    // Who has heard it ends the call by which it is followed.
    await this.#until(
      () => this.#followers.size === 0 && this.#calls.size === 0,
      AbortSignal.timeout(farewellMs),
    );
    this.#stop.abort();
    for (const { outbox } of this.#followers.values()) {
      outbox.fail(new ConnectError("left", Code.Unavailable));
    }
    await Promise.all(this.#calls);
  }

  /** Whether a peer may follow; throws a ConnectError for it if not. */
  #admit(request: FollowRequest, peer: Peer): EndpointAddr {
    const id = peer.id.toString();
    if (this.#isLeaving) {
      throw new ConnectError("left", Code.NotFound);
    }
    if (this.#shutOut.has(id)) {
      throw new ConnectError("shut out", Code.PermissionDenied);
    }
    if (!isName(request.nick) || request.known.length > limits.maxHistory) {
      throw new ConnectError("that cannot be a member", Code.InvalidArgument);
    }
    const addr = readTicket(request.ticket);
    if (addr?.id.equals(peer.id) !== true) {
      throw new ConnectError("that is not the caller's ticket", Code.InvalidArgument);
    }
    if (
      (this.#followers.size >= limits.maxMembers && !this.#followers.has(id)) ||
      !this.#followRates.take(id, performance.now())
    ) {
      throw new ConnectError("no place, or too often", Code.ResourceExhausted);
    }
    return addr;
  }

  #heard(addr: EndpointAddr, from: "itself" | "another", isNew = from === "itself"): void {
    if (!this.#shutOut.has(addr.id.toString())) {
      this.#membership.heard(addr, { from, isNew, now: performance.now() });
      this.#callDue();
    }
  }

  /** Calls those who are due, and sees to it that others are when they are. */
  #callDue(): void {
    clearTimeout(this.#timer);
    if (this.#isLeaving) {
      return;
    }
    for (const addr of this.#membership.takeDue(performance.now())) {
      const call = this.#followMember(addr).finally(() => {
        this.#calls.delete(call);
        this.#changed();
      });
      this.#calls.add(call);
    }
    const next = this.#membership.nextCall();
    if (next !== undefined) {
      this.#timer = setTimeout(() => this.#callDue(), next - performance.now());
    }
  }

  /** Follows a member until it leaves or is lost. Does not reject. */
  async #followMember(addr: EndpointAddr): Promise<void> {
    const { router } = this.#options;
    const id = addr.id.toString();
    const transport = router.transportTo(addr, {
      dialTimeoutMs,
      keepAliveIntervalMs,
      waitForReady: true,
      readMaxBytes: limits.maxMessageBytes,
    });
    try {
      await this.#readNews(id, createPeerClient(ChatService, transport));
    } catch (error) {
      this.#callFailed(addr, error);
    } finally {
      await transport.close();
    }
    this.#callDue();
  }

  async #readNews(
    id: string,
    client: ReturnType<typeof createPeerClient<typeof ChatService>>,
  ): Promise<void> {
    const { nick, router } = this.#options;
    const known = Array.from(this.#history, shortSignature);
    const ticket = new EndpointTicket(shortened(router.endpoint.addr())).toBytes();
    const rate = new RateLimit(limits.newsRate);
    /** What was said before, until the member has told all of it. */
    let missed: ChatMessage[] | undefined = [];
    let early = 0;
    let isWelcome = false;
    const { signal } = this.#stop;
    for await (const { event } of client.follow(
      { room: this.name, nick, ticket, known },
      { signal },
    )) {
      if (missed === undefined) {
        await sleep(rate.waitMs(performance.now()), signal);
        signal.throwIfAborted();
        rate.take(performance.now());
      } else {
        early += 1;
        if (early > 2 + limits.maxHistory + limits.maxMembers) {
          throw new Violation("tells more than there can be");
        }
      }
      if (!isWelcome && event.case !== "welcome") {
        throw new Violation("does not say who it is");
      }
      switch (event.case) {
        case "welcome": {
          if (isWelcome || !isName(event.value.nick)) {
            throw new Violation("does not say who it is");
          }
          isWelcome = true;
          const news = this.#membership.answered(id, event.value.nick);
          if (news !== undefined) {
            this.#options.tell({ type: news, who: { id, nick: event.value.nick } });
          }
          break;
        }
        case "member": {
          const member = readTicket(event.value.ticket);
          if (member === undefined) {
            throw new Violation("sent a ticket that is none");
          }
          this.#heard(member, "another", missed === undefined);
          break;
        }
        case "message": {
          const message = this.#receive(event.value, id, missed === undefined);
          if (message !== undefined && missed === undefined) {
            this.#options.tell({ type: "said", messages: [message], isNews: true });
          } else if (message !== undefined) {
            missed?.push(message);
          }
          break;
        }
        case "caughtUp":
          if (missed !== undefined && missed.length > 0) {
            missed.sort(comparePlaces);
            this.#options.tell({ type: "said", messages: missed, isNews: false });
          }
          missed = undefined;
          this.#joining.get(id)?.resolve();
          this.#joining.delete(id);
          break;
        case "left":
          this.#left(id);
          // By which it knows that this was heard.
          this.#followers.get(id)?.outbox.end();
          return;
        default:
          // Something of a later version.
          break;
      }
    }
    throw new ConnectError("the call has ended", Code.Unavailable);
  }

  /** A message from a member, if it is new and was taken; it is passed on. */
  #receive(signed: SignedMessage, from: string, isNews: boolean): ChatMessage | undefined {
    if (this.#history.has(signatureOf(signed))) {
      return undefined;
    }
    const message = readMessage(this.name, signed);
    if (!this.#clock.see(message.timeMs, Date.now())) {
      this.#noteOnce(message, "is left out, as the clocks differ: one here or there is wrong");
      return undefined;
    }
    if (isNews && !this.#authorRates.take(message.author, performance.now())) {
      this.#noteOnce(message, "says more than can be read: some of it is left out");
      return undefined;
    }
    if (!this.#history.add(message)) {
      return undefined;
    }
    this.#passOn(message, from);
    return message;
  }

  #passOn(message: ChatMessage, from: string): void {
    const news: News = { event: { case: "message", value: message.signed } };
    this.#tellOthers(news, from, message.author);
  }

  #tellOthers(news: News, ...except: string[]): void {
    for (const [id, { outbox }] of this.#followers) {
      if (!except.includes(id) && !outbox.push(news)) {
        outbox.fail(new ConnectError("reads too slowly", Code.ResourceExhausted));
      }
    }
  }

  #left(id: string): void {
    const who = this.#membership.gone(id);
    if (who !== undefined) {
      this.#options.tell({ type: "left", who });
    }
    this.#changed();
  }

  #callFailed({ id: peer }: EndpointAddr, error: unknown): void {
    const id = peer.toString();
    const joining = this.#joining.get(id);
    this.#joining.delete(id);
    if (this.#isLeaving) {
      joining?.reject(error);
      return;
    }
    if (error instanceof Violation) {
      this.#options.tell({ type: "note", text: `${peer.short} is shut out: it ${error.message}` });
      this.#shutOut.add(id);
      const [oldest] = this.#shutOut;
      if (this.#shutOut.size > limits.maxShutOut && oldest !== undefined) {
        this.#shutOut.delete(oldest);
      }
      this.#followers.get(id)?.outbox.fail(new ConnectError("shut out", Code.PermissionDenied));
      this.#left(id);
      joining?.reject(new Error(`${peer.short} ${error.message}`));
      return;
    }
    const { code } = ConnectError.from(error);
    if (code === Code.NotFound || code === Code.PermissionDenied) {
      this.#left(id);
      joining?.reject(new Error(notThere(peer.short, this.name, code)));
      return;
    }
    const who = this.#membership.failed(id, performance.now());
    if (who !== undefined) {
      this.#options.tell({ type: "lost", who });
    }
    joining?.reject(new Error(printable(ConnectError.from(error).rawMessage)));
    this.#changed();
  }

  #noteOnce({ author, nick }: ChatMessage, text: string): void {
    if (!this.#noted.has(author) && this.#noted.size < limits.maxContacts) {
      this.#noted.add(author);
      this.#options.tell({ type: "note", text: `${nick} (${author.slice(0, 10)}) ${text}` });
    }
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) {
      watcher();
    }
  }

  /** Resolves when the condition is met after some change, or at the signal. */
  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#watchers.delete(look);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const look = (): void => {
        if (condition() || signal.aborted) {
          done();
        }
      };
      signal.addEventListener("abort", done, { once: true });
      this.#watchers.add(look);
      look();
    });
  }
}

function notThere(peer: string, room: string, code: Code): string {
  return code === Code.NotFound
    ? `${peer} is not in the room ${JSON.stringify(room)}`
    : `${peer} does not let this member in`;
}

/** Undefined for what is no ticket, or has more addresses than a member has. */
function readTicket(bytes: Uint8Array): EndpointAddr | undefined {
  if (bytes.length > limits.maxTicketBytes) {
    return undefined;
  }
  try {
    const { addr } = EndpointTicket.fromBytes(bytes);
    return addr.addrs.length <= limits.maxAddrs ? addr : undefined;
  } catch {
    return undefined;
  }
}

function shortened(addr: EndpointAddr): EndpointAddr {
  return new EndpointAddr(addr.id, addr.addrs.slice(0, limits.maxAddrs));
}

/** Resolves early when the signal fires. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (ms <= 0 || signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
