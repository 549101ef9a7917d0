// The admin console in a real browser: two people chat and are seen, changes pass, a table is watched, failures come with
// remedies, the inspector withholds what row security hides; nothing is complained about, axe finds nothing.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createClient } from "@supabase/supabase-js";
import { chromium } from "playwright-core";
import WebSocket from "ws";

import { History, quantile } from "../../src/app/web/admin/history.js";
import { Inbox, Rowcast } from "./rowcast.js";

const SHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));
const CHARTS = fileURLToPath(new URL("../../scripts/charts.mjs", import.meta.url));
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESKTOP = { width: 1360, height: 900 };
const PHONE = { width: 390, height: 800 };
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const VIEWS = ["overview", "sessions", "topics", "tables", "changes", "health", "inspector"];

const NOTES = `
  create table public.notes (id int primary key, owner text not null, body text);
  alter table public.notes enable row level security;
  create policy own on public.notes for select to authenticated using (owner = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
  grant usage on schema public to authenticated;
  grant select on public.notes to authenticated;
  create table public.tasks (id int primary key, title text);`;

test("the charting library in the binary is the package's, with its licence", () => {
  execFileSync(process.execPath, [CHARTS, "check"], { stdio: ["ignore", "ignore", "inherit"] });
});

test("a quantile is where a ruler would put it in what has grown", () => {
  const before = [[0.001, 10], [0.01, 10], [null, 10]];
  const now = [[0.001, 10], [0.01, 110], [null, 110]];
  assert.equal(quantile(now, before, 0.5).toFixed(6), "0.005500");
  assert.equal(quantile(now, now, 0.5), null, "nothing grew");
  assert.equal(quantile([], [], 0.5), null);
  assert.equal(quantile([[0.001, 0], [null, 5]], [], 0.99), 0.001, "beyond the last bound it is at least that");
});

test("the ten minutes begin anew when the bridge did", () => {
  const point = (at, uptime) => ({ at, uptime_seconds: uptime, connections: { native: 1 }, deliveries: { native: at / 1000 }, latency: {}, changes: 0 });
  const history = new History();
  for (let second = 0; second < 700; second += 1) history.add(point(second * 1000, second));
  assert.equal(history.points.length, 600);
  assert.equal(history.rate((one) => one.deliveries.native), 1);
  history.add(point(700_000, 0));
  assert.deepEqual([history.points.length, history.rate((one) => one.deliveries.native)], [1, 0]);
});

