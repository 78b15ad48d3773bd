import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { PeerSelector } from "./peer-selector.ts";
import { fits } from "./peer-selector.ts";
import { type PeerEntry, PeerSet } from "./peer-set.ts";
import { signRegistration } from "./registration.ts";

const keys = Array.from({ length: 5 }, () => SecretKey.generate());

const changes = fc.array(
  fc.record({
    peer: fc.nat({ max: keys.length - 1 }),
    /** Undefined: it goes. */
    services: fc.option(fc.subarray(["a.A", "b.B"]), { nil: undefined }),
    watch: fc.boolean(),
  }),
  { maxLength: 60, size: "max" },
);
const selectors = fc.record({
  service: fc.constantFrom(undefined, "a.A"),
  limit: fc.integer({ min: 1, max: 4 }),
});

function entryOf(set: PeerSet, peer: number, services: string[]): PeerEntry {
  const key = keys[peer] ?? SecretKey.generate();
  const before = set.get(key.publicKey.toString());
  return {
    record: signRegistration(key, {
      addr: new EndpointAddr(key.publicKey),
      namespace: "",
      audience: "",
      signedUs: 0n,
      services,
      labels: {},
    }),
    registeredAtMs: 0,
    joined: before?.joined ?? set.version + 1,
    lease: "",
  };
}

test("who follows the changes of a PeerSet, at whatever pace, knows the peers that fit", () => {
  fc.assert(
    fc.property(changes, selectors, (steps, { service, limit }) => {
      const set = new PeerSet({ maxChanges: 8, epoch: "e" });
      const selector: PeerSelector = { service, labels: [], ids: undefined };
      const known = new Map<string, PeerEntry>();
      let version = 0;
      const follow = (): void => {
        for (;;) {
          const since = set.changesSince(version, selector, limit);
          if (since.type === "too-old") {
            known.clear();
            version = set.version;
            let after: number | undefined = 0;
            while (after !== undefined) {
              const page = set.page(selector, { after, limit, upTo: version });
              for (const entry of page.entries) {
                known.set(entry.record.id.toString(), entry);
              }
              after = page.next;
            }
            continue;
          }
          for (const change of since.changes) {
            if (change.type === "put") {
              known.set(change.entry.record.id.toString(), change.entry);
            } else {
              assert.ok(known.delete(change.id), "what has gone was there");
            }
          }
          if (since.version === version) {
            break;
          }
          version = since.version;
        }
        const expected = set.entries.filter(({ record }) => fits(selector, record));
        assert.deepEqual(new Set(known.values()), new Set(expected));
      };
      for (const { peer, services, watch } of steps) {
        const id = keys[peer]?.publicKey.toString() ?? "";
        if (services !== undefined || set.get(id) !== undefined) {
          set.apply(id, services === undefined ? undefined : entryOf(set, peer, services));
        }
        if (watch) {
          follow();
        }
      }
      follow();
    }),
    { numRuns: 200 },
  );
});

test("a peer that stays is on one page, once, whatever comes and goes between the pages", () => {
  fc.assert(
    fc.property(changes, fc.integer({ min: 1, max: 3 }), (steps, limit) => {
      const set = new PeerSet({ maxChanges: 8, epoch: "e" });
      const all: PeerSelector = { service: undefined, labels: [], ids: undefined };
      const staying = keys[0]?.publicKey.toString() ?? "";
      for (let peer = 0; peer < keys.length; peer += 1) {
        set.apply(keys[peer]?.publicKey.toString() ?? "", entryOf(set, peer, []));
      }
      let seen = 0;
      let after: number | undefined = 0;
      const rest = [...steps];
      while (after !== undefined) {
        const page = set.page(all, { after, limit });
        seen += page.entries.filter(({ record }) => record.id.toString() === staying).length;
        after = page.next;
        const { peer = 0, services } = rest.shift() ?? {};
        const id = keys[peer]?.publicKey.toString() ?? "";
        if (services !== undefined) {
          set.apply(id, entryOf(set, peer, services));
        } else if (id !== staying && set.get(id) !== undefined) {
          set.apply(id, undefined);
        }
      }
      assert.equal(seen, 1);
    }),
    { numRuns: 200 },
  );
});
