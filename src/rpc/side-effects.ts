import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";

/** Whether the schema says that calls do nothing but answer: `option idempotency_level = NO_SIDE_EFFECTS`. */
export function hasNoSideEffects(method: DescMethod): boolean {
  return method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

/**
 * Whether a call may be sent as early data: it does no harm when it arrives twice, and has one message alone, which is kept
 * in case that it has to be sent again.
 */
export function mayGoEarly(method: DescMethod): boolean {
  const { methodKind } = method;
  return hasNoSideEffects(method) && (methodKind === "unary" || methodKind === "server_streaming");
}
