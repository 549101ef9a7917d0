// Guide 002's events against the bridge: `auth` after connecting, over every transport, and the polling fallback.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { io } from "socket.io-client";

import { Inbox, Rowcast } from "./rowcast.js";

const WAYS = {
  "WebSocket only": { transports: ["websocket"] },
  "polling only": { transports: ["polling"] },
  upgrading: { transports: ["polling", "websocket"] },
};

describe("guide 002", { timeout: 180_000 }, () => {
  let rowcast, ada, grace, thread;
  const sockets = new Set();

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
  });

  after(async () => {
    for (const socket of sockets) socket.disconnect();
    await rowcast?.stop();
  });

  function open(user, options) {
    const socket = io(rowcast.http, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
    sockets.add(socket);
    const inbox = new Inbox();
    socket.onAny((name, data) => inbox.put([name, data]));
    socket.on("disconnect", (reason) => inbox.put(["disconnect", reason]));
    const ask = (name, data) => socket.timeout(10_000).emitWithAck(name, data);
    const authenticated = new Promise((resolve) => {
      socket.on("connect", async () => {
        if (!user) return;
        const answer = await ask("auth", { token: user.token });
        if (answer.success) await ask("subscribe_conversation", { conversationId: thread.id });
        inbox.put(["ready", answer]);
        resolve(answer);
      });
    });
    return { socket, inbox, ask, authenticated };
  }

  const named = (name, fits = () => true) => ([one, data]) => one === name && fits(data);

  for (const [way, options] of Object.entries(WAYS)) {
    test(`${way}: authenticates by event, subscribes, sends, types and reads`, async () => {
      const one = open(ada, options);
      const other = open(grace, options);
      assert.deepEqual(await one.authenticated, { success: true, userId: ada.user_id });
      await other.authenticated;

      one.socket.emit("typing", { conversationId: thread.id, isTyping: true });
      await other.inbox.find(named("typing:status", (data) => data.userId === ada.user_id && data.isTyping));
      const began = Date.now();
      await other.inbox.find(named("typing:status", (data) => data.userId === ada.user_id && !data.isTyping));
      const lasted = Date.now() - began;
      assert.ok(lasted > 2_000 && lasted < 4_500, `typing ended by itself after ${lasted} ms`);

      const sent = await one.ask("message:send", { conversationId: thread.id, content: `By ${way}` });
      assert.equal(sent.success, true);
      const [, news] = await other.inbox.find(named("new_message", (data) => data.message.id === sent.message.id));
      assert.deepEqual(news, { conversationId: thread.id, message: sent.message });
      const [, updated] = await other.inbox.find(named("conversation:updated", (data) => data.lastMessage?.id === sent.message.id));
      assert.deepEqual(Object.keys(updated).sort(), ["conversationId", "lastMessage", "unreadCount", "updatedAt"]);
      assert.ok(updated.unreadCount > 0);
      assert.equal(one.inbox.all.filter(named("new_message")).length, 0);

      assert.equal((await other.ask("conversation:read", { conversationId: thread.id })).success, true);
      const [, read] = await one.inbox.find(named("message:read", (data) => data.userId === grace.user_id));
      assert.deepEqual(read, { conversationId: thread.id, messageId: sent.message.id, userId: grace.user_id });
      await other.inbox.find(named("conversation:updated", (data) => data.unreadCount === 0));
      for (const { socket } of [one, other]) socket.disconnect();
    });
  }

  test("comes back and authenticates again after a restart", async () => {
    const { socket, inbox, authenticated } = open(grace, { transports: ["websocket"] });
    await authenticated;
    await rowcast.kill();
    await rowcast.start();
    while (inbox.all.filter(named("ready")).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    const id = await rowcast.say(thread.id, ada.user_id, "Back?");
    await inbox.find(named("new_message", (data) => data.message.id === id));
    socket.disconnect();
  });

  test("a socket that says nothing is sent away, one with a bad token at once", async () => {
    const bad = open(null, { transports: ["websocket"] });
    const answer = await bad.ask("auth", { token: "nonsense" });
    assert.equal(answer.code, 401);
    const [, reason] = await bad.inbox.find(named("disconnect"));
    assert.equal(reason, "io server disconnect");
    const silent = open(null, { transports: ["polling"] });
    const [, later] = await silent.inbox.find(named("disconnect"));
    assert.equal(later, "io server disconnect");
  });

  test("the fallback: polling REST by a cookie, whose writes need the CSRF token", async () => {
    await rowcast.sql("insert into chat.login_sessions values ('opaque', chat.user($1), now() + interval '1 hour')", ada.user_id);
    const url = `${rowcast.http}/api/conversations`;
    const list = await fetch(url, { headers: { cookie: "session_id=opaque" } });
    assert.equal(list.status, 200);
    const [csrf] = list.headers.getSetCookie();
    assert.match(csrf, /^csrf_token=[0-9a-f]{32}; Path=\/; SameSite=Lax$/);
    const token = /=([0-9a-f]+)/.exec(csrf)[1];
    const conversations = await list.json();
    assert.ok(conversations.some((one) => one.id === thread.id));

    const cookie = `session_id=opaque; csrf_token=${token}`;
    const post = (headers) =>
      fetch(`${url}/${thread.id}/messages`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ content: "By the fallback" }),
      });
    for (const headers of [{ cookie }, { cookie: "session_id=opaque" }, { cookie, "x-csrf-token": "0" }, { cookie: "session_id=opaque", "x-csrf-token": token }]) {
      const refused = await post(headers);
      assert.equal(refused.status, 403, JSON.stringify(headers));
      assert.equal((await refused.json()).code, 403);
    }
    const sent = await post({ cookie, "x-csrf-token": token });
    assert.equal(sent.status, 201);
    const message = await sent.json();
    const since = encodeURIComponent(message.createdAt);
    const page = await fetch(`${url}/${thread.id}/messages?since=${since}`, { headers: { cookie } });
    assert.ok((await page.json()).some((one) => one.id === message.id));
    const bearer = await fetch(`${url}/${thread.id}/read`, { method: "POST", headers: { authorization: `Bearer ${grace.token}` } });
    assert.equal((await bearer.json()).success, true);
  });

  test("a browser's cookie enters, and `auth` still leads to this dialect", async () => {
    const extraHeaders = { cookie: "session_id=opaque" };
    const { inbox, authenticated, socket } = open(ada, { extraHeaders });
    assert.equal((await authenticated).userId, ada.user_id);
    await inbox.find(named("ready", (answer) => answer.success));
    socket.disconnect();
  });
});