describe("the admin console", { timeout: 240_000 }, () => {
  let rowcast, browser, ada, grace, thread, sockets;
  const complaints = [];
  const strangers = new Set();

  before(async () => {
    rowcast = await Rowcast.start("--admin-write");
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
    await rowcast.sql(NOTES);
    sockets = await Promise.all([ada, grace].map(connect));
    await mkdir(SHOTS, { recursive: true });
    browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
  });

  after(async () => {
    for (const { socket } of sockets ?? []) socket.close();
    await browser?.close();
    await rowcast?.stop();
  });

  test("the printed link opens it, and the token leaves the address", async () => {
    const page = await visit();
    await page.locator("#status[data-state=good]", { hasText: "Delivering" }).waitFor();
    assert.equal(new URL(page.url()).hash, "#/overview");
    assert.ok(!(await page.content()).includes(tokenOf(rowcast.console)), "nor is it in the page");
    await page.reload();
    await page.locator("#status[data-state=good]").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").fill("not the token");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByRole("alert").filter({ hasText: "not the console's token" }).waitFor();
    await page.getByLabel("Admin token").fill(tokenOf(rowcast.console));
    await page.keyboard.press("Enter");
    await page.locator("#verdict[data-state=good]", { hasText: "All is well" }).waitFor();
    await page.close();
  });

  test("it is seen at a glance that two people are connected and get what is written", async () => {
    const page = await visit();
    await page.locator(".vital", { hasText: "Connections" }).locator(".vital-value", { hasText: /^2$/ }).waitFor();
    await rowcast.say(thread.id, grace.user_id, "For the charts");
    await sockets[0].inbox.find((frame) => frame.data?.content === "For the charts");
    const row = page.locator("#dialects tbody tr", { hasText: "native" });
    await row.locator("td[data-name=p99]", { hasText: /\d (ms|µs|s)$/ }).waitFor();
    assert.equal(await row.locator("td[data-name=Open]").textContent(), "2");
    await page.locator("figure", { hasText: "Commit to socket" }).locator(".legend strong", { hasText: /\d (ms|µs|s)/ }).first().waitFor();
    assert.equal(await page.locator(".canvas canvas").count(), 6);
    // The same figures as a table, for who cannot see a chart.
    const connections = page.locator("figure").first();
    await connections.getByText("As a table").click();
    await connections.getByRole("cell", { name: "2", exact: true }).first().waitFor();
    assert.match(await connections.getByRole("img").getAttribute("aria-label"), /Connections, now: .*native 2/);
    await page.close();
  });

  test("sessions and topics are listed and searched, a session is ended", async () => {
    const page = await visit("sessions");
    const rows = page.locator("#sessions-list tbody tr");
    await rows.filter({ hasText: "ada" }).waitFor();
    await rows.filter({ hasText: "grace" }).waitFor();
    await page.getByLabel("Search sessions").fill("grace");
    await rows.filter({ hasText: "ada" }).waitFor({ state: "detached" });
    assert.equal(await rows.count(), 1);
    // From where they come is shown, and found.
    await rows.filter({ hasText: "127.0.0.1" }).waitFor();
    await page.getByLabel("Search sessions").fill("127.0.0.1");
    await rows.filter({ hasText: "ada" }).waitFor();

    const supabase = createClient(rowcast.http, ada.token, { realtime: { transport: WebSocket, params: { apikey: ada.token } } });
    await new Promise((resolve) => supabase.channel("lobby").subscribe((status) => status === "SUBSCRIBED" && resolve()));
    await page.getByLabel("Search sessions").fill("channel:public:lobby");
    await rows.filter({ hasText: "supabase" }).waitFor();
    await supabase.removeAllChannels();
    await supabase.realtime.disconnect();
    await page.getByText("No session fits.").waitFor();

    const other = await connect(grace);
    await page.getByLabel("Search sessions").fill("grace");
    await page.getByRole("button", { name: /^End session/ }).first().click();
    assert.equal(await other.closed, 4410);

    await go(page, "Topics");
    await page.locator("#topics-list tr", { hasText: /^thread:\d+2 mailboxes/ }).first().waitFor();
    await page.getByLabel("Search topics").fill("user:");
    await page.locator("#topics-list tr", { hasText: "thread:" }).first().waitFor({ state: "detached" });
    await page.close();
  });

  test("a table is watched by its button, and its changes pass in the tail", async () => {
    const page = await visit("tables");
    await page.getByRole("button", { name: "Watch public.tasks" }).click();
    await page.getByText("public.tasks is watched; its changes go to table:public.tasks.").waitFor();
    await page.locator("#tables-watched tr", { hasText: "public.tasks" }).getByText("captured").waitFor();
    await go(page, "Changes");
    await page.getByText("Live; 0 so far.").waitFor();
    await rowcast.sql("insert into public.tasks values (1, 'Buy <b>milk</b>')");
    const change = page.locator(".event", { hasText: "public.tasks" });
    await change.locator("summary").click();
    await change.locator("pre", { hasText: '"title": "Buy <b>milk</b>"' }).waitFor();
    assert.equal(await page.locator("#changes-list b").count(), 0, "text is text");
    await page.getByLabel("Search in topics and tables").fill("chat.");
    await page.getByText("Live;").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await rowcast.say(thread.id, grace.user_id, "While it pauses");
    await page.getByText("Paused; 1 wait.").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator(".event", { hasText: "While it pauses" }).waitFor();
    await go(page, "Tables");
    await page.getByRole("button", { name: "Unwatch public.tasks" }).click();
    await page.getByText("public.tasks is no longer watched.").waitFor();
    await page.close();
  });

  test("failures are shown with what to do", async () => {
    await rowcast.sql("insert into rowcast.failures (relation, op, sqlstate, message) values ('public.tasks', 'INSERT', '42703', 'column \"x\" does not exist')");
    const page = await visit("health");
    const failure = page.locator("#failures li", { hasText: "INSERT of public.tasks" });
    await failure.getByText("select rowcast.watch('public.tasks')").waitFor();
    await page.locator("#doctor-failed li", { hasText: "capture failures" }).locator(".remedy").waitFor();
    await go(page, "Overview");
    await page.locator("#verdict[data-state=bad]", { hasText: "Capture failures" }).waitFor();
    await shoot(page, "trouble");
    await rowcast.sql("truncate rowcast.failures");
    await page.close();
  });

  test("the inspector shows what row security lets through, and that the rest is withheld", async () => {
    await rowcast.sql("select rowcast.watch('public.notes')");
    const page = await visit("inspector");
    await page.getByLabel("Topic", { exact: true }).fill("table:public.notes");
    await page.getByLabel("Claims").fill('{"sub": "ada"}');
    await page.getByRole("button", { name: "Join" }).click();
    await page.locator("#inspect-joined", { hasText: "decides for each row" }).waitFor();
    await rowcast.sql("insert into public.notes values (1, 'ada', 'A note of mine'), (2, 'eve', 'A note of hers')");
    await page.locator("#inspect-list .event", { hasText: "A note of mine" }).filter({ hasText: "Gets" }).waitFor();
    await page.locator("#inspect-list .event", { hasText: "row security hides it" }).filter({ hasText: "Withheld" }).waitFor();
    await page.getByText("1 got, 1 withheld").waitFor();
    assert.ok(!(await page.content()).includes("A note of hers"));
    await page.getByLabel("Topic", { exact: true }).fill(`user:${(await rowcast.sql("select chat.user($1) as id", grace.user_id))[0].id}`);
    await page.getByLabel("Claims").fill(JSON.stringify({ sub: ada.user_id }));
    await page.getByRole("button", { name: "Join" }).click();
    await page.locator("#inspect-joined[data-state=bad]", { hasText: "another user" }).waitFor();
    await page.getByLabel("Claims").fill("not JSON");
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByRole("alert").filter({ hasText: "not a JSON object" }).waitFor();
    await page.close();
  });

  test("every view is laid out for light and dark, desktop and phone, and axe finds no violation", async () => {
    await rowcast.sql("insert into rowcast.failures (relation, op, sqlstate, message) values ('public.notes', 'UPDATE', '53100', 'could not extend file: No space left on device')");
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
        const page = await visit("overview", { colorScheme, viewport });
        for (const view of VIEWS) {
          await page.goto(`${rowcast.admin}/admin/#/${view}`);
          await filled(page, view);
          const name = `console-${view}-${size}-${colorScheme}`;
          await shoot(page, name);
          await sound(page, name);
        }
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.getByLabel("Admin token").waitFor();
        await shoot(page, `console-sign-in-${size}-${colorScheme}`);
        await sound(page, `sign-in-${size}-${colorScheme}`);
        await page.close();
      }
    }
    await rowcast.sql("truncate rowcast.failures");
  });

  test("it works by keyboard alone", async () => {
    const page = await visit();
    await page.getByRole("link", { name: "Sessions", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#view:focus").waitFor();
    await page.keyboard.press("Tab");
    await page.locator("#sessions-search:focus").waitFor();
    await page.keyboard.type("ada");
    await page.locator("#sessions-list tr", { hasText: "grace" }).waitFor({ state: "detached" });
    await page.close();
  });

  test("when the bridge dies the page says so, and goes on when it is back, its tail too", async () => {
    const page = await visit("changes");
    await page.getByText("Live;").waitFor();
    await rowcast.kill();
    await page.locator("#status[data-state=bad]", { hasText: "Offline" }).waitFor();
    await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    await page.getByText("Interrupted;").waitFor();
    await rowcast.start();
    await page.locator("#status[data-state=good]").waitFor();
    await page.locator("#trouble").waitFor({ state: "hidden" });
    await page.getByText("Live;").waitFor();
    await rowcast.say(thread.id, grace.user_id, "After the crash");
    await page.locator(".event", { hasText: "After the crash" }).waitFor();
    await go(page, "Overview");
    await page.locator(".vital", { hasText: "Connections" }).locator(".vital-value", { hasText: /^0$/ }).waitFor();
    await page.close();
  });

  test("nothing was complained about, and nothing was asked of another machine", () => {
    assert.deepEqual(complaints, []);
    assert.deepEqual([...strangers], []);
  });

  /** A chat client on a real socket. */
  async function connect(user) {
    const inbox = new Inbox();
    const socket = new WebSocket(`${rowcast.http.replace("http", "ws")}/ws?token=${user.token}`);
    socket.on("message", (data) => inbox.put(JSON.parse(data)));
    // One whose bridge is killed says so by itself.
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", resolve));
    await inbox.find((frame) => frame.type === "connection_established");
    return { socket, inbox, closed };
  }

  async function visit(view, options = {}) {
    const page = await browser.newPage({ viewport: DESKTOP, ...options });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // A browser reports by itself each refused request and each connection that could not be made: those are wanted here.
      const expected = /net::ERR_|status of 40[01]/.test(message.text());
      if (["error", "warning"].includes(message.type()) && !expected) complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${rowcast.admin}/`)) strangers.add(request.url());
    });
    await page.goto(rowcast.console);
    await page.locator("#status[data-state=good]").waitFor();
    if (view) await page.goto(`${rowcast.admin}/admin/#/${view}`);
    return page;
  }

  /** Waits until a view shows what it has. */
  async function filled(page, view) {
    if (view === "overview") {
      await page.locator("#log dt").first().waitFor();
      await rowcast.say(thread.id, grace.user_id, "A message for the picture");
      await page.locator("#dialects td[data-name=p99]", { hasText: /\d/ }).first().waitFor();
    }
    if (view === "sessions" || view === "topics") await page.locator(`#${view}-list tbody tr`).first().waitFor();
    if (view === "tables") await page.locator("#tables-others tbody tr").first().waitFor();
    if (view === "health") await page.locator("#failures li").first().waitFor();
    if (view === "changes") {
      await page.getByText("Live;").waitFor();
      await rowcast.say(thread.id, grace.user_id, "A message for the picture");
      await page.locator("#changes-list .event").first().waitFor();
      await page.locator("#changes-list summary").first().click();
    }
    if (view === "inspector") {
      await page.getByLabel("Topic", { exact: true }).fill("table:public.notes");
      await page.getByLabel("Claims").fill('{"sub": "ada"}');
      await page.getByRole("button", { name: "Join" }).click();
      await page.locator("#inspect-joined dt").first().waitFor();
      await rowcast.sql("update public.notes set body = body");
      await page.locator("#inspect-list .event").nth(1).waitFor();
    }
  }

  /** No sideways scrolling, and nothing that axe finds wrong. */
  async function sound(page, name) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} scrolls sideways by ${wide} px`);
    // The page's own policy forbids foreign scripts: this one comes past it, as a tool of the browser.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
    assert.deepEqual(found, [], name);
  }

  async function go(page, name) {
    await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  }

  const tokenOf = (link) => new URL(link).hash.slice("#token=".length);
  const shoot = (page, name) => page.screenshot({ path: `${SHOTS}${name}.png`, animations: "disabled", fullPage: true });
});
