// Who is there: peers register with what they serve, and find each other by it.

export { RendezvousService } from "./rendezvous/gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
