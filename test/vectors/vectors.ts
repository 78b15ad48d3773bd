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

/** Fields of upstream's view of a record; `error` in their place where it refuses the record. */
export interface EndpointInfoVector {
  readonly id: string;
  readonly addrs: readonly TicketAddrVector[];
  readonly user_data: string | null;
}

export interface PkarrVectors {
  readonly valid: readonly {
    readonly name: string;
    readonly secret_hex: string;
    readonly public_z32: string;
    readonly timestamp_us: string;
    readonly ttl: number;
    readonly txt: readonly string[];
    readonly packet_hex: string;
    readonly endpoint_info: EndpointInfoVector;
    readonly signable_hex?: string;
  }[];
  readonly other: readonly {
    readonly name: string;
    readonly timestamp_us: string;
    readonly packet_hex: string;
    readonly endpoint_info: EndpointInfoVector | { readonly error: string };
  }[];
  readonly malformed: readonly {
    readonly name: string;
    readonly packet: BytesVector;
  }[];
  readonly order: readonly {
    readonly name: string;
    readonly first_hex: string;
    readonly second_hex: string;
    readonly first_more_recent: boolean;
    readonly second_more_recent: boolean;
  }[];
}

/** Hex, or many bytes of which most are the same. */
export type BytesVector =
  | string
  | {
      readonly prefix?: string;
      readonly fill: string;
      readonly fill_len?: number;
      readonly len?: number;
    };

export interface PkarrHttpVectors {
  readonly steps: readonly {
    readonly name: string;
    readonly method: string;
    readonly path: string;
    readonly body_hex?: string;
    readonly body?: BytesVector;
    readonly response: {
      readonly status: number;
      readonly content_type?: string;
      readonly body?: string;
      readonly body_hex?: string;
    };
  }[];
}

export interface DnsTxtVectors {
  readonly encode: readonly (EndpointInfoVector & {
    readonly name: string;
    readonly txt_name: string;
    readonly strings: readonly string[];
    readonly read_back?: EndpointInfoVector;
  })[];
  readonly decode: readonly {
    readonly name: string;
    readonly txt_name: string;
    readonly strings: readonly string[];
    readonly decoded?: EndpointInfoVector;
    readonly error?: string;
  }[];
}

export interface MdnsVectors {
  readonly service: string;
  readonly query_hex: string;
  readonly response: readonly {
    readonly id: string;
    readonly instance: string;
    readonly targets: readonly string[];
    readonly response_hex: string;
    readonly ttl: number;
    readonly decoded: EndpointInfoVector;
  }[];
}

export const idVectors: IdVectors = read("ids.json");
export const addrVectors: AddrVectors = read("addrs.json");
export const ticketVectors: TicketVectors = read("tickets.json");
export const pkarrVectors: PkarrVectors = read("pkarr.json");
export const pkarrHttpVectors: PkarrHttpVectors = read("pkarr_http.json");
export const dnsTxtVectors: DnsTxtVectors = read("dns_txt.json");
export const mdnsVectors: MdnsVectors = read("mdns.json");

export function bytesOf(vector: BytesVector): Uint8Array {
  if (typeof vector === "string") {
    return new Uint8Array(Buffer.from(vector, "hex"));
  }
  const { prefix = "", fill, fill_len, len } = vector;
  return new Uint8Array(Buffer.from(prefix + fill.repeat(fill_len ?? len ?? 0), "hex"));
}

/** The addresses of a vector in the form of `formatTransportAddr`. */
export function addrTexts(addrs: readonly TicketAddrVector[]): string[] {
  return addrs.map(addrText);
}

function addrText(addr: TicketAddrVector): string {
  switch (addr.type) {
    case "relay":
      return `relay:${addr.url}`;
    case "ip":
      return `ip:${addr.addr.replace(/%[^\]]*/, "")}`;
    case "custom":
      return `custom:${BigInt(addr.id).toString(16)}_${addr.data_hex}`;
  }
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
}
