import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { BytesService } from "../../../gen/connectquic/interop/v1/bytes_pb.ts";

/** What the Go program serves as well. `onCancelled` is called for each call of Hang that was given up, with its reason. */
export function bytesService(
  onCancelled: (reason: unknown) => void,
): ServiceImpl<typeof BytesService> {
  return {
    echo(request, { requestHeader, responseHeader, responseTrailer }) {
      for (const suffix of ["", "-bin"]) {
        const note = requestHeader.get(`x-note${suffix}`);
        if (note !== null) {
          responseHeader.set(`x-note${suffix}`, note);
          responseTrailer.set(`x-noted${suffix}`, note);
        }
      }
      return request;
    },
    fail({ value }) {
      throw new ConnectError("größer als 100 %", Code.FailedPrecondition, undefined, [
        { desc: BytesValueSchema, value: { value } },
      ]);
    },
    async *repeat({ value }) {
      const [count = 0, size = 0] = new TextDecoder().decode(value).split(" ").map(Number);
      for (let number = 0; number < count; number++) {
        yield { value: new Uint8Array(size).fill(number) };
      }
    },
    async collect(requests) {
      let count = 0;
      let size = 0;
      for await (const { value } of requests) {
        count += 1;
        size += value.length;
      }
      return { value: new TextEncoder().encode(`${count} ${size}`) };
    },
    async *converse(requests) {
      yield* requests;
    },
    async *hang(_requests, { signal }: HandlerContext) {
      yield {};
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      onCancelled(signal.reason);
    },
  };
}
