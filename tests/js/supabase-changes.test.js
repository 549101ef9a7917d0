// postgres_changes through the newest, unmodified @supabase/supabase-js.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

import { Inbox, Rowcast } from "./rowcast.js";

const SECRET = "a secret of tests, 32 characters or more";

/** A token of a role, good for an hour. */
function token(role, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ role, exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

describe("supabase-js and changes of tables", { timeout: 180_000 }, () => {
  const clients = [];
  let rowcast;

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
    await rowcast.sql(`
      create table public.errands (id int primary key, room int, title varchar(40), owner text);
      create table public.diaries (id int primary key, owner text);
      grant usage on schema public to authenticated, anon;
      grant select on public.errands, public.diaries to authenticated;
      alter table public.diaries enable row level security;
      create policy own on public.diaries for select to authenticated
        using (owner = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
      select rowcast.watch('public.errands'), rowcast.watch('public.diaries')`);
  });

  after(async () => {
    await Promise.all(clients.map((client) => client.removeAllChannels()));
    await rowcast?.stop();
  });

  function connect(sub) {
    const auth = { persistSession: false, autoRefreshToken: false };
    const key = token("authenticated", { sub });
    const client = createClient(rowcast.http, key, { auth, realtime: { transport: WebSocket }, accessToken: async () => key });
    clients.push(client);
    return client;
  }

  /** Subscribes to filters, and gathers changes and what is said of them. */
  async function follow(client, name, filters, options) {
    const changes = new Inbox();
    const said = new Inbox();
    const config = options ? { postgres_changes_options: options } : {};
    const channel = client.channel(name, { config });
    filters.forEach((filter, nth) => channel.on("postgres_changes", filter, (change) => changes.put({ nth, ...change })));
    channel.on("system", {}, (message) => said.put(message));
    const states = new Inbox();
    channel.subscribe((state, error) => states.put({ state, error }));
    await states.find(({ state }) => state === "SUBSCRIBED");
    return { channel, changes, said, states };
  }

  test("SUBSCRIBED means that changes come, to those who asked for them", async () => {
    const { changes } = await follow(connect("ada"), "todos", [
      { event: "INSERT", schema: "public", table: "errands", filter: "room=eq.1" },
      { event: "*", schema: "public", table: "errands", filter: "title=like.b%" },
      { event: "DELETE", schema: "public", table: "errands" },
    ]);
    await rowcast.sql("insert into public.errands values (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')");
    await rowcast.sql("update public.errands set title = 'bb' where id = 2");
    await rowcast.sql("delete from public.errands where id = 3");
    const { old } = await changes.find(({ eventType }) => eventType === "DELETE");
    assert.deepEqual(old, { id: 3 });
    const brief = changes.all.map(({ nth, eventType, new: row }) => [nth, eventType, row.id]);
    assert.deepEqual(brief, [[0, "INSERT", 1], [1, "INSERT", 2], [1, "UPDATE", 2], [2, "DELETE", undefined]]);
    const { new: first, schema, table, errors, commit_timestamp } = changes.all[0];
    assert.deepEqual(first, { id: 1, room: 1, title: "a", owner: null });
    assert.deepEqual([schema, table, errors], ["public", "errands", null]);
    assert.match(commit_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("row security decides for each", async () => {
    const filter = [{ event: "*", schema: "public", table: "diaries" }];
    const [ada, eve] = [await follow(connect("ada"), "notes", filter), await follow(connect("eve"), "notes", filter)];
    await rowcast.sql("insert into public.diaries values (1, 'ada'), (2, 'eve'), (3, 'ada')");
    await ada.changes.find(({ new: row }) => row.id === 3);
    await eve.changes.find(({ new: row }) => row.id === 2);
    assert.deepEqual(ada.changes.all.map(({ new: row }) => row.id), [1, 3]);
    assert.deepEqual(eve.changes.all.map(({ new: row }) => row.id), [2]);
  });

  test("what is wrong with a filter is said in the reference's words", async () => {
    const { said } = await follow(connect("ada"), "wrong", [
      { event: "*", schema: "public", table: "errands", filter: "nope=eq.1" },
    ]);
    const { message } = await said.find(({ status }) => status === "error");
    assert.match(message, /Exception: ERROR P0001 \(raise_exception\) invalid column for filter nope$/);
  });

  test("a cursor in the options brings back what a crash of the bridge made one miss", async () => {
    const options = { wait: true, cursor: null };
    const { changes, said } = await follow(
      connect("ada"), "kept", [{ event: "INSERT", schema: "public", table: "errands", filter: "room=eq.7" }], options,
    );
    said.all.forEach(({ cursor }) => (options.cursor = cursor ?? options.cursor));
    const put = said.put.bind(said);
    said.put = (message) => {
      options.cursor = message.cursor ?? options.cursor;
      put(message);
    };
    await rowcast.sql("insert into public.errands values (70, 7, 'before')");
    await changes.find(({ new: row }) => row.id === 70);
    const { cursor } = await said.find((message) => message.cursor && message.cursor === options.cursor);
    assert.ok(cursor);
    await rowcast.kill();
    await rowcast.start();
    await rowcast.sql("insert into public.errands values (71, 7, 'after')");
    await changes.find(({ new: row }) => row.id === 71, 60_000);
    const ids = changes.all.map(({ new: row }) => row.id);
    assert.deepEqual([...new Set(ids)], [70, 71]);
  });
});
