// Hostile clients and hostile policies over the supabase dialect: contained, bounded, and the others notice nothing.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { SECRET, token, userToken } from "./history/world.js";
import { Phoenix } from "./phoenix.js";
import { Rowcast } from "./rowcast.js";

const ADA = "00000000-0000-4000-8000-00000000ada0";
const GRACE = "00000000-0000-4000-8000-0000000009ac";
const ANON = token({ role: "anon" });

const secured = (name, policy) => `
  create table public.${name} (id bigint generated always as identity primary key, owner uuid, body text);
  grant select on public.${name} to anon, authenticated, service_role;
  alter table public.${name} enable row level security;
  create policy sight on public.${name} for select using (${policy});
  select rowcast.watch('public.${name}', identity => 'full');`;

/** A policy that is a plain one for all but one. */
const forAda = (policy) => `case when auth.uid() = '${ADA}' then ${policy} else owner = auth.uid() end`;

const TABLES = `
  create table public.good (id bigint generated always as identity primary key, body text, n numeric);
  grant usage on schema public to anon, authenticated, service_role;
  grant select on public.good to anon, authenticated, service_role;
  select rowcast.watch('public.good', identity => 'full');
  create function public.deep(n int) returns boolean language plpgsql as 'begin return public.deep(n + 1); end';
  create function public.turn() returns boolean language plpgsql as 'begin execute ''reset role''; return true; end';
  create function public.turn_by_set() returns boolean language plpgsql as 'begin perform set_config(''role'', ''none'', true); return true; end';
  create function public.shout() returns boolean language plpgsql as 'begin raise exception ''CANARY of %'', (select count(*) from public.good); end';
  ${secured("sleepy", forAda("pg_sleep(60) is not null"))}
  ${secured("zero", forAda("1 / (id - id) = 1"))}
  ${secured("deep", forAda("public.deep(1)"))}
  ${secured("loop", "exists (select from public.loop l where l.id = id)")}
  ${secured("turncoat", "public.turn()")}
  ${secured("turned", "public.turn_by_set()")}
  ${secured("shouting", "public.shout()")}
  ${secured("bridges", "current_user = session_user")}
  alter table public.bridges force row level security;
  create policy writing on public.bridges for insert with check (true);
  ${secured("owned", "owner = (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid")}`;

const all = (table) => [{ event: "*", schema: "public", table }];

/** What may never be in a frame: our own SQL's names and errors, and what policies say of rows. */
const LEAKS = /rowcast\.|PL\/pgSQL|CONTEXT|_sight_|_judgement|at character|CANARY|jsonb_populate|stack depth|division by zero/;

