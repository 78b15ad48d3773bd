import { create } from "@bufbuild/protobuf";
import {
  type RegisteredPeer,
  RegisteredPeerSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import type { PeerEntry } from "./peer-set.ts";

/** What others are told of a peer. */
export function peerMessage({ record, registeredAtMs }: PeerEntry): RegisteredPeer {
  return create(RegisteredPeerSchema, {
    registration: record.signed,
    registeredAtMs: BigInt(registeredAtMs),
  });
}
