// supabase-js in a real browser: a page with two clients, changes of a table, broadcast and presence, and a quiet console.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { SECRET, token, userToken } from "./history/world.js";
import { Rowcast } from "./rowcast.js";

const LIBRARY = fileURLToPath(new URL("node_modules/@supabase/supabase-js/dist/umd/supabase.js", import.meta.url));
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const ADA = "00000000-0000-4000-8000-00000000ada0";
const PAGE = `<!doctype html><title>two clients</title><link rel="icon" href="data:,"><script src="/library.js"></script>`;
const TABLES = `
  create table public.jobs (id bigint generated always as identity primary key, owner uuid, title text);
  alter table public.jobs enable row level security;
  create policy own on public.jobs for select to authenticated using (owner = auth.uid());
  grant usage on schema public to anon, authenticated;
  grant select on public.jobs to anon, authenticated;
  select rowcast.watch('public.jobs', identity => 'full');`;

describe("supabase-js in a browser", { timeout: 180_000 }, () => {
  let rowcast, browser, page, site;
  const complaints = [];

  before(async () => {
    // An application's own site: another origin than the bridge's.
    const library = await readFile(LIBRARY);
    site = createServer(({ url }, response) => {
      response.setHeader("content-type", url === "/library.js" ? "text/javascript" : "text/html");
      response.end(url === "/library.js" ? library : PAGE);
    }).listen(0, "127.0.0.1");
    await once(site, "listening");
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
    await rowcast.sql(TABLES);
    browser = await chromium.launch({ executablePath: process.env.ROWCAST_BROWSER ?? "/usr/bin/chromium", args: QUIET });
    page = await browser.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    await page.goto(`http://127.0.0.1:${site.address().port}`);
    await page.evaluate(connect, { url: rowcast.http, anon: token({ role: "anon" }), ada: userToken(ADA) });
  });

  after(async () => {
    await browser?.close();
    site?.close();
    await rowcast?.stop();
  });

  /** Makes the page's two clients, ada and nobody; what they get is in `got`. Runs in the page. */
  async function connect({ url, anon, ada }) {
    globalThis.got = { ada: [], nobody: [] };
    globalThis.rooms = {};
    const join = async (name, bearer) => {
      const auth = { storageKey: name };
      const client = globalThis.supabase.createClient(url, anon, bearer ? { accessToken: async () => bearer } : { auth });
      // Without this the first join may go out before the token is known.
      await client.realtime.setAuth();
      const put = (what) => globalThis.got[name].push(what);
      const config = { broadcast: { ack: true }, presence: { key: name }, postgres_changes_options: { wait: true } };
      const room = client.channel("room", { config });
      globalThis.rooms[name] = room;
      room.on("postgres_changes", { event: "*", schema: "public", table: "jobs" }, ({ eventType, new: row, old }) => put({ eventType, row, old }));
      room.on("broadcast", { event: "*" }, ({ event, payload }) => put({ event, payload: payload instanceof ArrayBuffer ? [...new Uint8Array(payload)] : payload }));
      room.on("presence", { event: "sync" }, () => put({ present: Object.keys(room.presenceState()).sort() }));
      await new Promise((resolve, reject) =>
        room.subscribe((status, error) => (status === "SUBSCRIBED" ? resolve() : reject(error ?? new Error(status)))));
    };
    await Promise.all([join("ada", ada), join("nobody")]);
  }

  /** Waits until a client of the page has got something with these fields. */
  const got = (name, wanted) =>
    page.waitForFunction(
      ([name, wanted]) => globalThis.got[name].some((one) => Object.entries(wanted).every(([key, value]) => JSON.stringify(one[key]) === JSON.stringify(value))),
      [name, wanted], { timeout: 30_000 });

  test("changes come to whom they are for", async () => {
    await rowcast.sql("insert into public.jobs (owner, title) values ($1, 'wind the engine')", ADA);
    await rowcast.sql("update public.jobs set title = 'oil the engine'");
    await rowcast.sql("delete from public.jobs");
    const [first, second] = ["wind the engine", "oil the engine"].map((title) => ({ id: 1, owner: ADA, title }));
    await got("ada", { eventType: "INSERT", row: first });
    await got("ada", { eventType: "UPDATE", row: second, old: first });
    await got("ada", { eventType: "DELETE", old: second });
    assert.deepEqual(await page.evaluate(() => globalThis.got.nobody.filter(({ eventType }) => eventType)), []);
  });

  test("each hears what the other says, in JSON and in bytes", async () => {
    const send = (name, event, payload) =>
      page.evaluate(([name, event, payload]) => {
        const bytes = Array.isArray(payload) ? new Uint8Array(payload).buffer : payload;
        return globalThis.rooms[name].send({ type: "broadcast", event, payload: bytes });
      }, [name, event, payload]);
    assert.equal(await send("ada", "hello", { text: "héllo 💥" }), "ok");
    assert.equal(await send("nobody", "bytes", [0, 128, 255]), "ok");
    await got("nobody", { event: "hello", payload: { text: "héllo 💥" } });
    await got("ada", { event: "bytes", payload: [0, 128, 255] });
  });

  test("each sees who is there, and who left", async () => {
    assert.equal(await page.evaluate(() => globalThis.rooms.ada.track({ mood: "calm" })), "ok");
    assert.equal(await page.evaluate(() => globalThis.rooms.nobody.track({ mood: "glad" })), "ok");
    await got("ada", { present: ["ada", "nobody"] });
    await got("nobody", { present: ["ada", "nobody"] });
    assert.equal(await page.evaluate(() => globalThis.rooms.nobody.untrack()), "ok");
    await page.waitForFunction(() => globalThis.got.ada.at(-1).present?.join() === "ada", null, { timeout: 30_000 });
  });

  test("nothing was complained about in the console", () => assert.deepEqual(complaints, []));
});
