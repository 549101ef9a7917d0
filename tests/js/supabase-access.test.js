// Who may see what over the supabase dialect: nothing of a row reaches whom it is not for, on no path.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { SECRET, token, userToken } from "./history/world.js";
import { Phoenix } from "./phoenix.js";
import { Rowcast } from "./rowcast.js";

const ADA = "00000000-0000-4000-8000-00000000ada0";
const GRACE = "00000000-0000-4000-8000-0000000009ac";
const TABLES = `
  create table public.open (id bigint generated always as identity primary key, shown text, hidden text);
  create table public.closed (like public.open including all);
  create table public.owned (id bigint generated always as identity primary key, owner uuid, body text, hidden text);
  create table public.keyed (like public.owned including all);
  create table public.marks (id bigint generated always as identity primary key);
  grant usage on schema public to anon, authenticated, service_role;
  grant select on public.open, public.marks to anon, authenticated, service_role;
  grant select on public.closed to service_role;
  grant select (id, owner, body) on public.owned, public.keyed to anon, authenticated, service_role;
  alter table public.owned enable row level security;
  alter table public.keyed enable row level security;
  create policy own on public.owned for select to authenticated using (owner = auth.uid());
  create policy own on public.keyed for select to authenticated using (owner = auth.uid());
  create policy everything on public.owned for select to service_role using (true);
  create policy everything on public.keyed for select to service_role using (true);
  select rowcast.watch('public.open', identity => 'full'), rowcast.watch('public.closed', identity => 'full'),
    rowcast.watch('public.owned', identity => 'full'), rowcast.watch('public.keyed'), rowcast.watch('public.marks');`;

const ANON = token({ role: "anon" });
const SERVICE = token({ role: "service_role" });
const all = (table) => [{ event: "*", schema: "public", table }];

