import { create, createFileRegistry, type DescMethodUnary } from "@bufbuild/protobuf";
import {
  type EmptySchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_empty,
} from "@bufbuild/protobuf/wkt";

const typeName = "connect_quic.cli.RoundTripService";

/** A method that no peer serves: whoever answers that, has answered. */
export function unservedMethod(): DescMethodUnary<typeof EmptySchema, typeof EmptySchema> {
  const file = create(FileDescriptorProtoSchema, {
    name: "connect_quic/cli/round_trip.proto",
    syntax: "proto3",
    package: "connect_quic.cli",
    dependency: ["google/protobuf/empty.proto"],
    service: [
      {
        name: "RoundTripService",
        method: [
          {
            name: "Ping",
            inputType: ".google.protobuf.Empty",
            outputType: ".google.protobuf.Empty",
          },
        ],
      },
    ],
  });
  const registry = createFileRegistry(file, (name) =>
    name === "google/protobuf/empty.proto" ? file_google_protobuf_empty : undefined,
  );
  const method = registry.getService(typeName)?.method.ping;
  if (method?.methodKind !== "unary") {
    throw new TypeError(`${typeName} has no unary method Ping`);
  }
  return method as DescMethodUnary<typeof EmptySchema, typeof EmptySchema>;
}
