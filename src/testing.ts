// A network in a test: hosts, NATs and relays in one process, in virtual time.

export type { HttpRequest, HttpResponse, InterfaceAddress, Network } from "./net/network.ts";
export type { EndpointDependence, NatBehaviour } from "./testing/nat-table.ts";
export type {
  AttachOptions,
  HostBindOptions,
  HostOptions,
  TestHost,
  TestLan,
} from "./testing/test-host.ts";
export type { NatKind, NatOptions, TestNat } from "./testing/test-nat.ts";
export type {
  RunOptions,
  SentDatagram,
  TestNetwork,
  TestNetworkOptions,
} from "./testing/test-network.ts";
export { createTestNetwork } from "./testing/test-network.ts";
export type { TestPkarr } from "./testing/test-pkarr.ts";
export type { TestRelay, TestRelayOptions } from "./testing/test-relay.ts";
export type { LinkOptions } from "./testing/virtual-link.ts";
