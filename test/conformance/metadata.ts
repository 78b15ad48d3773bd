// Headers, trailers and errors: as Connect has them, and as the messages of the conformance suite describe them.

import { create } from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import {
  type Error as ErrorMessage,
  ErrorSchema,
  type Header,
  HeaderSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";

export function describeHeaders(headers: Iterable<[string, string]>): Header[] {
  return Array.from(headers, ([name, value]) => create(HeaderSchema, { name, value: [value] }));
}

export function appendHeaders(headers: Headers, described: readonly Header[] = []): void {
  for (const { name, value: values } of described) {
    for (const value of values) {
      headers.append(name, value);
    }
  }
}

export function describeError(error: ConnectError): ErrorMessage {
  return create(ErrorSchema, {
    // Both number the codes as gRPC does.
    code: error.code as number,
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : create(AnySchema, { typeUrl: `${typeUrlPrefix}${detail.type}`, value: detail.value }),
    ),
  });
}

export function errorFrom(described: ErrorMessage): ConnectError {
  const error = new ConnectError(described.message ?? "", described.code as number as Code);
  error.details = described.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}

const typeUrlPrefix = "type.googleapis.com/";
