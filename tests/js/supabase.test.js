// The newest, unmodified @supabase/supabase-js: channels, broadcast, presence, tokens, and coming back after a crash.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { createClient } from "@supabase/supabase-js";

import { Inbox, Rowcast } from "./rowcast.js";

const SECRET = "a secret of tests, 32 characters or more";

/** A token of a role, good for an hour. */
function token(role, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ role, exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

describe("supabase-js", { timeout: 180_000 }, () => {
  const clients = [];
  let rowcast;

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    process.env.ROWCAST_PUBLISHABLE_KEY = "sb_publishable_test";
    rowcast = await Rowcast.start();
  });

  after(async () => {
    await Promise.all(clients.map((client) => client.removeAllChannels()));
    await rowcast?.stop();
  });

  function connect(key = "sb_publishable_test", options = {}) {
    const auth = { persistSession: false, autoRefreshToken: false };
    const client = createClient(rowcast.http, key, { auth, ...options });
    clients.push(client);
    return client;
  }

  /** Subscribes, and gathers what the application is told. */
  async function joined(channel, within) {
    const states = new Inbox();
    channel.subscribe((state, error) => states.put({ state, error }));
    await states.find(({ state }) => state === "SUBSCRIBED", within);
    return states;
  }

  function listening(client, name, config = {}) {
    const inbox = new Inbox();
    const channel = client.channel(name, { config });
    channel.on("broadcast", { event: "*" }, (message) => inbox.put(message));
    return { channel, inbox };
  }

  test("a broadcast reaches the others, and oneself where that is wanted", async () => {
    const ada = listening(connect(), "room", { broadcast: { ack: true } });
    const grace = listening(connect(), "room", { broadcast: { ack: true, self: true } });
    await joined(ada.channel);
    await joined(grace.channel);
    const send = (channel, payload) => channel.send({ type: "broadcast", event: "hello", payload });
    assert.equal(await send(ada.channel, { from: "ada", text: "héllo 💥" }), "ok");
    assert.equal(await send(grace.channel, { from: "grace" }), "ok");
    await ada.inbox.find(({ payload }) => payload.from === "grace");
    await grace.inbox.find(({ payload }) => payload.from === "grace");
    assert.deepEqual(ada.inbox.all.map(({ payload }) => payload.from), ["grace"]);
    assert.deepEqual(grace.inbox.all.map(({ payload }) => payload), [{ from: "ada", text: "héllo 💥" }, { from: "grace" }]);
  });

  test("bytes arrive as bytes", async () => {
    const ada = listening(connect(), "bytes", { broadcast: { self: true, ack: true } });
    await joined(ada.channel);
    const payload = new Uint8Array([0, 1, 254, 255]).buffer;
    assert.equal(await ada.channel.send({ type: "broadcast", event: "raw", payload }), "ok");
    const { payload: came } = await ada.inbox.find(({ event }) => event === "raw");
    assert.deepEqual([...new Uint8Array(came)], [0, 1, 254, 255]);
  });

  test("a broadcast over HTTP needs no subscription", async () => {
    const { channel, inbox } = listening(connect(), "http:room");
    await joined(channel);
    const sender = connect().channel("http:room");
    assert.deepEqual(await sender.httpSend("one", { n: 1 }), { success: true });
    assert.deepEqual(await sender.httpSend("two", new Uint8Array([7])), { success: true });
    assert.equal(await sender.send({ type: "broadcast", event: "three", payload: { n: 3 } }), "ok");
    await inbox.find(({ event }) => event === "three");
    assert.deepEqual(inbox.all.map(({ event }) => event), ["one", "two", "three"]);
  });

  test("an old client of version 1 talks with new ones", async () => {
    const old = listening(connect(undefined, { realtime: { vsn: "1.0.0" } }), "both", { broadcast: { ack: true } });
    const young = listening(connect(), "both", { broadcast: { ack: true } });
    await joined(old.channel);
    await joined(young.channel);
    await old.channel.send({ type: "broadcast", event: "e", payload: { from: "old" } });
    await young.inbox.find(({ payload }) => payload.from === "old");
    await young.channel.send({ type: "broadcast", event: "bytes", payload: new ArrayBuffer(2) });
    await young.channel.send({ type: "broadcast", event: "e", payload: { from: "young" } });
    await old.inbox.find(({ payload }) => payload.from === "young");
    assert.equal(old.inbox.all.length, 1, "version 1 has no bytes");
  });

  test("presence: state, joins and leaves, and a change", async () => {
    const room = (key) => connect().channel("presence", { config: { presence: { key } } });
    const [ada, grace] = [room("ada"), room("grace")];
    const seen = new Inbox();
    for (const event of ["sync", "join", "leave"]) {
      ada.on("presence", { event }, (what) => seen.put({ ...what, event, state: ada.presenceState() }));
    }
    grace.on("presence", { event: "sync" }, () => seen.put({ event: "grace", state: grace.presenceState() }));
    await joined(ada);
    await joined(grace);
    assert.equal(await ada.track({ mood: "calm" }), "ok");
    await seen.find(({ event, state }) => event === "grace" && state.ada?.[0].mood === "calm");
    assert.equal(await grace.track({ mood: "glad" }), "ok");
    await seen.find(({ event, key }) => event === "join" && key === "grace");
    assert.equal(await grace.track({ mood: "sad" }), "ok");
    await seen.find(({ event, state }) => event === "sync" && state.grace?.[0].mood === "sad" && state.grace.length === 1);
    await grace.unsubscribe();
    await seen.find(({ event, key }) => event === "leave" && key === "grace");
    await seen.find(({ event, state }) => event === "sync" && state.ada && !state.grace);
  });

  test("a fresh token keeps a channel that the old one would have ended", async () => {
    const short = token("authenticated", { sub: "ada", exp: Math.floor(Date.now() / 1000) + 3 });
    const [client, other] = [connect(), connect()];
    await Promise.all([client, other].map(({ realtime }) => realtime.setAuth(short)));
    const { channel, inbox } = listening(client, "fresh", { broadcast: { self: true, ack: true } });
    const old = listening(other, "old");
    const system = new Inbox();
    channel.on("system", {}, (message) => system.put(message));
    old.channel.on("system", {}, (message) => system.put({ ...message, old: true }));
    await joined(channel);
    const states = await joined(old.channel);
    await client.realtime.setAuth(token("authenticated", { sub: "ada" }));
    await system.find(({ old, message }) => old && /^Token has expired \d+ seconds ago$/.test(message));
    await states.find(({ state }) => state === "CLOSED");
    assert.equal(await channel.send({ type: "broadcast", event: "still", payload: {} }), "ok");
    await inbox.find(({ event }) => event === "still");
  });

  test("private channels go by the policies, and hear the database, again as well", async () => {
    await rowcast.sql(`create policy members on realtime.messages to authenticated
      using (realtime.topic() like 'room:%') with check (realtime.topic() = 'room:' || (auth.jwt() ->> 'room'))`);
    const member = async (room, config = {}) => {
      const client = connect();
      await client.realtime.setAuth(token("authenticated", { room }));
      return listening(client, "room:1", { private: true, broadcast: { ack: true, ...config } });
    };
    const stranger = listening(connect(), "room:1", { private: true });
    const states = new Inbox();
    stranger.channel.subscribe((state, error) => states.put({ state, error }));
    const { error } = await states.find(({ state }) => state === "CHANNEL_ERROR");
    assert.match(error.message, /Unauthorized: You do not have permissions to read from this Channel topic: room:1/);

    const [ada, guest] = [await member("1"), await member("2")];
    await joined(ada.channel);
    await joined(guest.channel);
    const send = ({ channel }) => channel.send({ type: "broadcast", event: "said", payload: {} });
    assert.equal(await send(guest), "error");
    assert.equal(await send(ada), "ok");
    await guest.inbox.find(({ event }) => event === "said");
    await rowcast.sql("select realtime.send(jsonb_build_object('n', n), 'db', 'room:1') from generate_series(1, 3) n");
    await ada.inbox.find(({ payload }) => payload.n === 3);
    const live = ada.inbox.all.map(({ payload, meta }) => [payload.n, Boolean(meta.id)]);
    assert.deepEqual(live, [[1, true], [2, true], [3, true]]);

    const late = await member("1", { replay: { since: 0, limit: 2 } });
    await joined(late.channel);
    await late.inbox.find(({ payload }) => payload.n === 3);
    assert.deepEqual(late.inbox.all.map(({ payload, meta }) => [payload.n, meta.replayed]), [[2, true], [3, true]]);
  });

  test("a token that is wrong is told in the reference's words", async () => {
    const client = connect();
    await client.realtime.setAuth(`${token("anon")}x`);
    const { channel } = listening(client, "wrong");
    const states = new Inbox();
    channel.subscribe((state, error) => states.put({ state, error }));
    const { error } = await states.find(({ state }) => state === "CHANNEL_ERROR");
    assert.match(error.message, /JwtSignatureError: Failed to validate JWT signature/);
  });

  test("clients come back after a crash of the bridge, with their presences", async () => {
    const ada = listening(connect(), "crash", { broadcast: { ack: true } });
    const grace = listening(connect(), "crash", { presence: { key: "grace" } });
    const present = new Inbox();
    grace.channel.on("presence", { event: "sync" }, () => present.put(grace.channel.presenceState()));
    const ups = { ada: await joined(ada.channel), grace: new Inbox() };
    grace.channel.subscribe(async (state) => {
      ups.grace.put({ state });
      if (state === "SUBSCRIBED") await grace.channel.track({ here: true });
    });
    await present.find((state) => state.grace);
    await rowcast.kill();
    await ups.ada.find(({ state }) => state === "CHANNEL_ERROR" || state === "TIMED_OUT" || state === "CLOSED", 30_000);
    const again = present.all.length;
    await rowcast.start();
    const back = (inbox) => inbox.find(() => inbox.all.filter(({ state }) => state === "SUBSCRIBED").length > 1, 60_000);
    await Promise.all([back(ups.ada), back(ups.grace)]);
    assert.equal(await ada.channel.send({ type: "broadcast", event: "back", payload: {} }), "ok");
    await grace.inbox.find(({ event }) => event === "back");
    await present.find((state) => state.grace?.length === 1 && present.all.length > again);
  });
});
