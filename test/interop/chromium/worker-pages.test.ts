// The pages of two workers in Chromium: who is there, chat, benchmark, and what is said when one is killed. With
// SCREENSHOTS=<folder> it leaves pictures there.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  type RunningPlace,
  type RunningWorker,
  WorkerProgram,
} from "../../support/worker-program.ts";
import { Chromium, type ChromiumPage, findChromium } from "./chromium.ts";

const chromium = findChromium();
const skip =
  chromium === undefined && "no chromium: install Debian's package, or say in CHROMIUM where it is";
const folder = process.env.SCREENSHOTS;
const markup = "<img src=x onerror=alert(1)>";

describe("the pages of two workers in Chromium", { skip, timeout: 180_000 }, () => {
  let program: WorkerProgram;
  let place: RunningPlace;
  let ada: RunningWorker;
  let bob: RunningWorker;
  let browser: Chromium;
  let adasPage: ChromiumPage;
  let bobsPage: ChromiumPage;

  before(async () => {
    assert(chromium !== undefined, "no chromium");
    program = WorkerProgram.build();
    place = await program.startPlace();
    const at = ["--rendezvous", place.url];
    ada = await program.start([...at, "--name", "Ada", "--label", "zone=north"]);
    bob = await program.start([
      ...[...at, "--name", `Bob ${markup}`, "--label", `note=${markup}`],
      ...["--page-token", "0123456789abcdef"],
    ]);
    browser = new Chromium(chromium, []);
    adasPage = await browser.open(ada.page);
    bobsPage = await browser.open(bob.page);
    await adasPage.lookAt();
    await bobsPage.lookAt();
  });

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await ada?.kill();
    await bob?.kill();
    await place?.kill();
    program?.[Symbol.dispose]();
  });

  const text = (selector: string): string =>
    `document.querySelector(${JSON.stringify(selector)})?.innerText`;
  const has = (selector: string, part: string): string =>
    `document.querySelector(${JSON.stringify(selector)})?.innerText.includes(${JSON.stringify(part)})`;

  async function shoot(name: string): Promise<void> {
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      for (const [look, width, scheme] of [
        ["light", 1_280, "light"],
        ["dark", 1_280, "dark"],
        ["phone", 390, "light"],
      ] as const) {
        const picture = await adasPage.screenshot({ width, scheme });
        writeFileSync(join(folder, `worker-${name}-${look}.png`), picture);
      }
    }
  }

  test("a token in the URL opens the page, and is no longer in the URL", async () => {
    assert.match(bob.page, /\?token=/);
    assert.equal(await bobsPage.evaluate("location.search"), "");
    assert.equal(await bobsPage.evaluate("document.cookie"), "");
    await bobsPage.until(has("#self h1", "Bob"));
  });

  test("says who it is, with a QR code of the ticket", async () => {
    await adasPage.until(has("#status", "Live"));
    assert.equal(await adasPage.evaluate(text("#self h1")), "Ada");
    assert.equal(await adasPage.evaluate(text("#self .id")), ada.id);
    await adasPage.evaluate("void (document.querySelector('#self details').open = true)");
    assert.match(
      String(await adasPage.until("document.querySelector('.qr path')?.getAttribute('d')")),
      /^M/,
    );
    await adasPage.evaluate("void (document.querySelector('#self details').open = false)");
    await adasPage.until(has("#network", "Own addresses"));
  });

  test("says where it is registered, and lists who else is there, what they say as text", async () => {
    for (const [page, other] of [
      [adasPage, `Bob ${markup}`],
      [bobsPage, "Ada"],
    ] as const) {
      await page.until(has("#place .badge", "Registered"));
      await page.until(has("#place .detail", new URL(place.url).host));
      await page.until(has(".found .name", other));
      assert.equal(await page.evaluate("document.querySelectorAll('.found li').length"), 1);
    }
    assert.equal(await adasPage.evaluate(text(".found .labels")), `note=${markup}`);
    assert.equal(await adasPage.evaluate("document.querySelectorAll('img[src=x]').length"), 0);
  });

  test("dials a ticket that is typed and sent with Enter, and both see the path as direct", async () => {
    await bobsPage.evaluate("document.querySelector('#target').focus()");
    await bobsPage.type("nonsense");
    await bobsPage.press("Enter");
    await bobsPage.until("document.querySelector('#peers .problem')?.hidden === false");
    await bobsPage.evaluate("document.querySelector('#target').select()");
    await bobsPage.type(ada.ticket);
    await bobsPage.press("Enter");
    for (const page of [adasPage, bobsPage]) {
      await page.until(has(".peer .badge", "Direct"));
      await page.until("document.querySelector('.peer .line')?.getAttribute('d')");
    }
    await bobsPage.until(has("#peer-title", "Ada"));
  });

  test("shows what a peer calls itself as text", async () => {
    await adasPage.until(has(".peer .name", markup));
    assert.equal(await adasPage.evaluate("document.querySelectorAll('img[src=x]').length"), 0);
  });

  test("chats both ways, on the stream and in datagrams, told apart", async () => {
    for (const [from, to, way, said] of [
      [bobsPage, adasPage, "stream", "Good morning! Can you see me?"],
      [adasPage, bobsPage, "stream", "Loud and clear."],
      [bobsPage, adasPage, "datagram", `In a datagram, with ${markup}`],
      [adasPage, bobsPage, "datagram", "In a datagram, too."],
    ] as const) {
      await from.evaluate(`document.querySelector('#way-${way}').focus()`);
      await from.press("Space");
      await from.evaluate("document.querySelector('#message').focus()");
      await from.type(said);
      await from.press("Enter");
      const isDatagram = way === "datagram" ? ".datagram" : ":not(.datagram)";
      const last = (whose: string): string => `.message.${whose}${isDatagram}:last-child .text`;
      await to.until(has(last("other"), said));
      await from.until(has(last("own"), said));
      await from.until("document.querySelector('#message').value === ''");
    }
  });

  test("runs a benchmark to its end, and shows its rate", async () => {
    await adasPage.evaluate("document.querySelector('#size').value = String(2 ** 20)");
    await adasPage.evaluate("document.querySelector('.benchmarks .secondary').focus()");
    await adasPage.press("Enter");
    await adasPage.until(has(".run .hint", "Done: 1 MiB"));
    assert.match(String(await adasPage.evaluate(text(".run .rate"))), /^[0-9.]+ [Mk]B\/s$/);
    assert.equal(await adasPage.evaluate("document.querySelector('.run progress').value"), 1);
    await bobsPage.until(has(".run .hint", "begun by the peer"));
  });

  test("cancels one, and both say who did", async () => {
    await adasPage.evaluate("document.querySelector('#size').value = String(2 ** 32)");
    await adasPage.evaluate("document.querySelectorAll('.benchmarks .secondary')[1].click()");
    await adasPage.until("document.querySelector('.run .line')?.getAttribute('d')");
    await shoot("connected");
    await bobsPage.until("document.querySelector('.run button')?.hidden === false");
    await bobsPage.evaluate("document.querySelector('.run button').click()");
    await bobsPage.until(has(".run .hint", "Cancelled here"));
    await adasPage.until(has(".run .hint", "Cancelled by the peer"));
  });

  test("sends a file, of which both show the same digest, and who has it can save it", async () => {
    await adasPage.evaluate(`{
      const files = new DataTransfer();
      files.items.add(new File(["of a file"], ${JSON.stringify(`${markup}.txt`)}));
      const input = document.querySelector("#file");
      input.files = files.files;
      input.dispatchEvent(new Event("change"));
    }`);
    const sha256 = createHash("sha256").update("of a file").digest("hex");
    for (const page of [adasPage, bobsPage]) {
      await page.until(has(".run .digest", sha256));
      await page.until(has(".run .name", "_img src=x onerror=alert(1)_.txt, 9 B"));
    }
    assert.equal(await adasPage.evaluate("document.querySelector('.run a').hidden"), true);
    await bobsPage.until("document.querySelector('.run a').hidden === false");
    const saved = await bobsPage.evaluate(
      "fetch(document.querySelector('.run a').href).then(async (response) => [await response.text(), response.headers.get('content-disposition')])",
    );
    assert.deepEqual(saved, [
      "of a file",
      "attachment; filename*=UTF-8''_img%20src%3Dx%20onerror%3Dalert%281%29_.txt",
    ]);
  });

  test("finds a partner with the keyboard: one waits, both are paired, one leaves", async () => {
    for (const page of [adasPage, bobsPage]) {
      await page.evaluate("document.querySelector('#pool').focus()");
      await page.type("tennis");
      await page.press("Enter");
      if (page === adasPage) {
        await page.until(has(".pairing", "Waiting for a partner in the pool tennis"));
      }
    }
    await adasPage.until(has(".pairing", "Paired with Bob"));
    await bobsPage.until(has(".pairing", "Paired with Ada in the pool tennis"));
    await shoot("paired");
    await bobsPage.evaluate("document.querySelectorAll('.pairing button')[1].focus()");
    await bobsPage.press("Enter");
    await adasPage.until(has(".partner .hint", "the partner has left"));
    await bobsPage.until("document.querySelector('.pairing').hidden");
    // They are still connected: the button opens the chat.
    await adasPage.until(has(".found button", "Chat"));
    await adasPage.evaluate("document.querySelector('.found button').click()");
    await adasPage.until("document.activeElement?.id === 'message'");
  });

  test("says so when the place is gone, and when another worker is", async () => {
    await using cleo = await program.start(["--rendezvous", place.url, "--name", "Cleo"]);
    await adasPage.until(has(".found", "Cleo"));
    await cleo.stop();
    await adasPage.until("!document.querySelector('.found')?.innerText.includes('Cleo')");
    await place.kill();
    await adasPage.until(has("#place .detail.problem", "does not answer"));
  });

  test("lets no markup be made of text, and no other origin call", async () => {
    await assert.rejects(adasPage.evaluate("document.body.innerHTML = '<b>x</b>'"), /TrustedHTML/);
    const strangers = createServer((_, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html>");
    }).listen(0, "127.0.0.1");
    try {
      await once(strangers, "listening");
      const { port } = strangers.address() as AddressInfo;
      await using stranger = await browser.open(`http://127.0.0.1:${port}/`);
      const url = `${ada.page}connectquic.worker.v1.ConsoleService/Disconnect`;
      const body = JSON.stringify({ peerId: bob.id });
      const tryTo = (options: object): Promise<unknown> =>
        stranger.evaluate(
          `fetch(${JSON.stringify(url)}, ${JSON.stringify({ method: "POST", body, ...options })}).then((response) => response.type, (error) => error.message)`,
        );
      const headers = { "content-type": "application/json" };
      assert.equal(await tryTo({ headers }), "Failed to fetch");
      // It is sent, and refused; not even that is for the stranger to see.
      assert.equal(await tryTo({ mode: "no-cors" }), "Failed to fetch");
    } finally {
      strangers.closeAllConnections();
      strangers.close();
    }
    assert.equal(await adasPage.evaluate(text(".peer .badge")), "Direct");
  });

  test("says so when the other worker is killed", async () => {
    await bob.kill();
    await adasPage.until(has(".peer .badge", "Lost"));
    await adasPage.until(has("#peer .detail", "Lost at"));
    await adasPage.until(has(".events .warning", "lost Bob"));
    await shoot("lost");
    await bobsPage.until(has("#status", "No connection to the worker"));
  });
});
