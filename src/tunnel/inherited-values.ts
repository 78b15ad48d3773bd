import type { ContextKey, ContextValues } from "@connectrpc/connect";

/** Values of a call through a tunnel: what it does not have itself is that of the call that opened the tunnel. */
export class InheritedValues implements ContextValues {
  readonly #parent: ContextValues | undefined;
  readonly #own = new Map<symbol, unknown>();

  constructor(parent: ContextValues | undefined) {
    this.#parent = parent;
  }

  get<T>(key: ContextKey<T>): T {
    if (this.#own.has(key.id)) {
      return this.#own.get(key.id) as T;
    }
    return this.#parent === undefined ? key.defaultValue : this.#parent.get(key);
  }

  set<T>(key: ContextKey<T>, value: T): this {
    this.#own.set(key.id, value);
    return this;
  }

  /** The key has its default value then, whatever the parent has. */
  delete(key: ContextKey<unknown>): this {
    return this.set(key, key.defaultValue);
  }
}
