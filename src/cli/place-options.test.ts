import assert from "node:assert/strict";
import { test } from "node:test";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { runCommandLine } from "./command-line.ts";
import { meetingOf } from "./place-options.ts";

stayAlive();

const id = SecretKey.generate().publicKey.toString();

test("a place is named by its URL, by its id, or not at all", () => {
  assert.equal(meetingOf({}), undefined);
  assert.equal(
    meetingOf({ rendezvous: "https://Example.org:443/" })?.place.name,
    "https://example.org",
  );
  assert.equal(meetingOf({ rendezvous: ` ${id} ` })?.place.name, id);
});

test("labels are read from key=value, whose value may be empty or have = in it", () => {
  const meeting = meetingOf({ rendezvous: id, label: ["zone=north", "empty=", "sum=1+1=2"] });
  assert.deepEqual(meeting?.labels, { zone: "north", empty: "", sum: "1+1=2" });
});

test("a partner is looked for with --pair alone, in the pool that is named or the one that is not", () => {
  assert.equal(meetingOf({ rendezvous: id })?.pool, undefined);
  assert.equal(meetingOf({ rendezvous: id, pair: false })?.pool, undefined);
  assert.equal(meetingOf({ rendezvous: id, pair: true })?.pool, "");
  assert.equal(meetingOf({ rendezvous: id, pair: true, pool: "chess" })?.pool, "chess");
});

for (const [args, problem] of [
  [["--rendezvous", "ftp://x"], /--rendezvous: a place has a URL with https:\/\/ or http:\/\//],
  [["--rendezvous", "http://a b"], /--rendezvous: a place has a URL/],
  [["--rendezvous", "http://u:p@x"], /no user, no query and no fragment/],
  [["--rendezvous", "example.org:3350"], /--rendezvous: .*an address does not say who/],
  [["--rendezvous", "nonsense"], /--rendezvous: invalid/],
  [["--namespace", "x"], /--namespace is for --rendezvous, which is missing/],
  [["--label", "a=b"], /--label is for --rendezvous/],
  [["--pair"], /--pair is for --rendezvous/],
  [["--rendezvous", id, "--pool", "x"], /--pool is for --pair, which is missing/],
  [["--rendezvous", id, "--label", "north"], /--label takes <key>=<value>.*found "north"/],
  [["--rendezvous", id, "--label", "=x"], /--label takes <key>=<value>/],
  [["--rendezvous", id, "--label", "a=1", "--label", "a=2"], /--label gives "a" twice/],
  [["--rendezvous", id, "--label", `a=${"x".repeat(257)}`], /--label: .*at most 256/],
  [["--rendezvous", id, "--namespace", "x".repeat(129)], /--namespace: .*at most 128/],
  [["--rendezvous", id, "--pair", "--pool", "x".repeat(129)], /--pool: .*at most 128/],
] as const) {
  test(`a worker refuses ${args.map((arg) => arg.replace(id, "<id>").slice(0, 24)).join(" ")} before it starts`, async () => {
    const io = new RecordedIo();
    assert.equal(await runCommandLine(["worker", ...args], io), 2);
    assert.match(io.notes.join("\n"), problem);
    assert.deepEqual(io.printed, []);
  });
}
