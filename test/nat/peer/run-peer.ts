import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { CallLog } from "./call-log.ts";
import type { PeerConnection, PeerEndpoint, PeerOptions } from "./peer-endpoint.ts";
import {
  monotonicNow,
  type PeerCommand,
  type PeerEvent,
  type StartCommand,
} from "./peer-protocol.ts";

type Bind = (options: PeerOptions) => Promise<PeerEndpoint>;

/** The process of a peer: does what comes on stdin, reports on stdout, ends with stdin. */
export function runPeer(bind: Bind): void {
  const peer = new Peer(bind);
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      void peer.handle(JSON.parse(line) as PeerCommand).catch((error: unknown) => {
        console.error(error);
        process.exit(1);
      });
    })
    .once("close", () => process.exit());
}

class Peer {
  readonly #bind: Bind;
  readonly #calls = new CallLog();
  readonly #messages = new CallLog();
  #endpoint: PeerEndpoint | undefined;
  #finishing = false;

  constructor(bind: Bind) {
    this.#bind = bind;
  }

  async handle(command: PeerCommand): Promise<void> {
    switch (command.type) {
      case "start":
        return this.#start(command);
      case "dial":
        return this.#dial(command.target);
      case "external":
        return this.#bound.changeExternal(command.add, command.remove);
      case "finish":
        return this.#finish();
      default:
        command satisfies never;
    }
  }

  get #bound(): PeerEndpoint {
    if (this.#endpoint === undefined) {
      throw new Error("not started");
    }
    return this.#endpoint;
  }

  async #start(command: StartCommand): Promise<void> {
    await warmUp(this.#bind);
    this.#endpoint = await this.#bind({
      ...command,
      onConnection: (connection) => this.#report(connection),
    });
    emit({ type: "ready", id: this.#endpoint.id, ticket: this.#endpoint.ticket() });
  }

  async #dial(target: string): Promise<void> {
    emit({ type: "dialed", at: monotonicNow() });
    let connection: PeerConnection;
    try {
      connection = await this.#bound.dial(target);
    } catch (error) {
      emit({ type: "lost", at: monotonicNow(), reason: `not connected: ${describe(error)}` });
      return;
    }
    emit({ type: "connected", at: monotonicNow() });
    this.#report(connection);
    const reports = setInterval(() => this.#emitCalls(), reportIntervalMs);
    void connection.closed.then(() => clearInterval(reports));
    void this.#callContinuously(connection);
    void this.#talkContinuously(connection);
  }

  #report(connection: PeerConnection): void {
    connection.watchPath((kind, to) => emit({ type: "path", at: monotonicNow(), kind, to }));
    void connection.closed.then((reason) => {
      if (!this.#finishing) {
        emit({ type: "lost", at: monotonicNow(), reason });
      }
    });
  }

  /** Calls do not wait for each other, so that one which is held up tells itself from a path that is. */
  async #callContinuously(connection: PeerConnection): Promise<void> {
    while (!this.#finishing) {
      if (this.#calls.out < maxCallsOut) {
        void this.#call(connection);
      }
      await sleep(callIntervalMs);
    }
  }

  async #call(connection: PeerConnection): Promise<void> {
    const number = this.#calls.begin(monotonicNow());
    const question = numbered(number, callBytes);
    try {
      const answer = await connection.echo(question);
      if (!question.equals(answer)) {
        throw new Error(`call ${number} was answered with something else`);
      }
      this.#calls.answer(number, monotonicNow());
    } catch (error) {
      this.#calls.fail(number, describe(error));
    }
  }

  async #talkContinuously(connection: PeerConnection): Promise<void> {
    let number: number | undefined;
    try {
      const stream = await connection.openStream();
      while (!this.#finishing) {
        number = this.#messages.begin(monotonicNow());
        const sent = numbered(number, messageBytes);
        await stream.write(sent);
        let received: Buffer = Buffer.alloc(0);
        while (received.length < sent.length) {
          const bytes = await stream.read();
          if (bytes === undefined) {
            throw new Error("the stream has ended");
          }
          received = Buffer.concat([received, bytes]);
        }
        if (!received.equals(sent)) {
          throw new Error(`message ${number} came back as something else`);
        }
        this.#messages.answer(number, monotonicNow());
        await sleep(messageIntervalMs);
      }
    } catch (error) {
      this.#messages.fail(number ?? this.#messages.begin(monotonicNow()), describe(error));
    }
  }

  async #finish(): Promise<void> {
    this.#finishing = true;
    const deadline = monotonicNow() + lastAnswersMs;
    while (this.#calls.out + this.#messages.out > 0 && monotonicNow() < deadline) {
      await sleep(callIntervalMs);
    }
    this.#emitCalls();
    emit({ type: "finished" });
  }

  #emitCalls(): void {
    const at = monotonicNow();
    emit({
      type: "calls",
      at,
      calls: this.#calls.report(at),
      messages: this.#messages.report(at),
    });
  }
}

/**
 * What is slow only at first in a process is not what is compared: code that is compiled when it has run often enough, in
 * a handshake as in calls, keys of a first handshake.
 */
async function warmUp(bind: Bind): Promise<void> {
  const there = await bind({ bind: ["127.0.0.1:0"] });
  for (let dial = 0; dial < warmUpDials; dial++) {
    const here = await bind({ bind: ["127.0.0.1:0"] });
    const connection = await here.dial(there.ticket());
    for (let number = 0; number < warmUpCalls; number++) {
      await connection.echo(numbered(number, callBytes));
    }
    await here.close();
  }
  await there.close();
}

function numbered(number: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes, number);
  buffer.writeUInt32BE(number);
  return buffer;
}

function emit(event: PeerEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const callIntervalMs = 20;
const callBytes = 100;
/** iroh lets a hundred streams be open. */
const maxCallsOut = 64;
const messageIntervalMs = 50;
const messageBytes = 64;
const reportIntervalMs = 100;
const warmUpDials = 10;
const warmUpCalls = 10;
/** How long a call may be out at the end before it counts as lost. */
const lastAnswersMs = 30_000;
