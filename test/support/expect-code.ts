import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";

/** For `assert.rejects`: a ConnectError with this code, whose message without the code matches. */
export function hasCode(code: Code, message: RegExp = /./): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ConnectError, `not a ConnectError: ${error}`);
    assert.equal(Code[error.code], Code[code], error.message);
    assert.match(error.rawMessage, message);
    return true;
  };
}
