// `npm run demo:workers` in Chromium: its two workers meet, talk and measure, and one says so when the other is killed. With
// SCREENSHOTS=<folder> it leaves pictures there, of which docs/pictures has some.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Running, startInTerminal } from "../../support/terminal.ts";
import { Chromium, type ChromiumPage, findChromium } from "./chromium.ts";

const chromium = findChromium();
const skip =
  chromium === undefined && "no chromium: install Debian's package, or say in CHROMIUM where it is";
const folder = process.env.SCREENSHOTS;

interface Printed {
  readonly url: string;
  readonly pid: number;
}

describe("the demo of two workers in Chromium", { skip, timeout: 280_000 }, () => {
  let demo: Running;
  let relay: Printed;
  let ada: Printed;
  let bob: Printed;
  let browser: Chromium;
  let adasPage: ChromiumPage;
  let bobsPage: ChromiumPage;

  before(async () => {
    assert.ok(chromium !== undefined, "no chromium");
    demo = startInTerminal("examples/workers/demo.ts");
    const printed = async (name: string): Promise<Printed> => {
      const line = await demo.line(new RegExp(`^${name} +http:.* process [0-9]+$`));
      const [, url = "", , pid] = line.split(/ +/);
      return { url, pid: Number(pid) };
    };
    [relay, ada, bob] = await Promise.all([printed("relay"), printed("Ada"), printed("Bob")]);
    browser = new Chromium(chromium, []);
    adasPage = await browser.open(ada.url);
    bobsPage = await browser.open(bob.url);
    await adasPage.lookAt();
    await bobsPage.lookAt();
  });

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    demo?.child.kill("SIGINT");
    await demo?.ended;
  });

  const has = (selector: string, part: string): string =>
    `document.querySelector(${JSON.stringify(selector)})?.innerText.includes(${JSON.stringify(part)})`;

  async function shoot(name: string): Promise<void> {
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      await bobsPage.evaluate("document.activeElement?.blur()");
      for (const [look, width, scheme] of [
        ["light", 1_280, "light"],
        ["dark", 1_280, "dark"],
        ["phone", 390, "light"],
      ] as const) {
        const picture = await bobsPage.screenshot({ width, scheme });
        writeFileSync(join(folder, `worker-${name}-${look}.png`), picture);
      }
    }
  }

  test("both show each other, and a direct path, which they found over the relay", async () => {
    for (const [page, other] of [
      [adasPage, "Bob"],
      [bobsPage, "Ada"],
    ] as const) {
      await page.until(has(".peer .name", other));
      await page.until(has(".peer .badge", "Direct"));
      await page.until(has(".events", `the path to ${other}`));
    }
    // What the place has told them is the relay alone, and that has passed packets on.
    const metrics = await (await fetch(relay.url)).text();
    const [, packets] = /^relayserver_send_packets_sent_total (\d+)$/m.exec(metrics) ?? [];
    assert.ok(Number(packets) > 0, metrics);
  });

  test("chat both ways, on the stream and in datagrams", async () => {
    for (const [from, to, way, said] of [
      [adasPage, bobsPage, "stream", "Good morning, Bob. Can you see me?"],
      [bobsPage, adasPage, "stream", "Loud and clear. The path is direct now."],
      [adasPage, bobsPage, "datagram", "And this is a datagram."],
      [bobsPage, adasPage, "datagram", "It has come, too."],
    ] as const) {
      await from.evaluate(`document.querySelector('#way-${way}').click()`);
      const isDatagram = way === "datagram" ? ".datagram" : ":not(.datagram)";
      const isHeard = has(`.message.other${isDatagram}:last-child .text`, said);
      const isSaid = "document.querySelector('#message').value === ''";
      for (let heard: unknown = false; heard !== true; ) {
        await from.evaluate("document.querySelector('#message').focus()");
        await from.type(said);
        await from.press("Enter");
        await from.until(isSaid);
        // A datagram may get lost: then it is said again.
        const until = Date.now() + 10_000;
        const isLate = way === "datagram" ? `Date.now() > ${until}` : "false";
        heard = await to.until(`${isHeard} || (${isLate} && "late")`);
      }
    }
  });

  test("run a benchmark each, to its end", async () => {
    const done = (count: number): string =>
      `[...document.querySelectorAll(".run .hint")].filter(({ innerText }) => innerText.startsWith("Done: 16 MiB")).length === ${count}`;
    for (const [index, page] of [adasPage, bobsPage].entries()) {
      await page.evaluate("document.querySelector('#size').value = String(2 ** 24)");
      await page.evaluate("document.querySelector('.benchmarks .secondary').click()");
      await adasPage.until(done(index + 1));
      await bobsPage.until(done(index + 1));
    }
    await bobsPage.until(has(".peer .badge", "Direct"));
    await shoot("connected");
  });

  test("one is killed, and the page of the other says so", async () => {
    process.kill(ada.pid, "SIGKILL");
    await adasPage.until(has("#status", "No connection to the worker"));
    await bobsPage.until(has(".peer .badge", "Lost"));
    await bobsPage.until(has(".events .warning", "lost Ada"));
    await shoot("lost");
  });

  test("Ctrl-C ends all that is left, with exit code 0", async () => {
    const said = demo.line(/^Bob +(stopping.*)$/);
    demo.child.kill("SIGINT");
    await said;
    const { code, stderr } = await demo.ended;
    assert.equal(code, 0, stderr);
    for (const { pid } of [ada, bob, relay]) {
      assert.throws(() => process.kill(pid, 0), `process ${pid} is still there`);
    }
  });
});
