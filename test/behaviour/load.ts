import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { sameBytes } from "./expect.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { produce } from "./script.ts";

/** What takes minutes. */
export function loadTests(test: Register): void {
  test(
    "F13: 100,000 calls one after another",
    async (stage) => {
      for (let i = 0; i < 100_000; i++) {
        assert.equal((await stage.client.unary({ text: `${i}` })).text, `${i}`);
      }
    },
    { timeoutMs: 900_000 },
  );

  test(
    "F27: 10,000 calls with one signal leave no listeners behind",
    async (stage) => {
      const { signal } = new AbortController();
      for (let i = 0; i < 10_000; i++) {
        await stage.client.unary({}, { signal });
      }
      assert.equal(getEventListeners(signal, "abort").length, 0);
    },
    { timeoutMs: 300_000 },
  );

  test(
    "a message of 100 MB passes both ways",
    async (stage) => {
      const data = pattern(0, 100_000_000);
      const client = stage.clientOf(TestService, { readMaxBytes: 200_000_000 });
      sameBytes((await client.unary({ data })).data, data);
    },
    { timeoutMs: 300_000 },
  );

  test(
    "F8: 1 GB in 250,000 messages arrives in order",
    async (stage) => {
      const script = stage.script(produce(250_000, 4_000));
      let expected = 0;
      for await (const { index, data } of stage.client.serverStream({ script })) {
        assert.equal(index, expected);
        sameBytes(data, pattern(expected++, 4_000));
      }
      assert.equal(expected, 250_000);
    },
    { timeoutMs: 900_000 },
  );
}
