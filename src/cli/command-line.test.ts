import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { runCommandLine } from "./command-line.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "connect-quic-cli-"));
});
after(() => rm(folder, { recursive: true }));

async function run(...args: string[]) {
  const io = new RecordedIo();
  const code = await runCommandLine(args, io);
  return { code, stdout: io.printed.join("\n"), stderr: io.notes.join("\n") };
}

test("help lists the commands, and each command's help its options", async () => {
  const { code, stdout } = await run("--help");
  assert.equal(code, 0);
  for (const name of ["id", "ping", "netcheck", "relay"]) {
    assert.match(stdout, new RegExp(`^ {2}${name} +\\w`, "m"));
    for (const help of ["--help", "-h"]) {
      const own = await run(name, help);
      assert.equal(own.code, 0);
      assert.match(own.stdout, new RegExp(`^Usage: connect-quic ${name} `));
      assert.match(own.stdout, /^ {2}--help +this$/m);
    }
  }
});

test("lines of help fit into 120 columns", async () => {
  for (const name of ["id", "ping", "netcheck", "relay"]) {
    const { stdout } = await run(name, "--help");
    for (const line of stdout.split("\n")) {
      assert.ok(line.length <= 120, line);
    }
  }
});

test("the version is that of the package", async () => {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(await readFile(file, "utf8"));
  assert.deepEqual(await run("--version"), { code: 0, stdout: version, stderr: "" });
});

test("without a command there is help, and exit code 2", async () => {
  const { code, stdout, stderr } = await run();
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.match(stderr, /^Usage: connect-quic <command>/);
});

const mistakes: readonly (readonly [args: readonly string[], stderr: RegExp])[] = [
  [
    ["pong"],
    /^connect-quic: unknown command "pong": there are id, ping, netcheck, relay, rendezvous, worker, --help/,
  ],
  [["--verbose"], /^connect-quic: unknown option "--verbose": there are id, /],
  [["id", "--kee", "x"], /^connect-quic id: unknown option --kee: there are --key, --json \(/],
  [["id", "x"], /^connect-quic id: unexpected argument "x" /],
  [["id", "--key"], /^connect-quic id: option '--key <value>' argument missing /],
  [["id", "--json=1"], /^connect-quic id: option '--json' does not take an argument /],
  [["ping"], /^connect-quic ping: whom to ping, a ticket or an id, is missing /],
  [["ping", "a", "b"], /^connect-quic ping: unexpected argument "b" /],
  [["ping", "endpointabc"], /^connect-quic ping: invalid .*ticket/],
  [["ping", "hello"], /^connect-quic ping: invalid endpoint id/],
  [["ping", "1.2.3.4:5"], /^connect-quic ping: .*an address does not say who the peer is/],
  [["ping", "x", "--count", "0"], /--count takes a whole number above zero, found "0"/],
  [["ping", "x", "--count", "1e3"], /--count takes a whole number above zero, found "1e3"/],
  [["ping", "x", "--interval", "0"], /--interval takes seconds from 0.01 to 86400, found "0"/],
  [["ping", "x", "--timeout", "soon"], /--timeout takes seconds from 0.1 to 86400, found "soon"/],
  [["ping", "x", "--relay", "here"], /invalid relay URL "here"/],
  [["ping", "x", "--relay", "ftp://x"], /--relay takes a URL with https:\/\/ or http:\/\//],
  [["ping", "x", "--relay-token", "t"], /--relay-token is for --relay, which is missing/],
  [["ping", "x", "--discovery", "web"], /--discovery takes one of local, dns, pkarr, dht, found/],
  [["ping", "x", "--discovery", "toString"], /--discovery takes one of/],
  [["ping", "x", "--discovery", "pkarr=x"], /--discovery pkarr=x: Invalid URL/],
  [["ping", "x", "--discovery", "local=x"], /--discovery local=x: it takes no value/],
  [["ping", "x", "--discovery", "dht=x"], /--discovery dht=x: .*"x"/],
  [["netcheck", "x"], /^connect-quic netcheck: unexpected argument "x" /],
  [["netcheck", "--stun", "a:b:c"], /^connect-quic netcheck: --stun: invalid STUN server "a:b:c"/],
  [["relay"], /^connect-quic relay: a relay takes --tls-cert and --tls-key, or --dev/],
  [["relay", "--dev", "--tls-key", "x"], /--dev is plain HTTP/],
  [["relay", "--dev", "--listen", "here"], /--listen takes ip:port, \[ip6\]:port or a port/],
  [["relay", "--dev", "--listen", "70000"], /--listen takes ip:port, \[ip6\]:port or a port/],
  [["relay", "--dev", "--metrics", "x"], /--metrics takes ip:port/],
  [["relay", "--dev", "--allow", "x"], /invalid endpoint id/],
];

for (const [args, expected] of mistakes) {
  test(`connect-quic ${args.join(" ")}: exit code 2, and one line says what is wrong`, async () => {
    const { code, stdout, stderr } = await run(...args);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
    assert.match(stderr, expected);
    assert.match(stderr, /^[^\n]+$/);
  });
}

test("an id alone, and nothing that says where it is, is a mistake of who typed it", async () => {
  const { code, stderr } = await run("ping", SecretKey.generate().publicKey.toString());
  assert.equal(code, 2);
  assert.match(stderr, /an id alone does not say where the peer is: give its ticket, or --relay/);
});

test("id makes a key file, and prints the same id from then on", async () => {
  const file = join(folder, "new/peer.key");
  const first = await run("id", "--key", file);
  assert.equal(first.code, 0);
  assert.match(first.stdout, /^[0-9a-f]{64}$/);
  assert.equal(first.stderr, `made a new key: ${file}`);
  assert.equal((await SecretKey.load(file)).publicKey.toString(), first.stdout);
  assert.deepEqual(await run("id", "--key", file), { ...first, stderr: "" });
  const { stdout } = await run("id", "--key", file, "--json");
  assert.deepEqual(JSON.parse(stdout), { id: first.stdout, key: file, created: false });
});

test("id says what is wrong with a key file, and leaves it as it is", async () => {
  const file = join(folder, "not-a.key");
  await writeFile(file, "hello", { mode: 0o600 });
  const { code, stdout, stderr } = await run("id", "--key", file);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.match(stderr, /^connect-quic id: .*not-a\.key/);
  assert.equal(await readFile(file, "utf8"), "hello");
});
