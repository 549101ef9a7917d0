// The demo page as its tests see it: a running bridge, a browser, people who visit, and what the page complained about.

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { Rowcast } from "./rowcast.js";

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 780 };
const SHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** A browser reports by itself each connection that could not be made and each refused request. */
const NETWORK = /WebSocket connection|net::ERR_|status of (40[13]|5\d\d)/;

export class Demo {
  /** What pages said in the console, and errors that nobody caught. */
  complaints = [];

  static async start() {
    const demo = new Demo();
    demo.rowcast = await Rowcast.start();
    Object.assign(demo, await demo.rowcast.users());
    await mkdir(SHOTS, { recursive: true });
    demo.browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
    return demo;
  }

  async stop() {
    await this.browser?.close();
    await this.rowcast?.stop();
  }

  /** A page of a browser of its own; `user` signs in. `faults`: the network is about to fail, which the browser reports. */
  async visit(user, { path = "/demo/", faults = false, prepare = async () => {}, ...options } = {}) {
    const page = await this.browser.newPage({ viewport: DESKTOP, ...options });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type()) || (faults && NETWORK.test(message.text()))) return;
      this.complaints.push(message.text());
    });
    await prepare(page);
    await page.goto(this.rowcast.http + path);
    if (user) await this.signIn(page, user);
    return page;
  }

  async signIn(page, user) {
    await page.getByRole("button", { name: user.name }).click();
    await status(page, "online").waitFor();
  }

  /** The direct thread of two people. */
  async direct(one, other) {
    const sql = "select t.uuid from chat.threads t where t.id = chat.direct_thread(chat.user($1), chat.user($2))";
    const [{ uuid }] = await this.rowcast.sql(sql, one.user_id, other.user_id);
    return uuid;
  }

  /** Marks all as read by everybody, so that a test begins with no badge. */
  async readAll() {
    await this.rowcast.sql("update chat.members m set last_read_seq = t.last_seq, last_delivered_seq = t.last_seq from chat.threads t where t.id = m.thread_id");
  }
}

export const status = (page, state) => page.locator(`.status[data-status="${state}"]`);
export const row = (page, name) => page.locator(".threads button", { hasText: name });
export const said = (page, text) => page.locator(".messages .content", { hasText: text });
/** The tick of one's own message with this text. */
export const tick = (page, text, state) => page.locator(".message.mine", { hasText: text }).locator(`.ticks[data-tick="${state}"]`);
export const field = (page) => page.getByLabel("Message", { exact: true });

/** Opens a chat, and waits for what was said in it. */
export async function choose(page, name) {
  await row(page, name).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  await page.locator(".messages .message").first().waitFor();
}

export async function write(page, text) {
  await field(page).fill(text);
  await field(page).press("Enter");
}

export const shoot = (page, name) => page.screenshot({ path: `${SHOTS}${name}.png`, animations: "disabled" });

/** How many pixels the page is wider than its window. */
export const tooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
