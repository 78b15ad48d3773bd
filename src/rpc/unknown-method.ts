import type { UniversalHandlerFn, UniversalServerResponse } from "@connectrpc/connect/protocol";

/** Answers a request for a method that is not served with Unimplemented, in the protocol of the request. */
export function unknownMethod(message: string): UniversalHandlerFn {
  return (request) =>
    Promise.resolve(unimplemented(request.header.get("content-type") ?? "", message));
}

function unimplemented(contentType: string, message: string): UniversalServerResponse {
  if (contentType.startsWith("application/grpc")) {
    // Both gRPC and gRPC-web know an answer that is nothing but a header section.
    return {
      status: 200,
      header: new Headers({
        "content-type": contentType,
        "grpc-status": "12",
        "grpc-message": encodeURIComponent(message),
      }),
    };
  }
  const error = { code: "unimplemented", message };
  if (contentType.startsWith("application/connect+")) {
    return {
      status: 200,
      header: new Headers({ "content-type": contentType }),
      body: single(endStreamEnvelope({ error })),
    };
  }
  return {
    // As HTTP has it for a path where nothing is, and Connect reads it as Unimplemented.
    status: 404,
    header: new Headers({ "content-type": "application/json" }),
    body: single(new TextEncoder().encode(JSON.stringify(error))),
  };
}

/** The last message of a stream in the Connect protocol: flag 0x02, length as 4 bytes, JSON. */
function endStreamEnvelope(content: object): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(content));
  const envelope = new Uint8Array(5 + json.length);
  const view = new DataView(envelope.buffer);
  view.setUint8(0, 0x02);
  view.setUint32(1, json.length);
  envelope.set(json, 5);
  return envelope;
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
