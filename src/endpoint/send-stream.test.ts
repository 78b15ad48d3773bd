import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError, type EngineErrorCode, type EngineStream } from "../engine/engine.ts";
import { EndpointError } from "./endpoint-error.ts";
import { ProcessHold } from "./process-hold.ts";
import { SendStream } from "./send-stream.ts";

/** On a stream whose engine throws at each write. */
function failing(code: EngineErrorCode): SendStream {
  const stream: Partial<EngineStream> = {
    write: () => {
      throw new EngineError(code, "cannot write");
    },
  };
  return new SendStream(stream as EngineStream, new ProcessHold(() => {}), () => {});
}

test("a write that meets STOP_SENDING before its news rejects with the peer's code", async () => {
  const send = failing("stream-ended");
  const write = send.write(new Uint8Array(1));
  setImmediate(() => send.handleStopped(7n));
  await assert.rejects(write, { code: "stream-stopped", streamCode: 7n });
});

test("a write that meets the connection's end before its news rejects with that", async () => {
  const send = failing("closed");
  const write = send.write(new Uint8Array(1));
  setImmediate(() =>
    send.handleConnectionClosed(new EndpointError("connection-lost", "it is gone")),
  );
  await assert.rejects(write, { code: "connection-lost", message: "it is gone" });
});

test("a write that meets a broken engine rejects with an error of this layer", async () => {
  await assert.rejects(failing("engine-failed").write(new Uint8Array(1)), {
    name: "EndpointError",
    code: "engine-failed",
  });
});