describe("access to changes", { timeout: 300_000 }, () => {
  let rowcast;
  const clients = [];

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
    await rowcast.sql(TABLES);
  });

  after(async () => {
    clients.forEach((client) => client.close());
    await rowcast?.stop();
  });

  /** A client that follows a table, and marks by which it knows that it is up to date. */
  async function follower(bearer, table, { wishes = all(table), ...options } = {}) {
    const client = await Phoenix.connect(rowcast, ANON);
    clients.push(client);
    await client.follow("t", [...wishes, ...all("marks")], { token: bearer, ...options });
    return client;
  }

  /** Waits until clients have all that was committed before: a channel's changes come in the order of their commits. */
  async function upToDate(...some) {
    const [{ id }] = await rowcast.sql("insert into public.marks default values returning id");
    await Promise.all(some.map((client) => client.change("t", ({ table, record }) => table === "marks" && record.id === Number(id))));
  }

  /** Waits until a client has a change of a row. */
  const seen = (client, table, op, id) =>
    client.change("t", (change) => change.table === table && change.type === op && (change.record ?? change.old_record)?.id === Number(id));

  /** What a client got but for the marks. */
  const got = (client) => client.changes("t").filter(({ table }) => table !== "marks");

  const insert = async (table, values) => {
    const names = Object.keys(values);
    const [{ id }] = await rowcast.sql(
      `insert into public.${table} (${names}) values (${names.map((_, nth) => `$${nth + 1}`)}) returning id`, ...Object.values(values));
    return Number(id);
  };

  test("a role without SELECT on a table learns nothing of its rows, deletions included", async () => {
    const [anon, user, service] = await Promise.all([follower(ANON, "closed"), follower(userToken(ADA), "closed"), follower(SERVICE, "closed")]);
    const id = await insert("closed", { shown: "CANARY-1", hidden: "CANARY-1" });
    await rowcast.sql("update public.closed set shown = 'CANARY-2' where id = $1", id);
    await rowcast.sql("delete from public.closed where id = $1", id);
    await seen(service, "closed", "DELETE", id);
    await upToDate(anon, user);
    for (const client of [anon, user]) {
      assert.ok(!client.text.includes("CANARY"), client.text);
      for (const change of got(client)) {
        assert.deepEqual([change.type === "DELETE", change.columns, change.errors], [false, [], ["Error 401: Unauthorized"]]);
        assert.deepEqual([change.record ?? {}, change.old_record ?? {}], [{}, {}]);
      }
    }
  });

  test("a column that is revoked is gone within a moment, and no filter asks about it any more", async () => {
    const client = await follower(ANON, "open");
    const asking = await follower(ANON, "open", { wishes: [{ event: "*", schema: "public", table: "open", filter: "hidden=eq.CANARY" }] });
    const id = await insert("open", { shown: "yes", hidden: "CANARY" });
    assert.equal((await seen(client, "open", "INSERT", id)).record.hidden, "CANARY");
    await seen(asking, "open", "INSERT", id);

    await rowcast.sql("revoke select on public.open from anon");
    await rowcast.sql("grant select (id, shown) on public.open to anon");
    let columns;
    do {
      const id = await insert("open", { shown: "yes", hidden: "CANARY" });
      ({ columns } = await seen(client, "open", "INSERT", id));
    } while (columns.length === 3);
    const before = [client.text.length, got(asking).length];
    await rowcast.sql("update public.open set shown = 'no'");
    await rowcast.sql("delete from public.open where id = $1", id);
    const { old_record: old } = await seen(client, "open", "DELETE", id);
    assert.deepEqual(old, { id, shown: "no" });
    await upToDate(client, asking);
    assert.ok(!client.text.slice(before[0]).includes("CANARY"));
    assert.equal(got(asking).length, before[1], "a filter on a column that may not be read");
    assert.match((await asking.system("t", ({ status }) => status === "error")).message, /invalid column for filter hidden/);
    await rowcast.sql("grant select on public.open to anon");
  });

  test("rows are for their owner; the old one learns of a row that went only where that is asked for", async () => {
    const [ada, leaving, grace, anon, service] = await Promise.all([
      follower(userToken(ADA), "owned"), follower(userToken(ADA), "owned", { options: { left: true } }),
      follower(userToken(GRACE), "owned"), follower(ANON, "owned"), follower(SERVICE, "owned")]);
    const id = await insert("owned", { owner: ADA, body: "of ada", hidden: "CANARY" });
    await Promise.all([ada, leaving, service].map((client) => seen(client, "owned", "INSERT", id)));
    await rowcast.sql("update public.owned set owner = $2, body = 'of grace' where id = $1", id, GRACE);
    const { record, old_record: old } = await seen(grace, "owned", "UPDATE", id);
    assert.deepEqual([record, old], [{ id, owner: GRACE, body: "of grace" }, { id }], "what was ada's stays hers");
    const left = await seen(leaving, "owned", "UPDATE", id);
    assert.deepEqual([left.left, left.record, left.old_record], [true, undefined, { id, owner: ADA, body: "of ada" }]);
    await rowcast.sql("delete from public.owned where id = $1", id);
    await seen(service, "owned", "DELETE", id);
    await seen(grace, "owned", "DELETE", id);
    await upToDate(ada, leaving, grace, anon);
    assert.deepEqual(got(ada).map(({ type }) => type), ["INSERT"]);
    assert.deepEqual(got(leaving).map(({ type }) => type), ["INSERT", "UPDATE"]);
    assert.deepEqual(got(anon), []);
    for (const client of [ada, leaving, grace, anon, service]) assert.ok(!client.text.includes("CANARY"), "a column without a grant");
    for (const client of [ada, leaving]) assert.ok(!client.text.includes("of grace"));
    assert.ok(!grace.text.includes("of ada"));
  });

  test("where only the key of a deleted row is known, the key is all that is told", async () => {
    const [ada, grace] = await Promise.all([follower(userToken(ADA), "keyed"), follower(userToken(GRACE), "keyed")]);
    const id = await insert("keyed", { owner: ADA, body: "of ada", hidden: "CANARY" });
    await seen(ada, "keyed", "INSERT", id);
    await rowcast.sql("delete from public.keyed where id = $1", id);
    for (const client of [ada, grace]) assert.deepEqual((await seen(client, "keyed", "DELETE", id)).old_record, { id });
    assert.ok(!grace.text.includes("of ada") && !ada.text.includes("CANARY"));
  });

  test("coming back from a cursor shows nothing of what a row was before it was theirs", async () => {
    const cursor = { options: { cursor: null } };
    const [ada, grace] = await Promise.all([follower(userToken(ADA), "owned", cursor), follower(userToken(GRACE), "owned", cursor)]);
    const of = async (client) => (await client.system("t", ({ message }) => message === "Cursor")).cursor;
    const cursors = [await of(ada), await of(grace)];
    grace.close();
    const id = await insert("owned", { owner: ADA, body: "secret of ada" });
    await rowcast.sql("update public.owned set body = 'second secret of ada' where id = $1", id);
    await rowcast.sql("update public.owned set owner = $2, body = 'of grace' where id = $1", id, GRACE);
    const other = await insert("owned", { owner: GRACE, body: "last" });

    const back = await follower(userToken(GRACE), "owned", { options: { cursor: cursors[1] } });
    await seen(back, "owned", "INSERT", other);
    await upToDate(back);
    assert.ok(!back.text.includes("of ada"), back.text);
    assert.deepEqual(got(back).map(({ type, record }) => [type, record.id]), [["UPDATE", id], ["INSERT", other]]);

    const again = await follower(userToken(ADA), "owned", { options: { cursor: cursors[0] } });
    await upToDate(again);
    assert.ok(!again.text.includes("of grace"), "what is another's by now");
  });

  test("a row that came and went meanwhile is told to whom it was for", async () => {
    const first = await follower(userToken(ADA), "owned", { options: { cursor: null } });
    const { cursor } = await first.system("t", ({ message }) => message === "Cursor");
    first.close();
    const id = await insert("owned", { owner: ADA, body: "short-lived" });
    await rowcast.sql("delete from public.owned where id = $1", id);
    const [ada, grace] = await Promise.all([ADA, GRACE].map((sub) => follower(userToken(sub), "owned", { options: { cursor } })));
    await seen(ada, "owned", "DELETE", id);
    await upToDate(ada, grace);
    assert.deepEqual(got(ada).map(({ type }) => type), ["INSERT", "DELETE"]);
    assert.ok(!grace.text.includes("short-lived"));
  });

  test("a fresh token of another role or person counts from then on", async () => {
    const client = await follower(userToken(ADA), "owned");
    const service = await follower(SERVICE, "owned");
    const both = async (body) => {
      const ids = await Promise.all([ADA, GRACE].map((owner) => insert("owned", { owner, body })));
      await Promise.all(ids.map((id) => seen(service, "owned", "INSERT", id)));
      await upToDate(client);
    };
    const become = async (bearer, times) => {
      client.push("realtime:t", "access_token", { access_token: bearer });
      const subscribed = ({ event, topic, payload }) => event === "system" && topic === "realtime:t" && payload.message.startsWith("Subscribed");
      await client.inbox.find(() => client.inbox.all.filter(subscribed).length === times);
    };
    await both("one");
    await become(userToken(GRACE), 2);
    await both("two");
    await become(ANON, 3);
    await both("three");
    await become(SERVICE, 4);
    await both("four");
    await client.change("t", ({ record }) => record.owner === GRACE && record.body === "four");
    await client.change("t", ({ record }) => record.owner === ADA && record.body === "four");
    const came = got(client).map(({ record }) => `${record.body} ${record.owner === ADA ? "ada" : "grace"}`);
    assert.deepEqual(came.sort(), ["four ada", "four grace", "one ada", "two grace"]);
  });

  test("nothing comes after a token has ended, and none that has ended is let in", async () => {
    const soon = token({ role: "authenticated", sub: ADA, exp: Math.floor(Date.now() / 1000) + 3 });
    const client = await follower(soon, "owned");
    const service = await follower(SERVICE, "owned");
    const { message } = await client.system("t", ({ status }) => status === "error");
    assert.match(message, /^Token has expired \d+ seconds ago$/);
    await client.inbox.find(({ event, topic }) => event === "phx_close" && topic === "realtime:t");
    const id = await insert("owned", { owner: ADA, body: "too late" });
    await seen(service, "owned", "INSERT", id);
    await client.settled();
    assert.ok(!client.text.includes("too late"));
    const reply = await client.join("t", all("owned"), { token: soon });
    assert.match(reply.response.reason, /^InvalidJWTToken: Token has expired/);
  });

  test("a token that is revoked ends its channels at once and is not let in again", async () => {
    const revoked = token({ role: "authenticated", sub: ADA, jti: "stolen" });
    const client = await follower(revoked, "owned");
    const [other, service] = await Promise.all([follower(userToken(ADA), "owned"), follower(SERVICE, "owned")]);
    await rowcast.sql("insert into chat.revoked_tokens (jti, expires_at) values ('stolen', now() + interval '1 hour')");
    await client.inbox.find(({ event, topic }) => event === "phx_close" && topic === "realtime:t");
    const id = await insert("owned", { owner: ADA, body: "after the theft" });
    await Promise.all([service, other].map((one) => seen(one, "owned", "INSERT", id)));
    await client.settled();
    assert.ok(!client.text.includes("after the theft"));
    assert.equal((await client.join("t", all("owned"), { token: revoked })).status, "error");
    await assert.rejects(Phoenix.connect(rowcast, revoked));
  });

  test("nobody becomes the bridge, the owner or a superuser by a claim", async () => {
    const [{ current_user: bridge }] = await rowcast.sql("select current_user");
    const service = await follower(SERVICE, "owned");
    for (const role of [bridge, "postgres", "none", "pg_read_all_data", "nobody at all", 'anon"; reset role; --', "", "authenticated, service_role"]) {
      const client = await Phoenix.connect(rowcast, ANON);
      clients.push(client);
      await client.join("t", all("owned"), { token: token({ role, sub: ADA }) });
      const id = await insert("owned", { owner: ADA, body: "for ada" });
      await seen(service, "owned", "INSERT", id);
      await client.settled();
      assert.ok(!client.text.includes("for ada"), `as ${role}: ${client.text}`);
    }
  });

  test("an emptied table says nothing of its rows", async () => {
    const [ada, service] = await Promise.all([follower(userToken(ADA), "owned"), follower(SERVICE, "owned")]);
    await rowcast.sql("truncate public.owned");
    const id = await insert("owned", { owner: ADA, body: "after" });
    await Promise.all([ada, service].map((client) => seen(client, "owned", "INSERT", id)));
    for (const client of [ada, service]) assert.deepEqual(got(client).map(({ type }) => type), ["INSERT"]);
  });
});
