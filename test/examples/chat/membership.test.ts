import assert from "node:assert/strict";
import { test } from "node:test";
import { Membership } from "../../../examples/chat/membership.ts";
import { EndpointAddr, SecretKey } from "../../../src/index.ts";

const [self, ada, bob, cyd] = [0, 1, 2, 3].map(() => SecretKey.generate().publicKey) as [
  EndpointAddr["id"],
  EndpointAddr["id"],
  EndpointAddr["id"],
  EndpointAddr["id"],
];

function addrOf(id: EndpointAddr["id"], port = 1): EndpointAddr {
  return EndpointAddr.from({ id, addrs: [`127.0.0.1:${port}`] });
}

function create(maxContacts = 10): Membership {
  return new Membership({ self: self.toString(), maxContacts });
}

const hearsay = { from: "another", isNew: false, now: 0 } as const;
const itself = { from: "itself", isNew: true, now: 0 } as const;

test("Membership has whoever was heard of called once, and not oneself", () => {
  const membership = create();
  membership.heard(addrOf(self), hearsay);
  membership.heard(addrOf(ada), hearsay);
  membership.heard(addrOf(ada), hearsay);
  assert.equal(membership.nextCall(), 0);
  assert.deepEqual(membership.takeDue(0), [addrOf(ada)]);
  assert.deepEqual(membership.takeDue(1_000), []);
  assert.equal(membership.nextCall(), undefined);
});

test("Membership tells who was here, has joined, is lost, and is back", () => {
  const membership = create();
  membership.heard(addrOf(ada), hearsay);
  membership.heard(addrOf(bob), itself);
  membership.takeDue(0);
  assert.equal(membership.answered(ada.toString(), "ada"), "here");
  assert.equal(membership.answered(bob.toString(), "bob"), "joined");
  assert.equal(membership.answered(bob.toString(), "bob"), undefined, "not called");
  assert.deepEqual(
    [...membership.present()].map(({ nick }) => nick),
    ["ada", "bob"],
  );
  assert.deepEqual(membership.failed(bob.toString(), 100), { id: bob.toString(), nick: "bob" });
  assert.deepEqual(
    [...membership.present()].map(({ nick }) => nick),
    ["ada"],
  );
  const at = membership.nextCall();
  assert.ok(at !== undefined && at > 100, `${at}`);
  assert.deepEqual(membership.takeDue(at), [addrOf(bob)]);
  assert.equal(membership.answered(bob.toString(), "bob"), "back");
  assert.deepEqual(membership.gone(bob.toString()), { id: bob.toString(), nick: "bob" });
  assert.equal(membership.gone(bob.toString()), undefined);
});

test("Membership calls a lost member again ever later, and then forgets it", () => {
  const membership = create();
  membership.heard(addrOf(ada), hearsay);
  let now = 0;
  const pauses: number[] = [];
  for (;;) {
    assert.deepEqual(membership.takeDue(now), [addrOf(ada)]);
    assert.equal(membership.failed(ada.toString(), now), undefined);
    const next = membership.nextCall();
    if (next === undefined) {
      break;
    }
    pauses.push(next - now);
    now = next;
  }
  assert.deepEqual(pauses, [500, 1_000, 2_000, 4_000, 8_000]);
  membership.heard(addrOf(ada), { ...hearsay, now });
  assert.deepEqual(membership.takeDue(now), [addrOf(ada)], "heard of anew");
});

test("Membership calls a lost member at once when that comes by itself, where it says it is", () => {
  const membership = create();
  membership.heard(addrOf(ada), hearsay);
  membership.takeDue(0);
  membership.failed(ada.toString(), 0);
  membership.heard(addrOf(ada, 2), { ...hearsay, now: 100 });
  assert.deepEqual(membership.takeDue(100), [], "hearsay changes nothing");
  membership.heard(addrOf(ada, 2), { ...itself, now: 100 });
  assert.deepEqual(membership.takeDue(100), [addrOf(ada, 2)]);
});

test("Membership takes no more hearsay than it has places, and who comes itself takes such a place", () => {
  const membership = create(2);
  membership.heard(addrOf(ada), hearsay);
  membership.takeDue(0);
  membership.answered(ada.toString(), "ada");
  membership.heard(addrOf(bob), hearsay);
  membership.heard(addrOf(cyd), hearsay);
  membership.heard(addrOf(cyd), itself);
  assert.deepEqual(membership.takeDue(0), [addrOf(cyd)]);
});
