// PCP (RFC 6887): how a host asks its gateway for a port of the public address. Version 2 in all messages. IPv4 addresses
// are written as IPv6 ones (::ffff:a.b.c.d, §5).
//
//   request:   version 1 | opcode 1   | 0, 2               | lifetime 4 | own address 16     | MAP (§7.1)
//   response:  version 1 | 0x80 + op. | 0, 1 | result 1    | lifetime 4 | epoch 4 | 0, 12   | MAP (§7.2)
//   MAP:       nonce 12 | protocol 1 | 0, 3 | internal port 2 | external port 2 | external address 16 (§11.1)

import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { hostFromBytes, hostToBytes, isMappedIpv4 } from "../base/socket-address.ts";

const version = 2;
const mapOpcode = 1;
const responseBit = 0x80;
const udp = 17;
/** Bytes of a nonce, by which the gateway knows whose mapping it is (§11.2). */
export const pcpNonceBytes = 12;

export interface PcpMapping {
  readonly nonce: Uint8Array;
  /** Of this host, as the gateway sees it: otherwise it refuses. IPv4. */
  readonly ownHost: string;
  readonly internalPort: number;
  /** Wanted, which the gateway need not heed; port 0 for any. */
  readonly external: { readonly host: string; readonly port: number };
  /** 0 ends the mapping. */
  readonly lifetimeSeconds: number;
}

/** Asks for a UDP port (§11.1). */
export function encodePcpMapRequest(mapping: PcpMapping): Uint8Array {
  const { nonce, ownHost, internalPort, external, lifetimeSeconds } = mapping;
  return new ByteWriter()
    .u8(version)
    .u8(mapOpcode)
    .u16(0)
    .u32(lifetimeSeconds)
    .bytes(mappedHost(ownHost))
    .bytes(nonce)
    .u8(udp)
    .bytes(new Uint8Array(3))
    .u16(internalPort)
    .u16(external.port)
    .bytes(mappedHost(external.host))
    .finish();
}

export type PcpResponse =
  | {
      readonly type: "mapped";
      readonly nonce: Uint8Array;
      readonly internalPort: number;
      readonly external: { readonly host: string; readonly port: number };
      readonly lifetimeSeconds: number;
    }
  /** The gateway does not speak this version: it may be one of NAT-PMP (RFC 6886 §3.5). */
  | { readonly type: "unsupported" }
  /** The gateway says no; `result` is one of §7.4. The nonce is missing where it did not understand the request. */
  | { readonly type: "refused"; readonly nonce: Uint8Array | undefined; readonly result: number };

/** Reads a gateway's answer to {@link encodePcpMapRequest}; undefined for anything else. Options at the end are ignored. */
export function decodePcpResponse(bytes: Uint8Array): PcpResponse | undefined {
  if (bytes.length < 4 || ((bytes[1] ?? 0) & responseBit) === 0) {
    return undefined;
  }
  if (bytes[0] !== version) {
    return { type: "unsupported" };
  }
  const reader = new ByteReader(bytes.subarray(1));
  const opcode = reader.u8() - responseBit;
  reader.u8();
  const result = reader.u8();
  if (opcode !== mapOpcode) {
    return undefined;
  }
  if (bytes.length < 60) {
    return result === 0 ? undefined : { type: "refused", nonce: undefined, result };
  }
  const lifetimeSeconds = reader.u32();
  reader.bytes(16);
  const nonce = Uint8Array.from(reader.bytes(pcpNonceBytes));
  const protocol = reader.u8();
  reader.bytes(3);
  const internalPort = reader.u16();
  const port = reader.u16();
  const address = reader.bytes(16);
  if (result !== 0) {
    return { type: "refused", nonce, result };
  }
  const host = hostFromBytes(isMappedIpv4(address) ? address.subarray(12) : address);
  return protocol === udp
    ? { type: "mapped", nonce, internalPort, external: { host, port }, lifetimeSeconds }
    : undefined;
}

/** 16 bytes for any address. */
function mappedHost(host: string): Uint8Array {
  const bytes = hostToBytes(host);
  return bytes.length === 16
    ? bytes
    : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
}