describe("hostile input", { timeout: 400_000 }, () => {
  let rowcast, good;
  const clients = [];

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
    await rowcast.sql(TABLES);
    good = await connect();
    await good.follow("good", all("good"));
  });

  after(async () => {
    clients.forEach((client) => client.close());
    await rowcast?.stop();
  });

  async function connect(key = ANON) {
    const client = await Phoenix.connect(rowcast, key);
    clients.push(client);
    return client;
  }

  const insert = async (table, owner, body = "body") => {
    const [{ id }] = await rowcast.sql(`insert into public.${table} (owner, body) values ($1, $2) returning id`, owner, body);
    return Number(id);
  };

  /** Somebody who has been there all along still gets everything, once and in order. */
  async function othersAreWell() {
    const [{ id }] = await rowcast.sql("insert into public.good (body) values ('well') returning id");
    await good.change("good", ({ record }) => record.id === Number(id), 30_000);
    const ids = good.changes("good").map(({ record }) => record.id);
    assert.deepEqual(ids, Array.from({ length: Number(id) }, (_, n) => n + 1));
    assert.ok(!good.inbox.all.some(({ event }) => event === "phx_close" || event === "phx_error"));
  }

  const quiet = (client) => assert.doesNotMatch(client.text, LEAKS);

  test("topics that are forged, empty or overlong are refused or are nothing but names", async () => {
    const client = await connect();
    for (const topic of ["", "realtime", "phoenix", "user:7", "thread:1", "table:public.good", "channel:private:a", "x".repeat(100_000)]) {
      const reply = await client.ask(topic, "phx_join", { config: { postgres_changes: [], broadcast: { self: true } } });
      assert.equal(reply.status, topic === "phoenix" ? reply.status : "error", topic.slice(0, 50));
    }
    for (const name of ["", `n${"x".repeat(70_000)}`, "a\u0000b", "a\nb"]) {
      assert.equal((await client.ask(`realtime:${name}`, "phx_join", { config: {} })).status, "error", name.slice(0, 20));
    }
    // These are legal names of channels, and lead to no other topic of the same name.
    for (const name of ["table:public.good", "channel:private:a", "token:x", "thread:1", "*", "'; drop table public.good; --", "é 💥", "__proto__"]) {
      assert.equal((await client.ask(`realtime:${name}`, "phx_join", { config: {} })).status, "ok", name);
    }
    const before = client.inbox.all.length;
    await othersAreWell();
    await client.settled();
    assert.equal(client.inbox.all.length, before + 1, client.text.slice(-500));
    quiet(client);
  });

  test("frames that are no frames are dropped, and many of them end the socket", async () => {
    const client = await connect();
    for (const frame of ["", "{", "null", "[]", "[1]", "[1,2,3]", '["1","1",7,"phx_join",{}]', '[{},[],"realtime:a","phx_join",null]', `[${"[".repeat(5_000)}`, Buffer.from([]), Buffer.from([3, 255, 255]), Buffer.from([9])]) {
      client.raw(frame);
    }
    assert.equal(await client.settled(), "ok");
    for (let n = 0; n < 1_000; n++) client.raw("{");
    await client.closed();
    await othersAreWell();
  });

  test("a storm of joins is bounded and told so", async () => {
    const client = await connect();
    const refs = Array.from({ length: 2_000 }, (_, n) =>
      client.push(`realtime:storm${n}`, "phx_join", { config: { postgres_changes: all("good") } }));
    await client.inbox.find(({ event, ref }) => event === "closed" || (event === "phx_reply" && ref === refs.at(-1)), 60_000);
    const replies = client.inbox.all.filter(({ event }) => event === "phx_reply");
    const joined = replies.filter(({ payload }) => payload.status === "ok").length;
    const reasons = new Set(replies.filter(({ payload }) => payload.status === "error").map(({ payload }) => payload.response.reason));
    assert.ok(joined <= 100, `${joined} channels`);
    for (const reason of reasons) assert.match(reason, /^(ChannelRateLimitReached|ClientJoinRateLimitReached): /);
    client.close();
    // The same topic again and again, each closing the one before.
    const again = await connect();
    for (let n = 0; n < 50; n++) again.push("realtime:same", "phx_join", { config: { postgres_changes: all("good") } });
    await again.settled();
    await othersAreWell();
  });

  test("a flood of presences, keys and metas of any kind stay inside their channel", async () => {
    const [client, watcher] = [await connect(), await connect()];
    await watcher.join("flood", [], { presence: { enabled: true, key: "watcher" } });
    for (const key of ["__proto__", "constructor", "a\"b", "k".repeat(10_000), "'; --"]) {
      const reply = await client.join("flood", [], { presence: { enabled: true, key } });
      if (reply.status === "ok") await client.ask("realtime:flood", "presence", { type: "presence", event: "track", payload: { phx_ref: "forged", key } });
    }
    const large = await client.ask("realtime:flood", "presence", { type: "presence", event: "track", payload: { text: "x".repeat(1_000_000) } });
    assert.equal(large.status, "error");
    const refs = Array.from({ length: 400 }, (_, n) => client.push("realtime:flood", "presence", { type: "presence", event: "track", payload: { n } }));
    const [reply] = await Promise.all([client.inbox.find(({ ref }) => ref === refs.at(-1), 30_000)]);
    assert.equal(reply.payload.status, "error", "too many");
    assert.ok(!watcher.text.includes("forged"));
    const diffs = watcher.inbox.all.filter(({ event }) => event === "presence_diff").length;
    assert.ok(diffs < 200, `${diffs} diffs`);
    await othersAreWell();
  });

  test("filters are values and names, and never SQL", async () => {
    const client = await connect();
    const wishes = [
      { table: "good", filter: "id=eq.1); drop table public.good; --" },
      { table: "good", filter: "id=eq.1 or true" },
      { table: "good", filter: 'id"=eq.1' },
      { table: "good", filter: "id::text=eq.1" },
      { table: "good", filter: "pg_sleep(60)=eq.1" },
      { table: "good", filter: "(select 1)=eq.1" },
      { table: "good", filter: "ctid=eq.(0,1)" },
      { table: "good", filter: "tableoid=eq.1" },
      { table: "good", filter: "body=eq.x'; drop table public.good; --" },
      { table: "good", filter: "body=in.(\"x'\",\"\\\"}; drop table public.good; --\")" },
      { table: "good", filter: "id=in.(1,2,3}'; drop table public.good; --)" },
      { table: "good", filter: `id=in.(${Array.from({ length: 5_000 }, (_, n) => n)})` },
      { table: "good", filter: "id=pg_sleep.60" },
      { table: "good", filter: "id=eq; drop table public.good.1" },
      { table: "good", filter: "n=eq.1e400000000" },
      { table: "good", filter: `n=eq.${"9".repeat(200_000)}` },
      { table: "good", filter: "body=match.(" },
      { table: "good", filter: "body=is.null; drop table public.good" },
      { table: "good", filter: "body=eq.\u0000" },
      { table: "good", filter: `or=(${"body=eq.a,".repeat(2_000)}body=eq.b)` },
      { table: "good", filter: `${"(".repeat(10_000)}=eq.1` },
      { table: "good", select: ["id; drop table public.good", "*", "id::text"] },
      { table: 'good"; drop table public.good; --' },
      { table: "good'; drop table public.good; --" },
      { schema: 'public".good; --', table: "good" },
      { schema: "rowcast", table: "changes" },
      { schema: "chat", table: "users" },
      { schema: "pg_catalog", table: "pg_authid" },
      { schema: "public\u0000", table: "good" },
    ];
    for (const [nth, wish] of wishes.entries()) {
      const reply = await client.join(`f${nth}`, [{ event: "*", schema: "public", ...wish }]);
      if (reply.status === "ok") await client.system(`f${nth}`, ({ extension }) => extension === "postgres_changes");
    }
    await othersAreWell();
    quiet(client);
    assert.equal(client.inbox.all.filter(({ event }) => event === "postgres_changes").length, 0, client.text.slice(-1_000));
  });

  test("a filter that takes for ever is left out, for itself alone", async () => {
    const [client, other] = [await connect(), await connect()];
    await client.follow("slow", [{ event: "*", schema: "public", table: "good", filter: "body=match.^(a?){60}(a*)*(a*)*b\\1$" }]);
    await other.follow("quick", [{ event: "*", schema: "public", table: "good", filter: "body=imatch.^A+$" }]);
    const [{ id }] = await rowcast.sql("insert into public.good (body) values ($1) returning id", "a".repeat(5_000));
    await good.change("good", ({ record }) => record.id === Number(id), 60_000);
    await other.change("quick", ({ record }) => record.id === Number(id), 60_000);
    await othersAreWell();
    quiet(client);
  });

  test("claims of any content are claims, and harm nobody but their bearer", async () => {
    const sane = await connect();
    await sane.follow("o", [...all("owned")], { token: userToken(GRACE) });
    const odd = [
      { sub: "not a uuid" }, { sub: "x'); drop table public.owned; --" }, { sub: 'a"b\\c' }, { sub: 7 }, { sub: null }, {},
      { sub: { a: [1] } }, { sub: GRACE, "request.jwt.claims": "{}" }, { sub: ADA, text: "x".repeat(100_000) }, { sub: "a\u0000b" },
      { sub: ADA, text: "\u0000" }, { sub: ADA, deep: JSON.parse(`${"[".repeat(120)}${"]".repeat(120)}`) }, { sub: ADA, "a'b": "c\"d", "": "" },
    ];
    const followers = [];
    for (const claims of odd) {
      const client = await connect();
      const reply = await client.join("o", all("owned"), { token: token({ role: "authenticated", ...claims }) });
      followers.push({ client, claims: JSON.stringify(claims).slice(0, 60), joined: reply.status === "ok" });
    }
    const ids = [await insert("owned", ADA, "for ada"), await insert("owned", GRACE, "for grace")];
    await sane.change("o", ({ record }) => record.id === ids[1], 30_000);
    await othersAreWell();
    for (const { client, claims, joined } of followers) {
      quiet(client);
      const isAda = claims.includes(ADA) && joined && !claims.includes("\\u0000");
      if (isAda) await client.change("o", ({ record }) => record.id === ids[0], 30_000);
      const mayHave = claims.includes(GRACE) ? "for grace" : claims.includes(ADA) ? "for ada" : "nothing";
      for (const { record } of client.changes("o")) assert.equal(record.body, mayHave, claims);
    }
    assert.deepEqual(sane.changes("o").map(({ record }) => record.body), ["for grace"]);
  });

  for (const [table, what] of [["zero", "divides by zero"], ["deep", "recurses"], ["sleepy", "sleeps"]]) {
    test(`a policy that ${what} for one is nothing to the others`, async () => {
      const [ada, grace] = [await connect(), await connect()];
      await ada.follow("t", all(table), { token: userToken(ADA) });
      await grace.follow("t", all(table), { token: userToken(GRACE) });
      const ids = [await insert(table, ADA), await insert(table, GRACE)];
      await othersAreWell();
      await grace.change("t", ({ record }) => record.id === ids[1], 60_000);
      const { message } = await ada.system("t", ({ status }) => status === "error", 60_000);
      assert.match(message, new RegExp(`public\\.${table}`));
      assert.deepEqual(ada.changes("t"), []);
      for (const client of [ada, grace]) quiet(client);
    });
  }

  test("policies that fail for everybody refuse everybody, without a word of their own", async () => {
    for (const table of ["loop", "shouting"]) {
      const client = await connect();
      await client.follow("t", all(table), { token: userToken(ADA) });
      await insert(table, ADA, "CANARY");
      await client.system("t", ({ status }) => status === "error", 60_000);
      assert.deepEqual(client.changes("t"), []);
      quiet(client);
    }
    await othersAreWell();
  });

  test("a policy that throws off the role gives nothing away, here or to the next who is judged", async () => {
    const clients = {};
    for (const table of ["turncoat", "turned", "bridges", "owned"]) {
      clients[table] = await connect();
      await clients[table].follow("t", [...all(table), ...all("good")], { token: userToken(ADA) });
    }
    const own = [];
    for (let n = 0; n < 10; n++) {
      for (const table of ["turncoat", "turned", "bridges"]) await insert(table, GRACE, "CANARY");
      await insert("owned", GRACE, "CANARY");
      own.push(await insert("owned", ADA, "mine"));
    }
    const [{ id }] = await rowcast.sql("insert into public.good (body) values ('mark') returning id");
    for (const client of Object.values(clients)) await client.change("t", ({ table, record }) => table === "good" && record.id === Number(id), 60_000);
    const got = clients.owned.changes("t").filter(({ table }) => table === "owned").map(({ record }) => record.id);
    assert.deepEqual(got, own);
    quiet(clients.bridges);
    quiet(clients.owned);
    await othersAreWell();
  });

  test("what happened is counted, and the bridge is ready", async () => {
    const metrics = await (await fetch(`${rowcast.admin}/metrics`)).text();
    assert.match(metrics, /rowcast_malformed_frames_total\{[^}]*supabase[^}]*\} \d+/);
    assert.equal((await fetch(`${rowcast.admin}/ready`)).status, 200);
    assert.equal((await rowcast.sql("select count(*)::int as n from rowcast.failures"))[0].n, 0);
  });
});
