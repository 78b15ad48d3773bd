import type { DescService } from "@bufbuild/protobuf";
import type { GeneratedFile, ImportSymbol } from "@bufbuild/protoplugin";
import { code, type Declaration } from "./declaration.ts";
import { commentsOn, docComment } from "./doc-comment.ts";
import { namesOf } from "./service-names.ts";

/** What the file `f`, generated for the file of `service`, exports for this service. */
export function serviceDeclarations(f: GeneratedFile, service: DescService): Declaration[] {
  const siblings = service.file.services.map((sibling) => sibling.name);
  const names = namesOf(service.name, siblings);

  const Client = f.import("Client", "@connectrpc/connect", true);
  const ServiceImpl = f.import("ServiceImpl", "@connectrpc/connect", true);
  const Endpoint = f.import("Endpoint", "connect-quic", true);
  const Target = f.import("Target", "connect-quic", true);
  const PeerRouter = f.import("PeerRouter", "connect-quic", true);
  const PeerServiceOptions = f.import("PeerServiceOptions", "connect-quic", true);
  const QuicTransportOptions = f.import("QuicTransportOptions", "connect-quic", true);
  const createPeerClient = f.import("createPeerClient", "connect-quic");
  const createQuicTransport = f.import("createQuicTransport", "connect-quic");
  const Service = f.importSchema(service);
  const typeofService = code`typeof ${f.importSchema(service, true)}`;

  const endpoint = parameter(f, service, "endpoint");
  const target = parameter(f, service, "target");
  const router = parameter(f, service, "router");
  const implementation = parameter(f, service, "implementation");
  const options = parameter(f, service, "options");

  return [
    {
      kind: "type",
      name: names.client,
      doc: docComment(service, `Calls ${service.typeName} on one peer.`),
      type: code`${Client}<${typeofService}>`,
    },
    {
      kind: "function",
      name: names.createClient,
      doc: docComment(
        service,
        `Makes a client of ${service.typeName} on the peer \`target\`, which the first call dials.
Clients of the same endpoint and peer share one connection, which the endpoint closes.
Leaving a loop over responses ends the call.`,
        commentsOn(service),
      ),
      parameters: [
        { name: endpoint, type: Endpoint },
        { name: target, type: Target },
        {
          name: options,
          type: code`Omit<${QuicTransportOptions}, "endpoint" | "to">`,
          optional: true,
        },
      ],
      returnType: names.client,
      body: code`return ${createPeerClient}(${Service}, ${createQuicTransport}({ ...${options}, ${endpoint}, to: ${target} }))`,
    },
    {
      kind: "type",
      name: names.implementation,
      doc: docComment(service, `What a peer needs to serve all of ${service.typeName}.`),
      type: code`${ServiceImpl}<${typeofService}>`,
    },
    {
      kind: "function",
      name: names.register,
      doc: docComment(
        service,
        `Serves ${service.typeName} on \`router\`. Methods that the implementation leaves out answer Unimplemented.`,
        commentsOn(service),
      ),
      parameters: [
        { name: router, type: PeerRouter },
        { name: implementation, type: `Partial<${names.implementation}>` },
        { name: options, type: PeerServiceOptions, optional: true },
      ],
      returnType: "void",
      body: code`${router}.service(${Service}, ${implementation}, ${options})`,
    },
    {
      kind: "constant",
      name: names.alpn,
      doc: docComment(
        service,
        `ALPN of ${service.typeName}, for peers that serve each service under an ALPN of its own.`,
      ),
      value: f.string(`/${service.typeName}/1.0`),
    },
  ];
}

/**
 * A service may be called as one of our parameters is. Printed as a symbol of the generated file, the parameter keeps
 * its name, and the service is imported under another one.
 */
function parameter(f: GeneratedFile, service: DescService, name: string): ImportSymbol {
  return f.import(name, `./${service.file.name}_quic.js`);
}
