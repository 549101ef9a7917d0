// Both clients in a real browser: what a page shows, a tab that sleeps, cookies, and the React hooks.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { committed, startBridge } from "./world.js";

const SERVED = new URL("../../src/app/web/client/", import.meta.url);
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const EVIL = `<img src=x onerror="window.hacked = true"><b id="bold">bold</b>`;

describe("in a browser", { timeout: 240_000 }, () => {
  let rowcast, browser, ada, grace, thread;
  const complaints = [];

  before(async () => {
    rowcast = await startBridge();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
    browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
  });

  after(async () => {
    await browser?.close();
    await rowcast?.stop();
  });

  /** An empty page of the bridge's origin, with the modules as they are built now. */
  async function visit(body = "") {
    const page = await browser.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.route(`${rowcast.http}/page`, (route) => route.fulfill({ contentType: "text/html", body: `<!doctype html><title>-</title><div id="message-container"></div>${body}` }));
    await page.route(`${rowcast.http}/client/**`, async (route) => {
      const name = new URL(route.request().url()).pathname.slice("/client/".length);
      await route.fulfill({ contentType: "text/javascript", body: await readFile(new URL(name, SERVED), "utf8") });
    });
    await page.goto(`${rowcast.http}/page`);
    return page;
  }

  const say = (content, sender = grace) => rowcast.say(thread.id, sender.user_id, content);

  test("the guide's sample: default and named exports, typing indicator, connection indicator and toasts, text as text", async () => {
    const page = await visit();
    await page.evaluate(
      async ({ token, thread }) => {
        const { default: messagingSystem, messagingManager, MessagingManager } = await import("/client/messaging.js");
        Object.assign(window, { messagingSystem, messagingManager, told: [], lists: [] });
        for (const name of ["messaging:connection", "messaging:typing", "messaging:read", "messagingManager:typingUpdate", "messagingManager:readReceipt"]) {
          addEventListener(name, (event) => window.told.push({ name, ...event.detail }));
        }
        if (new MessagingManager() !== messagingManager) throw new Error("two managers");
        messagingSystem.configure({ token, pollInterval: 200 });
        window.unsubscribe = messagingSystem.listenToUserConversations("me", "teacher", (list) => window.lists.push(list));
        messagingSystem.listenToMessages(thread, (messages) => (window.messages = messages));
        window.indicator = messagingManager.createTypingIndicator("#message-container");
        addEventListener("messaging:typing", ({ detail }) => {
          if (detail.isTyping) messagingManager.showTypingIndicator(window.indicator, detail.userId + window.evil);
          else messagingManager.hideTypingIndicator(window.indicator);
        });
      },
      { token: ada.token, thread: thread.id },
    );
    await page.waitForFunction(() => window.messagingSystem.isConnected && window.lists.length > 0 && window.messages);
    const [online] = await page.evaluate(() => window.told);
    assert.equal(online.name, "messaging:connection");
    assert.equal(online.status, "online");
    assert.ok(online.timestamp instanceof Date);
    assert.equal(await page.locator("#messaging-connection-status, .messaging-toast").count(), 0, "the first good news is none");

    await page.evaluate((evil) => (window.evil = evil), EVIL);
    const other = await visit();
    await other.evaluate(
      async ({ token, thread }) => {
        const { default: system } = await import("/client/messaging.js");
        system.configure({ token }).joinConversation(thread);
        window.system = system;
      },
      { token: grace.token, thread: thread.id },
    );
    await other.waitForFunction(() => window.system.isConnected);
    await other.evaluate((thread) => window.system.sendTypingStatus(thread, true), thread.id);
    const indicator = page.locator(".typing-indicator");
    await indicator.filter({ hasText: "is typing" }).waitFor();
    assert.ok((await indicator.textContent()).includes(EVIL), "text is text");
    await indicator.waitFor({ state: "hidden" });

    const id = await say(EVIL);
    await page.waitForFunction((id) => window.messages.some((one) => one.id === id), id);
    await page.evaluate((thread) => window.messagingSystem.markAsRead(thread), thread.id);
    await other.close();

    await rowcast.kill();
    const status = page.locator("#messaging-connection-status[data-status=offline]");
    await status.waitFor();
    assert.equal(await status.evaluate((element) => getComputedStyle(element).position), "fixed");
    await page.locator(".messaging-toast", { hasText: "Using fallback polling mode" }).waitFor();
    const missed = await say("while it was down");
    await rowcast.start();
    await page.waitForFunction((id) => window.messages.some((one) => one.id === id), missed);
    await page.locator(".messaging-toast", { hasText: "Connection restored" }).waitFor({ timeout: 60_000 });
    await page.evaluate((evil) => window.messagingSystem.sendMessage("999999", evil).catch(() => {}), EVIL);
    await page.locator(".messaging-toast-error").first().waitFor();
    await page.evaluate(() => {
      window.messagingManager.destroy();
      window.messagingSystem.destroy();
    });
    assert.equal(await page.locator("#messaging-connection-status, .messaging-toast").count(), 0);
    assert.equal(await page.evaluate(() => window.hacked === true || document.querySelector("#bold") !== null), false);
    await page.close();
  });

  test("by cookie it needs no token, and its writes repeat the CSRF token", async () => {
    await rowcast.sql("insert into chat.login_sessions values ('opaque', chat.user($1), now() + interval '1 hour') on conflict do nothing", ada.user_id);
    const page = await visit();
    await page.context().addCookies([{ name: "session_id", value: "opaque", url: rowcast.http }]);
    await page.evaluate(async (thread) => {
      const { MessagingSystem } = await import("/client/messaging.js");
      window.system = new MessagingSystem();
      window.system.listenToMessages(thread, (messages) => (window.messages = messages));
    }, thread.id);
    await page.waitForFunction(() => window.system.isConnected && window.messages);
    assert.equal(await page.evaluate(() => window.system.userId), ada.user_id);
    const id = await say("to the cookie");
    await page.waitForFunction((id) => window.messages.some((one) => one.id === id), id);
    const sent = await page.evaluate(async (thread) => {
      window.system.isConnected = false;
      return (await window.system.sendMessage(thread, "by REST and cookie")).senderId;
    }, thread.id);
    assert.equal(sent, ada.user_id);
    await page.close();
  });

  test("a tab that slept while the bridge was restarted wakes up to what it missed, once and in order", async () => {
    const page = await visit();
    await page.evaluate(async (token) => {
      const { RowcastClient } = await import("/client/rowcast.js");
      Object.assign(window, { had: [], slept: 0 });
      let at = performance.now();
      setInterval(() => ([window.slept, at] = [Math.max(window.slept, performance.now() - at), performance.now()]), 20);
      window.client = new RowcastClient({ token, timing: { backoff: 100, longestBackoff: 1_000 } });
      window.client.on("new_message", ({ data }) => window.had.push(data.id));
      window.client.connect();
      await window.client.ready();
    }, ada.token);
    const first = await say("awake");
    await page.waitForFunction((id) => window.had.includes(id), first);
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const tabs = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
    for (const id of tabs) process.kill(id, "SIGSTOP");
    const began = Date.now();
    try {
      await say("asleep");
      await rowcast.kill();
      await say("asleep and down");
      await rowcast.start();
    } finally {
      for (const id of tabs) process.kill(id, "SIGCONT");
    }
    const asleep = Date.now() - began;
    const last = await say("awake again");
    await page.waitForFunction((id) => window.had.includes(id), last);
    assert.ok((await page.evaluate(() => window.slept)) >= asleep * 0.9, "its timers stood still");
    const all = await committed(rowcast, thread.id, first);
    assert.deepEqual(await page.evaluate(() => window.had), all);

    // Waiting for a minute, it comes back at once when the network is said to be there.
    await page.evaluate(async (token) => {
      window.client.close();
      const { RowcastClient } = await import("/client/rowcast.js");
      window.patient = new RowcastClient({ token, store: null, timing: { backoff: 3_600_000, longestBackoff: 3_600_000 } });
      await window.patient.connect().ready();
    }, ada.token);
    await rowcast.kill();
    await page.waitForFunction(() => window.patient.status.status === "offline");
    await rowcast.start();
    await page.evaluate(async () => {
      dispatchEvent(new Event("online"));
      await window.patient.ready();
      window.patient.close();
    });

    // The place is in localStorage: the page that is loaded again goes on from there.
    const missed = await say("while the page was away");
    await page.reload();
    await page.evaluate(async (token) => {
      const { RowcastClient } = await import("/client/rowcast.js");
      window.had = [];
      window.client = new RowcastClient({ token });
      window.client.on("new_message", ({ data }) => window.had.push(data.id));
      await window.client.connect().ready();
    }, ada.token);
    await page.waitForFunction((id) => window.had.includes(id), missed);
    assert.deepEqual(await page.evaluate(() => window.had), [missed]);
    await page.close();
  });

  test("the React hooks show a thread, who types there, and leave nothing when they go", async () => {
    const contents = `
      import { StrictMode, createElement as e } from "react";
      import { createRoot } from "react-dom/client";
      import { useRowcast, useThread } from "../dist/react.js";
      function Thread({ client, id }) {
        const { messages, typing, send, loadOlder, hasOlder } = useThread(client, id);
        return e("div", null,
          e("ol", null, messages.map((one) => e("li", { key: one.id, id: "m" + one.id }, one.content))),
          e("p", { id: "typing" }, typing.join()),
          e("button", { id: "send", onClick: () => send("By React") }, "Send"),
          hasOlder && e("button", { id: "older", onClick: () => loadOlder() }, "Older"));
      }
      function App({ token, id }) {
        const { client, status } = useRowcast({ token, store: null });
        window.client = client ?? window.client;
        return e("main", null, e("p", { id: "status" }, status.status), e(Thread, { client, id }));
      }
      window.show = (token, id) => {
        const root = createRoot(document.querySelector("#message-container"));
        root.render(e(StrictMode, null, e(App, { token, id })));
        window.hide = () => root.unmount();
      };`;
    const resolveDir = fileURLToPath(new URL("./", import.meta.url));
    const bundle = await build({ stdin: { contents, resolveDir }, bundle: true, write: false, format: "iife", define: { "process.env.NODE_ENV": '"development"' } });
    const page = await visit();
    await page.addScriptTag({ content: bundle.outputFiles[0].text });
    await page.evaluate(([token, id]) => window.show(token, id), [ada.token, thread.id]);
    await page.locator("#status", { hasText: "online" }).waitFor();
    await page.locator("li").first().waitFor();
    const id = await say(EVIL);
    const item = page.locator(`#m${id}`);
    await item.waitFor();
    assert.equal(await item.textContent(), EVIL);
    await rowcast.sql("update chat.messages set content = 'mended', edited_at = now() where uuid = $1", id);
    await item.filter({ hasText: "mended" }).waitFor();
    await rowcast.sql("update chat.messages set deleted_at = now() where uuid = $1", id);
    await item.waitFor({ state: "detached" });
    await page.locator("#send").click();
    await page.locator("li", { hasText: "By React" }).waitFor();
    assert.equal(await page.locator("li", { hasText: "By React" }).count(), 1);
    await page.evaluate(() => window.hide());
    assert.equal(await page.evaluate(() => window.client.status.status), "closed");
    await page.close();
  });

  test("no page complained", () => assert.deepEqual(complaints, []));
});
