// What a test of the suite gets: clients on the transport under test, and a view into the handlers.

import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  ControlService,
  type Event,
  type GetProgressResponse,
  type Script,
  ScriptSchema,
  type TestRequestSchema,
  TestService,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import type { StepInit } from "./script.ts";
import type { RunningSubject, TransportConfig } from "./subject.ts";

/** How long an event may take before the test says that there is none. */
const patienceMs = 10_000;

export type RequestInit = MessageInitShape<typeof TestRequestSchema>;

/** One test on one cell of the matrix. */
export class Stage {
  readonly subject: RunningSubject;
  readonly config: TransportConfig;
  /** A name for the call of this test, and for its gates. Tests with several calls add to it. */
  readonly name: string;
  /** A client of the TestService. */
  readonly client: Client<typeof TestService>;
  readonly #control: Client<typeof ControlService>;

  constructor(subject: RunningSubject, config: TransportConfig, name: string) {
    this.subject = subject;
    this.config = config;
    this.name = name;
    this.client = this.clientOf(TestService);
    this.#control = createClient(ControlService, subject.transport({ protocol: "connect" }));
  }

  /** A transport of this cell, with other options where they are given. */
  transport(options: Partial<TransportConfig> = {}): Transport {
    return this.subject.transport({ ...this.config, ...options });
  }

  clientOf<S extends DescService>(service: S, options: Partial<TransportConfig> = {}): Client<S> {
    return createClient(service, this.transport(options));
  }

  /** A script with the name of this test. */
  script(...steps: StepInit[]): Script {
    return this.scriptOf(this.name, ...steps);
  }

  scriptOf(callName: string, ...steps: StepInit[]): Script {
    return create(ScriptSchema, { callName, steps });
  }

  /** Waits until the call had this event: "started", "signal", "finished", or a mark. */
  async event(event: string, callName: string = this.name): Promise<Event> {
    const answer = this.#control.awaitEvent({ callName, event });
    const response = await Promise.race([answer, sleep(patienceMs, undefined, { ref: false })]);
    if (response?.event === undefined) {
      answer.catch(() => {});
      const { events } = await this.progress(callName);
      throw new Error(`no ${event} of ${callName}, only ${events.map(({ name }) => name)}`);
    }
    return response.event;
  }

  progress(callName: string = this.name): Promise<GetProgressResponse> {
    return this.#control.getProgress({ callName });
  }

  async openGate(gate: string = this.name): Promise<void> {
    await this.#control.openGate({ gate });
  }
}
