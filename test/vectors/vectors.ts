import { readFileSync } from "node:fs";

// What iroh 1.x itself reads and writes. In each list an entry has either the outcome or `error`, iroh's name for it.

export interface IdVectors {
  readonly keys: readonly {
    readonly secret_hex: string;
    readonly public_hex: string;
    readonly public_base32: string;
    readonly public_z32: string;
    readonly short: string;
    readonly secret_base32: string;
  }[];
  readonly parse_public: readonly ParseVector[];
  readonly parse_z32: readonly ParseVector[];
  readonly parse_secret: readonly (ParseVector & { readonly secret_hex?: string })[];
  readonly verify: readonly {
    readonly name: string;
    readonly public_hex: string;
    readonly message_hex: string;
    readonly signature_hex: string;
    readonly ok: boolean;
  }[];
}

export interface ParseVector {
  readonly name: string;
  readonly input: string;
  readonly public_hex?: string;
  readonly error?: string;
}

export interface AddrVectors {
  readonly custom: readonly {
    readonly id: string;
    readonly data_hex: string;
    readonly string: string;
    readonly binary_hex: string;
    readonly postcard_hex: string;
  }[];
  readonly custom_parse: readonly {
    readonly input: string;
    readonly id?: string;
    readonly data_hex?: string;
    readonly string?: string;
    readonly error?: string;
  }[];
  readonly relay_url_parse: readonly {
    readonly input: string;
    readonly url?: string;
    readonly error?: string;
  }[];
}

export type TicketAddrVector =
  | { readonly type: "relay"; readonly url: string }
  | { readonly type: "ip"; readonly addr: string }
  | { readonly type: "custom"; readonly id: string; readonly data_hex: string };

export interface TicketVectors {
  readonly valid: readonly {
    readonly name: string;
    readonly ticket: string;
    readonly bytes_hex: string;
    readonly id: string;
    readonly addrs: readonly TicketAddrVector[];
  }[];
  readonly lenient: readonly {
    readonly name: string;
    readonly ticket: string;
    readonly canonical: string;
    readonly id: string;
    readonly addrs: readonly TicketAddrVector[];
  }[];
  readonly malformed: readonly {
    readonly name: string;
    readonly input: string;
    readonly error: string;
  }[];
}

export const idVectors: IdVectors = read("ids.json");
export const addrVectors: AddrVectors = read("addrs.json");
export const ticketVectors: TicketVectors = read("tickets.json");

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
}
