// The demo page in a real browser: what a person sees when rows are committed, the bridge dies and comes back.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { Rowcast } from "./rowcast.js";

const SHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));
const DESKTOP = { width: 1200, height: 800 };
const PHONE = { width: 390, height: 780 };
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

describe("the demo page", { timeout: 180_000 }, () => {
  let rowcast, browser, ada, grace, linus, thread;
  const complaints = [];

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace, linus } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
    await mkdir(SHOTS, { recursive: true });
    browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
  });

  after(async () => {
    await browser?.close();
    await rowcast?.stop();
  });

  test("one click signs in; a row committed in SQL appears, with a badge where it is not looked at", async () => {
    const page = await visit(ada);
    await choose(page, "Mathematics");
    await rowcast.say(thread.id, grace.user_id, "Hello from <b>psql</b> & friends");
    await said(page, "Hello from <b>psql</b> & friends").waitFor();
    assert.equal(await page.locator("#messages b").count(), 0, "text is text");

    const direct = await rowcast.sql("select t.uuid from chat.threads t where t.id = chat.direct_thread(chat.user($1), chat.user($2))", ada.user_id, linus.user_id);
    await rowcast.say(direct[0].uuid, linus.user_id, "A question about the homework");
    await rowcast.say(direct[0].uuid, linus.user_id, "Are you there?");
    const row = page.locator("#threads button", { hasText: "Linus Torvalds" });
    await row.locator(".badge", { hasText: "2" }).waitFor();
    await row.click();
    await said(page, "Are you there?").waitFor();
    await row.locator(".badge").waitFor({ state: "detached" });
    await page.close();
  });

  test("two people chat: typing shows, messages arrive, reading is seen", async () => {
    const [first, second] = await Promise.all([visit(ada), visit(grace)]);
    await Promise.all([choose(first, "Mathematics"), choose(second, "Mathematics")]);
    await first.getByLabel("Message", { exact: true }).pressSequentially("How was the");
    await second.locator("#typing", { hasText: "Ada Lovelace is typing" }).waitFor();
    await first.getByLabel("Message", { exact: true }).fill("How was the lecture?");
    await first.keyboard.press("Enter");
    await said(second, "How was the lecture?").waitFor();
    await said(first, "How was the lecture?").waitFor();
    await first.locator(".seen", { hasText: "Seen by Grace Hopper" }).waitFor();
    await second.getByLabel("Message", { exact: true }).fill("Crowded,\nand loud.");
    await second.getByRole("button", { name: "Send" }).click();
    await said(first, "and loud.").waitFor();
    assert.equal(await said(first, "How was the lecture?").count(), 1, "one's own message shows once");
    await Promise.all([first.close(), second.close()]);
  });

  test("five hundred rows of one statement are all there, in order", async () => {
    const page = await visit(ada);
    await choose(page, "Mathematics");
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      select chat.thread($1), chat.user($2), 'Row ' || n from generate_series(1, 500) n`;
    await rowcast.sql(insert, thread.id, grace.user_id);
    await said(page, /^Row 500$/).waitFor();
    const rows = await said(page, /^Row \d+$/).allTextContents();
    assert.deepEqual(rows, Array.from({ length: 500 }, (_, n) => `Row ${n + 1}`));
    assert.equal(await page.locator("#threads button", { hasText: "Mathematics" }).locator(".badge").count(), 0);
    await rowcast.sql("delete from chat.messages where content like 'Row %'");
    await said(page, /^Row \d+$/).first().waitFor({ state: "detached" });
    await page.close();
  });

  test("when the bridge dies the page says so, comes back, and shows what it missed once", async () => {
    const page = await visit(ada);
    await choose(page, "Mathematics");
    await rowcast.say(thread.id, grace.user_id, "Before the crash");
    await said(page, "Before the crash").waitFor();
    await rowcast.kill();
    await page.locator("#status[data-status=offline]").waitFor();
    assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
    await shoot(page, "offline");
    await page.setViewportSize(PHONE);
    await shoot(page, "offline-phone");
    await page.setViewportSize(DESKTOP);
    await rowcast.say(thread.id, grace.user_id, "During the crash");
    await rowcast.start();
    await page.locator("#status[data-status=online]").waitFor();
    await said(page, "During the crash").waitFor();
    await rowcast.say(thread.id, grace.user_id, "After the crash");
    await said(page, "After the crash").waitFor();
    for (const content of ["Before", "During", "After"]) assert.equal(await said(page, `${content} the crash`).count(), 1);
    await page.close();
  });

  test("it is laid out for light and dark, desktop and phone", async () => {
    for (const colorScheme of ["light", "dark"]) {
      for (const [name, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
        const page = await visit(null, { colorScheme, viewport });
        await shoot(page, `sign-in-${name}-${colorScheme}`);
        await signIn(page, ada);
        await page.locator("#threads button").first().waitFor();
        await shoot(page, `threads-${name}-${colorScheme}`);
        await choose(page, "Mathematics");
        await shoot(page, `thread-${name}-${colorScheme}`);
        await page.getByText("Try it from SQL").click();
        await shoot(page, `hint-${name}-${colorScheme}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${name} scrolls sideways by ${wide} px`);
        await page.close();
      }
    }
  });

  test("it works by keyboard alone, and signing out leads back", async () => {
    const page = await visit(null);
    await page.getByRole("button", { name: grace.name }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#status[data-status=online]").waitFor();
    await page.getByRole("button", { name: /Mathematics/ }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#content:focus").waitFor();
    await page.keyboard.type("By keyboard");
    await page.keyboard.press("Enter");
    await said(page, "By keyboard").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: ada.name }).waitFor();
    await page.close();
  });

  test("a token can be pasted, and a revoked one ends the session with a reason", async () => {
    const page = await visit(null);
    await page.getByText("Use a token").click();
    await page.getByLabel("Token", { exact: true }).fill("nonsense");
    await page.locator("#token-form button").click();
    await page.locator("#sign-in-error").filter({ hasText: /\w/ }).waitFor();
    await page.close();
    const other = await visit(linus);
    await rowcast.sql("update chat.users set active = false where uuid = $1", linus.user_id);
    await other.locator("#sign-in-error").filter({ hasText: /\w/ }).waitFor();
    await other.close();
  });

  test("nothing was complained about in the console", () => assert.deepEqual(complaints, []));

  async function visit(user, options = {}) {
    const page = await browser.newPage({ viewport: DESKTOP, ...options });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // A browser reports by itself each connection that could not be made and each refused request: those are wanted here.
      const expected = /WebSocket connection|ERR_CONNECTION|status of 40[13]/.test(message.text());
      if (["error", "warning"].includes(message.type()) && !expected) complaints.push(message.text());
    });
    await page.goto(`${rowcast.http}/demo`);
    await page.locator("#people button").first().waitFor();
    if (user) await signIn(page, user);
    return page;
  }

  async function signIn(page, user) {
    await page.getByRole("button", { name: user.name }).click();
    await page.locator("#status[data-status=online]").waitFor();
  }

  async function choose(page, name) {
    await page.locator("#threads button", { hasText: name }).click();
    await page.locator("#thread-name", { hasText: name }).waitFor();
    await page.locator("#messages li.message").first().waitFor();
  }

  const said = (page, text) => page.locator("#messages .content", { hasText: text });

  const shoot = (page, name) => page.screenshot({ path: `${SHOTS}${name}.png`, animations: "disabled" });
});
