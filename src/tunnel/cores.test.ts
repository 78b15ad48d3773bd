// The two ends of a tunnel, frame by frame, without anything between them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { TunnelClientCore } from "./client-core.ts";
import type { ClientStream, ResponseEvents } from "./client-stream.ts";
import {
  type ClientToServer,
  ClientToServerSchema,
  MetadataSchema,
  type NewStream,
  type ServerToClient,
  ServerToClientSchema,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import type { Revision } from "./negotiation.ts";
import { PlainEnvelopes } from "./plain-envelopes.ts";
import { TunnelServerCore } from "./server-core.ts";
import type { RequestEvents, ServerStream } from "./server-stream.ts";
import { defaultTunnelLimits, maxWaitingRefusals, type TunnelLimits } from "./tunnel-limits.ts";

const none = create(MetadataSchema);

/** A call at the calling end, and what it learned. */
class Caller implements ResponseEvents {
  readonly stream: ClientStream;
  readonly log: string[] = [];
  readonly messages: number[] = [];
  readonly #splitter = new PlainEnvelopes();

  constructor(core: TunnelClientCore, methodName = "/a.B/C") {
    this.stream = core.open({ methodName, headers: () => none }, this);
  }

  headers(): void {
    this.log.push("headers");
  }

  readable(): void {}

  writable(): void {
    this.log.push("writable");
  }

  closed(_trailers: unknown, status: { readonly code: number } | undefined): void {
    this.log.push(`closed ${status?.code ?? 0}`);
  }

  failed(error: ConnectError): void {
    this.log.push(`failed ${Code[error.code]}`);
  }

  /** Takes all that waits. */
  read(): void {
    for (let bytes = this.stream.read(); bytes !== undefined; bytes = this.stream.read()) {
      this.messages.push(...this.#splitter.push(bytes).map(({ length }) => length));
    }
  }
}

/** A call at the serving end, and what it learned. */
class Handler implements RequestEvents {
  readonly stream: ServerStream;
  readonly head: NewStream;
  readonly log: string[] = [];
  readonly messages: number[] = [];
  readonly #splitter = new PlainEnvelopes();

  constructor(stream: ServerStream, head: NewStream) {
    this.stream = stream;
    this.head = head;
  }

  readable(): void {}

  writable(): void {
    this.log.push("writable");
  }

  ended(): void {
    this.log.push("ended");
  }

  cancelled(reason: ConnectError): void {
    this.log.push(`cancelled ${Code[reason.code]}`);
  }

  /** Takes all that waits. */
  read(): void {
    for (let bytes = this.stream.read(); bytes !== undefined; bytes = this.stream.read()) {
      this.messages.push(...this.#splitter.push(bytes).map(({ length }) => length));
    }
  }
}

interface SceneOptions {
  readonly limits?: Partial<TunnelLimits>;
  readonly clientRevisions?: readonly Revision[];
  readonly serverRevisions?: readonly Revision[];
  readonly settings?: boolean;
}

/** Two ends. Frames go over the wire format, as all that a peer gets has. */
class Scene {
  readonly client: TunnelClientCore;
  readonly server: TunnelServerCore;
  readonly handlers: Handler[] = [];
  readonly frames: string[] = [];
  readonly #settings: boolean;

  constructor(options: SceneOptions = {}) {
    const limits = { ...defaultTunnelLimits, ...options.limits };
    const quiet = { limits, onFrames: () => {}, onStreamEnd: () => {} };
    this.#settings = options.settings ?? true;
    this.client = new TunnelClientCore({ ...quiet, revisions: options.clientRevisions ?? [0, 1] });
    this.server = new TunnelServerCore({
      ...quiet,
      revisions: options.serverRevisions ?? [0, 1],
      accept: (stream, head) => {
        const handler = new Handler(stream, head);
        this.handlers.push(handler);
        return handler;
      },
    });
  }

  /** The headers have been exchanged. */
  open(): this {
    this.client.negotiated({ settings: this.#settings, binary: "utf8" });
    if (this.#settings) {
      this.server.sendSettings();
    }
    return this.run();
  }

  /** Passes frames until there are none. */
  run(): this {
    while (this.toServer() || this.toClient()) {}
    return this;
  }

  toServer(): boolean {
    const frame = this.client.pollFrame();
    if (frame !== undefined) {
      this.frames.push(`${frame.streamId} ${frame.frame.case}`);
      const bytes = toBinary(ClientToServerSchema, frame);
      this.server.handleFrame(fromBinary(ClientToServerSchema, bytes));
    }
    return frame !== undefined;
  }

  toClient(): boolean {
    const frame = this.server.pollFrame();
    if (frame !== undefined) {
      this.frames.push(`${frame.streamId} ${frame.frame.case}`);
      const bytes = toBinary(ServerToClientSchema, frame);
      this.client.handleFrame(fromBinary(ServerToClientSchema, bytes));
    }
    return frame !== undefined;
  }

  handler(index: number): Handler {
    const handler = this.handlers[index];
    assert.ok(handler);
    return handler;
  }
}

function toServer(
  streamId: bigint,
  frame: NonNullable<MessageInitShape<typeof ClientToServerSchema>["frame"]>,
): ClientToServer {
  return create(ClientToServerSchema, { streamId, frame });
}

function toClient(
  streamId: bigint,
  frame: NonNullable<MessageInitShape<typeof ServerToClientSchema>["frame"]>,
): ServerToClient {
  return create(ServerToClientSchema, { streamId, frame });
}

const begin = { case: "newStream", value: { methodName: "/a.B/C", protocolRevision: 1 } } as const;

function failsWith(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

test("a call from its first frame to its last", () => {
  const scene = new Scene();
  const caller = new Caller(scene.client);
  caller.stream.send(new Uint8Array(20_000));
  caller.stream.end();
  // The tunnel is not open, so nothing leaves.
  assert.equal(scene.toServer(), false);
  scene.open();
  const handler = scene.handler(0);
  assert.equal(handler.head.methodName, "/a.B/C");
  handler.read();
  assert.deepEqual([handler.messages, handler.log], [[20_000], ["ended"]]);
  handler.stream.sendHeaders(none);
  handler.stream.send(new Uint8Array(3));
  handler.stream.close(none, undefined);
  scene.run();
  caller.read();
  assert.deepEqual([caller.messages, caller.log], [[3], ["headers", "closed 0"]]);
  handler.stream.released();
  assert.deepEqual([scene.client.streams, scene.server.streams], [0, 0]);
  assert.deepEqual(scene.frames, [
    "-1 settings",
    "1 newStream",
    "1 requestMessage",
    "1 moreRequestData",
    "1 halfClose",
    "1 responseHeaders",
    "1 responseMessage",
    "1 closeStream",
  ]);
});

test("without settings the tunnel is of revision zero, and without flow control", () => {
  const scene = new Scene({ settings: false });
  const caller = new Caller(scene.client);
  caller.stream.send(new Uint8Array(1_000_000));
  caller.stream.end();
  scene.open();
  assert.equal(scene.handler(0).head.protocolRevision, 0);
  scene.handler(0).read();
  assert.deepEqual(scene.handler(0).messages, [1_000_000]);
  assert.ok(scene.frames.every((frame) => !/settings|window/.test(frame)));
});

test("a side that leaves flow control away has its way", () => {
  for (const options of [{ clientRevisions: [0] }, { serverRevisions: [0] }] as const) {
    const scene = new Scene(options).open();
    new Caller(scene.client);
    scene.run();
    assert.equal(scene.handler(0).head.protocolRevision, 0);
  }
});

test("streams take turns, and one whose reader has stopped holds up no other", () => {
  const scene = new Scene().open();
  const callers = [0, 1, 2].map(() => new Caller(scene.client));
  for (const { stream } of callers) {
    stream.send(new Uint8Array(300_000));
    stream.end();
  }
  scene.run();
  assert.deepEqual(
    scene.frames.slice(4, 7).map((frame) => frame.split(" ")[0]),
    ["1", "2", "3"],
  );
  // 0 is not read.
  while (scene.handler(1).log.length === 0 || scene.handler(2).log.length === 0) {
    scene.handler(1).read();
    scene.handler(2).read();
    scene.run();
  }
  assert.deepEqual(scene.handler(0).messages, []);
  scene.handler(2).read();
  assert.deepEqual(scene.handler(2).messages, [300_000]);
  while (scene.handler(0).log.length === 0) {
    scene.handler(0).read();
    scene.run();
  }
});

test("a producer is held up by a full queue, and told when it is not", () => {
  const scene = new Scene().open();
  const { stream, log } = new Caller(scene.client);
  stream.send(new Uint8Array(200_000));
  assert.equal(stream.full, true);
  scene.run();
  assert.equal(stream.full, true);
  scene.handler(0).read();
  scene.run();
  scene.handler(0).read();
  scene.run();
  scene.handler(0).read();
  scene.run();
  assert.deepEqual([stream.full, log], [false, ["writable"]]);
});

test("a call that is cancelled before it began leaves no trace", () => {
  const scene = new Scene();
  const { stream } = new Caller(scene.client);
  stream.send(new Uint8Array(1));
  stream.cancel();
  scene.open();
  assert.deepEqual(scene.frames, ["-1 settings"]);
  assert.equal(scene.client.streams, 0);
});

test("a call that is cancelled later reaches its handler, and late frames are passed over", () => {
  const scene = new Scene().open();
  const { stream } = new Caller(scene.client);
  scene.run();
  const handler = scene.handler(0);
  stream.cancel();
  handler.stream.sendHeaders(none);
  assert.equal(scene.toClient(), true);
  scene.run();
  assert.deepEqual(handler.log, ["cancelled Canceled"]);
  assert.equal(scene.server.streams, 1, "its handler runs on");
  handler.stream.released();
  assert.equal(scene.server.streams, 0);
});

test("when the tunnel is gone, both ends of a call learn of it, once", () => {
  const scene = new Scene().open();
  const callers = [new Caller(scene.client), new Caller(scene.client)];
  scene.run();
  const late = new Caller(scene.client);
  const lost = new ConnectError("gone", Code.Unavailable);
  for (let i = 0; i < 2; i++) {
    scene.client.close(lost);
    scene.server.close(lost);
  }
  for (const { log } of [...callers, late]) {
    assert.deepEqual(log, ["failed Unavailable"]);
  }
  for (const { log } of scene.handlers) {
    assert.deepEqual(log, ["cancelled Unavailable"]);
  }
  assert.throws(() => new Caller(scene.client), failsWith(Code.Unavailable));
  assert.equal(scene.client.pollFrame(), undefined);
  assert.equal(scene.server.pollFrame(), undefined);
});

test("a server that is about to close refuses new calls and lets those go on that run", () => {
  const scene = new Scene().open();
  const first = new Caller(scene.client);
  scene.run();
  scene.server.drain();
  const second = new Caller(scene.client);
  scene.run();
  assert.deepEqual([first.log, second.log], [[], [`closed ${Code.Unavailable}`]]);
  scene.handler(0).stream.close(none, undefined);
  scene.run();
  assert.deepEqual(first.log, ["closed 0"]);
});

test("more streams than the limit are refused, and handlers of cancelled ones count", () => {
  const scene = new Scene({ limits: { maxStreams: 2 } }).open();
  const callers = [0, 1, 2].map(() => new Caller(scene.client));
  scene.run();
  assert.deepEqual(callers[2]?.log, [`closed ${Code.ResourceExhausted}`]);
  callers[0]?.stream.cancel();
  scene.run();
  const fourth = new Caller(scene.client);
  scene.run();
  assert.deepEqual(fourth.log, [`closed ${Code.ResourceExhausted}`]);
  scene.handler(0).stream.released();
  const fifth = new Caller(scene.client);
  scene.run();
  assert.deepEqual(fifth.log, []);
});

describe("a tunnel ends when its peer", () => {
  const server = (): TunnelServerCore => new Scene().server;
  const client = (): TunnelClientCore => new Scene().open().client;

  test("speaks of a stream that has not begun", () => {
    assert.throws(
      () => server().handleFrame(toServer(0n, { case: "windowUpdate", value: 1 })),
      failsWith(Code.InvalidArgument),
    );
    assert.throws(
      () => client().handleFrame(toClient(1n, { case: "windowUpdate", value: 1 })),
      failsWith(Code.Internal),
    );
  });

  test("begins a stream with an id that is not new", () => {
    const core = server();
    core.handleFrame(toServer(5n, begin));
    for (const id of [5n, 4n, -1n]) {
      assert.throws(() => core.handleFrame(toServer(id, begin)), failsWith(Code.InvalidArgument));
    }
  });

  test("sends something else than settings first", () => {
    const { client } = new Scene();
    const frame = toClient(-1n, { case: "settings", value: {} });
    assert.throws(() => client.handleFrame(frame), failsWith(Code.Internal));
    client.negotiated({ settings: true, binary: "utf8" });
    const early = toClient(1n, { case: "windowUpdate", value: 1 });
    assert.throws(() => client.handleFrame(early), failsWith(Code.Internal));
  });

  test("knows no revision that we know", () => {
    const { client } = new Scene();
    client.negotiated({ settings: true, binary: "utf8" });
    const supportedProtocolRevisions = [7, 8];
    const frame = toClient(-1n, { case: "settings", value: { supportedProtocolRevisions } });
    assert.throws(() => client.handleFrame(frame), failsWith(Code.Internal));
  });

  test("has calls refused without end, and reads nothing of it", () => {
    const core = server();
    core.drain();
    const flood = (): void => {
      for (let id = 0n; id <= maxWaitingRefusals; id++) {
        core.handleFrame(toServer(id, begin));
      }
    };
    assert.throws(flood, failsWith(Code.ResourceExhausted));
  });
});

describe("a call ends, and the tunnel goes on, when the peer", () => {
  const faults: Readonly<Record<string, Parameters<typeof toServer>[1][]>> = {
    "sends more than the window": [
      { case: "requestMessage", value: { size: 70_000, data: new Uint8Array(65_537) } },
    ],
    "sends more than the message has": [
      { case: "requestMessage", value: { size: 1, data: new Uint8Array(2) } },
    ],
    "goes on with a message that has not begun": [
      { case: "moreRequestData", value: new Uint8Array(1) },
    ],
    "ends within a message": [
      { case: "requestMessage", value: { size: 2, data: new Uint8Array(1) } },
      { case: "halfClose", value: {} },
    ],
    "goes on after the end": [
      { case: "halfClose", value: {} },
      { case: "requestMessage", value: { size: 0 } },
    ],
    "gives leave for more than a window can be": [
      { case: "windowUpdate", value: 0xffff_ffff },
      { case: "windowUpdate", value: 1 },
    ],
    "sends an unknown frame": [{ case: undefined }],
  };
  for (const [title, frames] of Object.entries(faults)) {
    test(title, () => {
      const scene = new Scene().open();
      const caller = new Caller(scene.client);
      scene.run();
      for (const frame of frames) {
        scene.server.handleFrame(toServer(1n, frame));
      }
      assert.match(scene.handler(0).log.at(-1) ?? "", /^cancelled /);
      scene.handler(0).stream.released();
      scene.run();
      assert.match(caller.log.at(-1) ?? "", /^closed (3|8|13)$/);
      assert.equal(scene.server.streams, 0);
      new Caller(scene.client);
      scene.run();
      assert.deepEqual(scene.handler(1).log, []);
    });
  }

  test("answers with headers twice, settings, or an end within a message", () => {
    const faults: Parameters<typeof toClient>[1][][] = [
      [
        { case: "responseHeaders", value: {} },
        { case: "responseHeaders", value: {} },
      ],
      [{ case: "settings", value: {} }],
      [
        { case: "responseMessage", value: { size: 2, data: new Uint8Array(1) } },
        { case: "closeStream", value: {} },
      ],
      [{ case: undefined }],
    ];
    for (const frames of faults) {
      const scene = new Scene().open();
      const caller = new Caller(scene.client);
      scene.run();
      for (const frame of frames) {
        scene.client.handleFrame(toClient(1n, frame));
      }
      assert.equal(caller.log.at(-1), "failed Internal");
      scene.run();
      assert.deepEqual(scene.handler(0).log, ["cancelled Canceled"]);
    }
  });

  test("names a revision that is not known", () => {
    const { server } = new Scene();
    server.handleFrame(toServer(1n, { case: "newStream", value: { protocolRevision: 2 } }));
    const frame = server.pollFrame();
    assert.equal(frame?.frame.case, "closeStream");
  });
});

const data = fc.record({
  size: fc.oneof(fc.nat(10), fc.nat(100_000)),
  data: fc.nat(70_000).map((size) => new Uint8Array(size)),
});
const streamIds = fc.integer({ min: -2, max: 6 }).map(BigInt);

test("whatever a tunnel client sends, the server throws ConnectError or goes on, within its limits", () => {
  const frame = fc.oneof(
    fc
      .record({ protocolRevision: fc.integer({ min: 0, max: 2 }), initialWindowSize: fc.nat() })
      .map((value) => ({ case: "newStream", value }) as const),
    data.map((value) => ({ case: "requestMessage", value }) as const),
    data.map(({ data }) => ({ case: "moreRequestData", value: data }) as const),
    fc.constantFrom(
      { case: "halfClose", value: {} } as const,
      { case: "cancel", value: {} } as const,
      { case: undefined },
    ),
    fc.nat(0xffff_ffff).map((value) => ({ case: "windowUpdate", value }) as const),
  );
  const frames = fc.array(fc.tuple(streamIds, frame, fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(frames, (sent) => {
      const scene = new Scene({ limits: { maxStreams: 3, unpacedBytes: 100_000 } });
      for (const [id, frame, answer] of sent) {
        try {
          scene.server.handleFrame(toServer(id, frame));
        } catch (error) {
          assert.ok(error instanceof ConnectError);
          scene.server.close(error);
        }
        if (answer) {
          scene.handlers.at(-1)?.read();
          scene.handlers.at(-1)?.stream.send(new Uint8Array(5));
          scene.server.pollFrame();
        }
        assert.ok(scene.server.streams <= 3);
      }
      for (const handler of scene.handlers) {
        handler.stream.released();
        assert.ok(handler.log.filter((line) => line.startsWith("cancelled")).length <= 1);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("whatever a tunnel server sends, the client throws ConnectError or goes on, and calls end once", () => {
  const frame = fc.oneof(
    fc
      .record({ supportedProtocolRevisions: fc.array(fc.nat(2)), initialWindowSize: fc.nat() })
      .map((value) => ({ case: "settings", value }) as const),
    data.map((value) => ({ case: "responseMessage", value }) as const),
    data.map(({ data }) => ({ case: "moreResponseData", value: data }) as const),
    fc.constantFrom(
      { case: "closeStream", value: {} } as const,
      { case: "closeStream", value: { status: { code: 3 } } } as const,
    ),
    fc.constantFrom({ case: "responseHeaders", value: {} } as const, { case: undefined }),
    fc.nat(0xffff_ffff).map((value) => ({ case: "windowUpdate", value }) as const),
  );
  const frames = fc.array(fc.tuple(streamIds, frame), { maxLength: 60 });
  fc.assert(
    fc.property(frames, fc.boolean(), (sent, settings) => {
      const scene = new Scene({ settings }).open();
      const callers = [0, 1, 2].map(() => new Caller(scene.client));
      for (const [id, frame] of sent) {
        scene.client.pollFrame();
        try {
          scene.client.handleFrame(toClient(id, frame));
        } catch (error) {
          assert.ok(error instanceof ConnectError);
          scene.client.close(error);
        }
      }
      scene.client.close(new ConnectError("end", Code.Unavailable));
      for (const { log } of callers) {
        assert.equal(log.filter((line) => /^(closed|failed)/.test(line)).length, 1);
      }
      assert.equal(scene.client.streams, 0);
    }),
    { numRuns: 1_000 },
  );
});
