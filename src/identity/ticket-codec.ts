// The bytes of a ticket (postcard):
//
//   variant 0 | id, 32 bytes | count | count × address
//   address:  0 | length | URL                          relay
//             1 | 0 | 4 bytes | port                    IPv4
//             1 | 1 | 16 bytes | port                   IPv6
//             2 | transport id | length | data          custom (iroh-base 1.0 wrote the data otherwise)
//
// All without a tag for the length, so nothing after an unknown number could be read.

import { PostcardError, PostcardReader, PostcardWriter } from "../base/postcard.ts";
import { hostFromBytes, hostToBytes, socketAddress } from "../base/socket-address.ts";
import { customAddr } from "./custom-addr.ts";
import { EndpointAddr } from "./endpoint-addr.ts";
import { EndpointId } from "./endpoint-id.ts";
import { IdentityError } from "./identity-error.ts";
import { keyLength } from "./key-text.ts";
import { parseRelayUrl } from "./relay-url.ts";
import { type TransportAddr, transportAddrKinds } from "./transport-addr.ts";

/** Bytes of a ticket that are read, some thousand addresses: what parsing one can cost. */
const maxTicketBytes = 1 << 16;

/** The canonical bytes: what iroh writes for the same address. */
export function encodeTicket({ id, addrs }: EndpointAddr): Uint8Array {
  const writer = new PostcardWriter().varint(0).fixedBytes(id.bytes).varint(addrs.length);
  for (const addr of addrs) {
    writer.varint(transportAddrKinds.indexOf(addr.type));
    switch (addr.type) {
      case "relay":
        writer.string(addr.url);
        break;
      case "ip": {
        const { family, host, port } = addr.address;
        writer
          .varint(family === 4 ? 0 : 1)
          .fixedBytes(hostToBytes(host))
          .varint(port);
        break;
      }
      case "custom":
        writer.varint(addr.id).bytes(addr.data);
        break;
    }
  }
  return writer.finish();
}

/**
 * Reads a ticket as tolerantly as iroh: addresses in any order and more than once, varints that are too long, and bytes
 * after the end, which are ignored. Throws PostcardError or UnexpectedEndError.
 */
export function decodeTicket(bytes: Uint8Array): EndpointAddr {
  if (bytes.length > maxTicketBytes) {
    throw new PostcardError(
      `more than ${maxTicketBytes} bytes, which is the limit,`,
      maxTicketBytes,
    );
  }
  const reader = new PostcardReader(bytes);
  const variant = reader.u32();
  if (variant !== 0) {
    throw new PostcardError(`unknown ticket variant ${variant}`, 0);
  }
  const id = checked(reader.offset, reader.fixedBytes(keyLength), EndpointId.fromBytes);
  const count = reader.count();
  const addrs: TransportAddr[] = [];
  while (addrs.length < count) {
    addrs.push(readAddr(reader));
  }
  return new EndpointAddr(id, addrs);
}

function readAddr(reader: PostcardReader): TransportAddr {
  const { offset } = reader;
  const kind = reader.u32();
  const type = transportAddrKinds[kind];
  if (type === undefined) {
    throw new PostcardError(`unknown kind of address ${kind}`, offset);
  }
  switch (type) {
    case "relay":
      return { type, url: checked(offset, reader.string(), parseRelayUrl) };
    case "ip": {
      const family = reader.u32();
      if (family > 1) {
        throw new PostcardError(`unknown IP family ${family}`, offset);
      }
      const host = hostFromBytes(reader.fixedBytes(family === 0 ? 4 : 16));
      return { type, address: socketAddress(host, reader.u16()) };
    }
    case "custom":
      return customAddr(reader.u64(), reader.bytes());
  }
}

/** Says where in the ticket the value stands that was refused. */
function checked<Raw, Value>(offset: number, raw: Raw, check: (raw: Raw) => Value): Value {
  try {
    return check(raw);
  } catch (error) {
    throw error instanceof IdentityError
      ? new PostcardError(error.message, offset, { cause: error })
      : error;
  }
}
