// NAT-PMP (RFC 6886): how a host asks its gateway for a port of the public address. Version 0 in all messages.
//
//   address:  version 1 | opcode 0                                              → | result 2 | epoch 4 | address 4
//   map UDP:  version 1 | opcode 1 | 0, 2 | internal 2 | external 2 | seconds 4 → | result 2 | epoch 4 | internal 2 | …

import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { hostFromBytes } from "../base/socket-address.ts";

export type NatPmpResponse =
  | { readonly type: "address"; readonly host: string }
  | {
      readonly type: "mapped";
      readonly internalPort: number;
      readonly externalPort: number;
      readonly lifetimeSeconds: number;
    }
  /** The gateway says no; `result` is one of RFC 6886 §3.5. */
  | { readonly type: "refused"; readonly request: "address" | "map"; readonly result: number };

const opcodes = { address: 0, map: 1 } as const;
const responseBit = 0x80;

/** Asks for the public address (RFC 6886 §3.2). */
export function encodeNatPmpAddressRequest(): Uint8Array {
  return Uint8Array.of(0, opcodes.address);
}

export interface NatPmpMapping {
  readonly internalPort: number;
  /** Wanted, which the gateway need not heed; 0 for any. */
  readonly externalPort: number;
  /** 0 ends the mapping. */
  readonly lifetimeSeconds: number;
}

/** Asks for a UDP port (RFC 6886 §3.3). */
export function encodeNatPmpMapRequest(mapping: NatPmpMapping): Uint8Array {
  return new ByteWriter()
    .u8(0)
    .u8(opcodes.map)
    .u16(0)
    .u16(mapping.internalPort)
    .u16(mapping.externalPort)
    .u32(mapping.lifetimeSeconds)
    .finish();
}

/** Reads a gateway's answer; undefined for anything else. Bytes after the end are ignored. */
export function decodeNatPmpResponse(bytes: Uint8Array): NatPmpResponse | undefined {
  if (bytes.length < 8) {
    return undefined;
  }
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  const opcode = reader.u8() - responseBit;
  const result = reader.u16();
  reader.u32();
  if (opcode !== opcodes.address && opcode !== opcodes.map) {
    return undefined;
  }
  if (version !== 0 || result !== 0) {
    return { type: "refused", request: opcode === opcodes.address ? "address" : "map", result };
  }
  if (opcode === opcodes.address) {
    return reader.remaining < 4
      ? undefined
      : { type: "address", host: hostFromBytes(reader.bytes(4)) };
  }
  return reader.remaining < 8
    ? undefined
    : {
        type: "mapped",
        internalPort: reader.u16(),
        externalPort: reader.u16(),
        lifetimeSeconds: reader.u32(),
      };
}
