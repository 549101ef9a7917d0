// supabase-js in a real browser, on a page of another origin: sockets, preflights, coming back after a crash.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { Rowcast } from "./rowcast.js";

const LIBRARY = fileURLToPath(new URL("node_modules/@supabase/supabase-js/dist/umd/supabase.js", import.meta.url));
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

describe("supabase-js in a browser", { timeout: 180_000 }, () => {
  let rowcast, browser;

  before(async () => {
    process.env.ROWCAST_PUBLISHABLE_KEY = "sb_publishable_test";
    rowcast = await Rowcast.start();
    browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
  });

  after(async () => {
    await browser?.close();
    await rowcast?.stop();
  });

  async function visit(key) {
    const page = await browser.newPage();
    // Any page of another origin will do.
    await page.goto(`${rowcast.admin}/live`);
    await page.addScriptTag({ path: LIBRARY });
    await page.evaluate(
      ([url, key]) => {
        const client = window.supabase.createClient(url, "sb_publishable_test");
        const seen = (window.seen = { states: [], events: [], present: [] });
        const channel = (window.channel = client.channel("page", { config: { presence: { key }, broadcast: { ack: true } } }));
        channel.on("broadcast", { event: "*" }, ({ event, payload }) => seen.events.push([event, payload?.n ?? payload?.byteLength]));
        channel.on("presence", { event: "sync" }, () => (seen.present = Object.keys(channel.presenceState()).sort()));
        channel.subscribe((state) => {
          seen.states.push(state);
          if (state === "SUBSCRIBED") channel.track({ here: true });
        });
      },
      [rowcast.http, key],
    );
    await page.waitForFunction(() => window.seen.states.includes("SUBSCRIBED"));
    return page;
  }

  test("two pages hear and see each other, and come back after a crash", async () => {
    const [ada, grace] = [await visit("ada"), await visit("grace")];
    for (const page of [ada, grace]) await page.waitForFunction(() => window.seen.present.join() === "ada,grace");
    const sent = await ada.evaluate(async () => [
      await channel.send({ type: "broadcast", event: "json", payload: { n: 1 } }),
      await channel.send({ type: "broadcast", event: "bytes", payload: new ArrayBuffer(3) }),
      (await channel.httpSend("http", { n: 2 })).success,
    ]);
    assert.deepEqual(sent, ["ok", "ok", true]);
    await grace.waitForFunction(() => window.seen.events.length >= 3);
    assert.deepEqual(await grace.evaluate(() => window.seen.events), [["json", 1], ["bytes", 3], ["http", 2]]);

    await rowcast.kill();
    await rowcast.start();
    for (const page of [ada, grace]) {
      await page.waitForFunction(() => window.seen.states.filter((state) => state === "SUBSCRIBED").length > 1, null, { timeout: 60_000 });
    }
    await grace.evaluate(() => channel.send({ type: "broadcast", event: "back", payload: { n: 3 } }));
    await ada.waitForFunction(() => window.seen.events.some(([event]) => event === "back"));
    await ada.waitForFunction(() => window.seen.present.join() === "ada,grace");
    await grace.close();
    await ada.waitForFunction(() => window.seen.present.join() === "ada");
  });
});
