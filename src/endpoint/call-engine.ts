import { EngineError } from "../engine/engine.ts";
import { EndpointError } from "./endpoint-error.ts";

/** Calls into the engine; what it throws becomes an error of this layer. */
export function callEngine<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw endpointErrorOf(error);
  }
}

/** What the engine has thrown, as this layer says it: a RangeError for options that cannot work. Others stay. */
export function endpointErrorOf(error: unknown): unknown {
  if (!(error instanceof EngineError)) {
    return error;
  }
  const { code, message } = error;
  switch (code) {
    case "invalid-options":
      return new RangeError(message, { cause: error });
    case "closed":
    case "not-connected":
      return new EndpointError("connection-lost", message, { cause: error });
    case "stream-ended":
    case "engine-failed":
      return new EndpointError(code, message, { cause: error });
  }
}
