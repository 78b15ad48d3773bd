import type { MessageHandler } from "../../src/http3/request-stream.ts";

/** Whatever comes is nothing to it. */
export const ignoreMessage: MessageHandler = {
  headers() {},
  informational() {},
  data() {},
  trailers() {},
  end() {},
  failed() {},
  writable() {},
  stopped() {},
};
