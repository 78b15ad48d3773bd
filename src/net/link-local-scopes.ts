import type { SocketAddress } from "../base/socket-address.ts";

/** Hosts whose scope is remembered. Above it all are forgotten and learned again. */
const maxRemembered = 4_096;

/**
 * On which interface link-local hosts were heard. Their addresses (fe80::/10) mean something on one link alone, so that
 * answers need the scope (RFC 4007 §6), which {@link SocketAddress} does not carry.
 */
export class LinkLocalScopes {
  readonly #scoped = new Map<string, string>();

  /** `text` is the host of `address` as the system gives it: `fe80::1%eth0`. Without a scope there is nothing to learn. */
  learn(address: SocketAddress, text: string): void {
    if (text.includes("%")) {
      if (this.#scoped.size >= maxRemembered) {
        this.#scoped.clear();
      }
      this.#scoped.set(address.host, text);
    }
  }

  /** The host of `address` as the system wants it. */
  hostOf(address: SocketAddress): string {
    return this.#scoped.get(address.host) ?? address.host;
  }
}
