// The three routes of docs/migrate-from-supabase.md, each walked as a new user would: with the guide's own commands and snippets.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect as dial } from "node:net";
import { dirname } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { RealtimeClient, createClient } from "@supabase/supabase-js";
import pg from "pg";

import { Inbox, Rowcast } from "./rowcast.js";

// The doctor would name one that can be guessed.
const SECRET = randomBytes(36).toString("base64");
const KEYS = { publishable: "sb_publishable_routes", secret: "sb_secret_routes" };
const BINARY = process.env.ROWCAST_BINARY ?? fileURLToPath(new URL("../../target/debug/rowcast", import.meta.url));
const GUIDE = await readFile(new URL("../../docs/migrate-from-supabase.md", import.meta.url), "utf8");
const ADA = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

/** The guide's code of a language. */
const printed = (language) => [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, "gm"))].map(([, code]) => code);

function token(role, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ role, exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** What an application has before it moves: a table with row security, in the publication. */
const APPLICATION = `
  create table public.todos (id int primary key, owner uuid, task text);
  alter table public.todos enable row level security;
  grant select on public.todos to anon, authenticated;
  create policy own on public.todos for select to authenticated using (auth.uid() = owner);
  create policy shared on public.todos for select to anon using (owner is null);
  create publication supabase_realtime for table public.todos;`;

/** Schemas as Supabase makes them, as far as an application and this bridge meet them. */
const SUPABASE = `
  create schema auth;
  create function auth.uid() returns uuid language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
      (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;
  create function auth.role() returns text language sql stable as $$ select 'theirs' $$;
  create function auth.jwt() returns jsonb language sql stable as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
  grant usage on schema auth to anon, authenticated, service_role;
  create schema realtime;
  grant usage on schema realtime to anon, authenticated, service_role;
  create table realtime.messages (topic text not null, extension text not null, payload jsonb, event text,
    private boolean default false, updated_at timestamp not null default now(), inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(), binary_payload bytea, primary key (id, inserted_at)) partition by range (inserted_at);
  do $$ begin
    execute format('create table realtime.%I partition of realtime.messages for values from (%L) to (%L)',
      'messages_' || to_char(now() at time zone 'utc', 'YYYY_MM_DD'), (now() at time zone 'utc')::date - 1, (now() at time zone 'utc')::date + 2);
  end $$;
  alter table realtime.messages enable row level security;
  grant usage on schema auth, realtime to hosted;
  grant all on realtime.messages to hosted;
  grant select, insert, update on realtime.messages to anon, authenticated, service_role;
  create policy rooms on realtime.messages to authenticated using (true) with check (true);
  create function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '') $$;
  create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void language plpgsql as $$
  begin
    insert into realtime.messages (payload, event, topic, private, extension) values (payload, event, topic, private, 'broadcast');
  end $$;`;

/** All that schemas and roles are, triggers apart: one is added beside whatever is there. */
const STANDING = `
  select 'function' as kind, p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as is, p.proacl::text as acl,
    p.proowner::regrole::text as owner, obj_description(p.oid, 'pg_proc') as says
  from pg_proc p where p.pronamespace in (select oid from pg_namespace where nspname in ('auth', 'realtime'))
  union all
  select 'relation', c.oid::regclass::text, c.relkind::text || c.relrowsecurity || (
      select string_agg(a.attname || format_type(a.atttypid, a.atttypmod) || a.attnotnull, ',' order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid), c.relacl::text, c.relowner::regrole::text, obj_description(c.oid, 'pg_class')
  from pg_class c where c.relnamespace in (select oid from pg_namespace where nspname in ('auth', 'realtime'))
  union all
  select 'policy', p.polname || p.polrelid::regclass, coalesce(pg_get_expr(p.polqual, p.polrelid), '') || p.polroles::text, null, null, null from pg_policy p
  union all
  select 'schema', n.nspname, '', n.nspacl::text, n.nspowner::regrole::text, obj_description(n.oid, 'pg_namespace')
  from pg_namespace n where n.nspname in ('auth', 'realtime')
  union all
  select 'role', r.rolname, concat(r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcanlogin, r.rolreplication, r.rolbypassrls), null, null, null
  from pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role')
  order by 1, 2`;

/** A port that nobody has. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** A bridge that was set up by the guide's commands over a database. */
class Installed {
  static async over(database, settings = {}) {
    const installed = new Installed();
    installed.output = "";
    const [port, admin] = [await freePort(), await freePort()];
    const commands = printed("sh").find((block) => block.includes("rowcast serve"));
    const exported = [...commands.replaceAll(/#.*/g, "").matchAll(/\b(DATABASE_URL|ROWCAST_\w+)=/g)].map(([, name]) => name);
    const values = { DATABASE_URL: database, ROWCAST_JWT_SECRET: SECRET, ROWCAST_PUBLISHABLE_KEY: KEYS.publishable, ROWCAST_SECRET_KEY: KEYS.secret };
    assert.deepEqual(exported, Object.keys(values));
    const path = `${dirname(BINARY)}:${process.env.PATH}`;
    const env = { PATH: path, HOME: process.env.HOME, ...values, ROWCAST_PORT: port, ROWCAST_ADMIN_PORT: admin, ...settings };
    const lines = commands.split("\n").filter((line) => line.startsWith("rowcast "));
    for (const line of lines.slice(0, -1)) {
      const ran = await promisify(execFile)("bash", ["-c", line], { env }).catch((error) => error);
      assert.ok(!(ran instanceof Error), `${line}: ${ran.stdout}${ran.stderr}`);
      installed.output += ran.stdout;
    }
    assert.equal(lines.at(-1), "rowcast serve");
    installed.process = spawn("bash", ["-c", `exec ${lines.at(-1)}`], { env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    installed.process.stderr.on("data", (chunk) => (said += chunk));
    installed.process.on("exit", (code) => (installed.ended = code));
    installed.http = `http://127.0.0.1:${port}`;
    const until = Date.now() + 60_000;
    for (;;) {
      const ready = await fetch(`http://127.0.0.1:${admin}/ready`).then(({ ok }) => ok, () => false);
      if (ready) return installed;
      assert.ok(installed.ended === undefined && Date.now() < until, `not ready: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop() {
    if (this.ended !== undefined) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    await ended;
  }
}

/** Subscribes to a table and a room, and gathers what comes. */
async function follow(supabase, { private: isPrivate = false, table = "todos" } = {}) {
  const [inbox, states] = [new Inbox(), new Inbox()];
  const channel = supabase.channel("room:1", { config: { private: isPrivate, broadcast: { self: true, ack: true } } });
  channel.on("postgres_changes", { event: "*", schema: "public", table }, (change) => inbox.put(change));
  channel.on("broadcast", { event: "*" }, (message) => inbox.put(message));
  channel.on("system", {}, (message) => states.put(message));
  channel.subscribe((state, error) => states.put({ state, error }));
  await states.find(({ state }) => state === "SUBSCRIBED");
  await states.find(({ message }) => message === "Subscribed to PostgreSQL");
  return { channel, inbox };
}

describe("the guide from Supabase", { timeout: 240_000 }, () => {
  const [clients, ends, pools] = [[], [], []];
  let rowcast;

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
  });

  after(async () => {
    for (const client of clients) await client.removeAllChannels();
    for (const end of ends) await end();
    await Promise.all(pools.map((pool) => pool.end()));
    await rowcast?.stop();
  });

  function pool(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    pool.on("error", () => {});
    pools.push(pool);
    return async (text) => (await pool.query(text)).rows;
  }

  /** A database of its own that belongs to an ordinary role, after what a superuser and then that role did in it. */
  async function database(name, theirs, ours) {
    const make = pool(await rowcast.superuser());
    await make(`create role ${name} login bypassrls password 'x' in role anon, authenticated, service_role`);
    await make(`create database ${name} owner ${name} template template0`);
    const url = new URL(await rowcast.superuser(name));
    await pool(url.href)(`grant all on schema public to ${name};${theirs}`);
    [url.username, url.password] = [name, "x"];
    const sql = pool(url.href);
    await sql(ours);
    return { url: url.href, sql };
  }

  function listen(server) {
    ends.push(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));
  }

  function supabase(url, key, options = {}) {
    const client = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false }, ...options });
    clients.push(client);
    return client;
  }

  /** The client that one of the guide's snippets makes, where the bridge is the example's. */
  async function byTheGuide(fits, url, world) {
    const code = printed("js").find((block) => block.includes(fits)).replaceAll("https://rowcast.example", url)
      .replaceAll("wss://rowcast.example", url.replace("http", "ws"));
    const names = Object.keys(world);
    const made = new Function(...names, `${code}\nreturn supabase;`)(...names.map((name) => world[name]));
    clients.push(made);
    return made;
  }

  test("self-hosted: the gateway's route for Realtime leads here, and nothing else changes", async () => {
    await rowcast.sql(`create table public.errands (id int primary key, owner uuid, task text);
      grant select on public.errands to anon; select rowcast.watch('public.errands')`);
    const bridge = new URL(rowcast.http);
    // As Kong does it: the path is the service's own, and the opaque key is swapped for a token.
    const inside = (path) => path.replace("/realtime/v1/websocket", "/socket/websocket").replace("/realtime/v1/api", "/api");
    const gateway = createServer((asked, answer) => {
      if (!asked.url.startsWith("/realtime/v1/")) return answer.end(JSON.stringify({ service: asked.url.split("/")[1] }));
      const headers = { ...asked.headers, authorization: `Bearer ${token("anon")}` };
      const passed = request({ host: bridge.hostname, port: bridge.port, method: asked.method, path: inside(asked.url), headers }, (response) => {
        answer.writeHead(response.statusCode, response.headers);
        response.pipe(answer);
      });
      return asked.pipe(passed);
    });
    gateway.on("upgrade", (asked, socket, head) => {
      const upstream = dial(bridge.port, bridge.hostname, () => {
        const headers = Object.entries({ ...asked.headers, "x-api-key": token("anon") }).map(([name, value]) => `${name}: ${value}\r\n`);
        upstream.write(`GET ${inside(asked.url)} HTTP/1.1\r\n${headers.join("")}\r\n`);
        upstream.write(head);
        socket.pipe(upstream).pipe(socket);
      });
      for (const end of [socket, upstream]) end.on("error", () => socket.destroy() || upstream.destroy());
    });
    const client = supabase(await listen(gateway), "sb_publishable_of_the_gateway");
    const { channel, inbox } = await follow(client, { table: "errands" });
    await rowcast.sql("insert into public.errands values (1, null, 'milk')");
    await inbox.find(({ new: row }) => row?.task === "milk");
    assert.equal(await channel.send({ type: "broadcast", event: "said", payload: {} }), "ok");
    await inbox.find(({ event }) => event === "said");
    assert.deepEqual(await channel.httpSend("posted", { n: 1 }), { success: true });
    await inbox.find(({ event }) => event === "posted");
    const { data } = await client.from("errands").select();
    assert.deepEqual(data, { service: "rest" });
  });

  test("hosted: one URL changes, people log in as before, and what is Supabase's stays as it is", async () => {
    const theirs = await database("hosted", SUPABASE, APPLICATION);
    const before = await theirs.sql(STANDING);
    assert.ok(before.length > 10);
    const asked = new Inbox();
    const project = createServer((question, answer) => {
      asked.put({ method: question.method, url: question.url, key: question.headers.apikey });
      answer.setHeader("content-type", "application/json");
      const user = { id: ADA, aud: "authenticated", role: "authenticated", email: "ada@example.com" };
      const session = { access_token: token("authenticated", { sub: ADA }), token_type: "bearer", expires_in: 3600, refresh_token: "r", user };
      answer.end(JSON.stringify(question.url.startsWith("/auth/v1/token") ? session : [{ id: 1 }]));
    });
    const bridge = await Installed.over(theirs.url, { ROWCAST_SUPABASE_UPSTREAM: await listen(project) });
    ends.push(() => bridge.stop());
    assert.deepEqual(await theirs.sql(STANDING), before);
    assert.match(bridge.output, /public\.todos: watched/);

    const world = { createClient, PUBLISHABLE_KEY: KEYS.publishable };
    const client = await byTheGuide("createClient(", bridge.http, world);
    ends.push(() => client.auth.stopAutoRefresh());
    assert.equal(client.auth.storageKey, "sb-PROJECT-auth-token");
    const { error } = await client.auth.signInWithPassword({ email: "ada@example.com", password: "x" });
    assert.equal(error, null);
    assert.deepEqual((await client.from("todos").select()).data, [{ id: 1 }]);
    await asked.find(({ url, key }) => url.startsWith("/rest/v1/todos") && key === KEYS.publishable);
    const { channel, inbox } = await follow(client, { private: true });
    await theirs.sql(`insert into public.todos values (1, gen_random_uuid(), 'not hers'), (2, '${ADA}', 'hers')`);
    const change = await inbox.find(({ eventType }) => eventType);
    assert.equal(change.new.task, "hers");
    await theirs.sql(`select realtime.send('{"n": 1}', 'from sql', 'room:1')`);
    await inbox.find(({ event, payload }) => event === "from sql" && payload.n === 1);
    assert.equal(await channel.send({ type: "broadcast", event: "kept", payload: { n: 2 }, persist: true }), "ok");
    await inbox.find(({ event, meta }) => event === "kept" && meta.id);
    assert.deepEqual(await channel.httpSend("posted", { n: 3 }, { persist: { ttl: 60 } }), { success: true });
    await inbox.find(({ event, meta }) => event === "posted" && meta.id);
    assert.deepEqual(await theirs.sql("select event from realtime.messages order by inserted_at"), [{ event: "from sql" }, { event: "kept" }, { event: "posted" }]);

    // Or the URL stays the project's, and the realtime client alone is another one.
    const other = supabase("http://127.0.0.1:9", KEYS.publishable);
    const alone = { supabase: other, RealtimeClient, KEY: KEYS.publishable, token: token("authenticated", { sub: ADA }) };
    await byTheGuide("new RealtimeClient(", bridge.http, alone);
    await other.realtime.setAuth();
    const again = await follow(other, { private: true });
    await theirs.sql(`insert into public.todos values (3, '${ADA}', 'hers, too')`);
    await again.inbox.find(({ new: row }) => row?.task === "hers, too");
  });

  test("database only: any PostgreSQL, and the guide's commands", async () => {
    const plain = await database("plain", "", "create table public.todos (id int primary key, owner uuid, task text)");
    await plain.sql("create publication supabase_realtime for table public.todos");
    const bridge = await Installed.over(plain.url);
    ends.push(() => bridge.stop());
    assert.match(bridge.output, /Everything is in order|Nothing is broken/);
    await plain.sql(`alter table public.todos enable row level security;
      grant select on public.todos to anon, authenticated;
      create policy own on public.todos for select to authenticated using (auth.uid() = owner);
      create policy shared on public.todos for select to anon using (owner is null)`);
    const anonymous = supabase(bridge.http, KEYS.publishable);
    const ada = supabase(bridge.http, KEYS.publishable, { accessToken: async () => token("authenticated", { sub: ADA }) });
    await ada.realtime.setAuth();
    const [one, two] = [await follow(anonymous), await follow(ada)];
    await plain.sql(`insert into public.todos values (1, null, 'for all'), (2, '${ADA}', 'hers')`);
    assert.equal((await two.inbox.find(({ eventType }) => eventType)).new.task, "hers");
    assert.equal((await one.inbox.find(({ eventType }) => eventType)).new.task, "for all");
    assert.equal(await one.channel.send({ type: "broadcast", event: "said", payload: {} }), "ok");
    await two.inbox.find(({ event }) => event === "said");
    await plain.sql("grant select on public.todos to service_role");
    const all = await follow(supabase(bridge.http, KEYS.secret));
    await plain.sql("insert into public.todos values (3, gen_random_uuid(), 'somebody''s')");
    assert.equal((await all.inbox.find(({ eventType }) => eventType)).new.task, "somebody's");
  });
});
