import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";

/**
 * Throws unless a request looks on the wire as the name of its case says. The runner's own server sees to that too; here
 * client and server are both ours, and could agree on something else.
 */
export function checkWire({
  protocolName,
  requestHeader,
  requestMethod,
  url,
}: HandlerContext): void {
  const name = requestHeader.get("x-test-case-name") ?? "";
  const isGet = requestMethod === "GET";
  const query = new URL(url).searchParams;
  const codec = isGet
    ? query.get("encoding")
    : (requestHeader.get("content-type") ?? "").split(/[/+]/).at(-1);
  const compression = isGet
    ? query.get("compression")
    : encodingFields.map((field) => requestHeader.get(field)).find((value) => value !== null);
  const seen = {
    Protocol: `PROTOCOL_${protocolName}`,
    Codec: `CODEC_${codec}`,
    Compression: `COMPRESSION_${compression ?? "identity"}`,
  };
  for (const [axis, value] of Object.entries(seen)) {
    const wanted = new RegExp(`/${axis}:([^/]+)/`).exec(name)?.[1];
    // A name leaves out what its suite gives no choice of.
    if (wanted !== undefined && wanted !== value.replace("-", "_").toUpperCase()) {
      throw new ConnectError(
        `the case wants ${axis} ${wanted}, but it came as ${value}`,
        Code.Internal,
      );
    }
  }
  if (isGet !== name.startsWith("Connect with GET/")) {
    throw new ConnectError(`the request came with ${requestMethod}`, Code.Internal);
  }
}

/** Where the protocols name the compression: Connect with one message, with streams, and gRPC. */
const encodingFields = ["content-encoding", "connect-content-encoding", "grpc-encoding"];
