// What tests of the suite ask of the outcome of a call.

import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";

/** Holds that both have the same bytes, whatever their class: some transports give out a Buffer. */
export function sameBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual instanceof Uint8Array);
  assert.equal(Buffer.compare(actual, expected), 0, `${actual.length} other bytes`);
}

/** Waits for the call to fail with a ConnectError of one of the codes. */
export async function failure(call: Promise<unknown>, ...codes: Code[]): Promise<ConnectError> {
  const error = await call.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError, `not a ConnectError: ${String(error)}`);
  if (codes.length > 0) {
    assert.ok(
      codes.includes(error.code),
      `code ${Code[error.code]} (${error.rawMessage}), not ${codes.map((code) => Code[code])}`,
    );
  }
  return error;
}

/** Keeps the header and the trailer of a response; `options` go into those of the call. */
export class Metadata {
  header?: Headers;
  trailer?: Headers;
  readonly options: {
    readonly onHeader: (header: Headers) => void;
    readonly onTrailer: (trailer: Headers) => void;
  } = {
    onHeader: (header) => {
      this.header = header;
    },
    onTrailer: (trailer) => {
      this.trailer = trailer;
    },
  };
}
