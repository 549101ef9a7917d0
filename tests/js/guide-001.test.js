// The flow of guide 001 with the client class that it prints, unchanged.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import vm from "node:vm";

import { WebSocket as Ws } from "ws";

import { Inbox, Rowcast } from "./rowcast.js";

const MESSAGE = ["content", "created_at", "id", "message_type", "sender", "sender_id", "thread_id"];
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

describe("guide 001", { timeout: 120_000 }, () => {
  let rowcast, ada, grace, thread;

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
  });

  after(() => rowcast?.stop());

  test("the printed client connects, subscribes, receives, pings and comes back after a restart", async () => {
    const frames = new Inbox();
    const messages = new Inbox();
    const ChatClient = await printedClient(frames);
    const client = new ChatClient(ada.token, rowcast.http);
    client.onMessageCallback = (message) => messages.put(message);
    client.connect();

    const established = await frames.find((frame) => frame.type === "connection_established");
    assert.equal(established.user_id, ada.user_id);
    assert.match(established.timestamp, RFC3339);

    client.subscribeToThread(thread.id);
    const subscribed = await frames.find((frame) => frame.type === "thread_subscribed");
    assert.equal(subscribed.thread_id, thread.id);

    const id = await rowcast.say(thread.id, grace.user_id, "Hello!");
    const message = await messages.find((one) => one.id === id);
    assert.deepEqual(Object.keys(message).sort(), MESSAGE);
    assert.match(message.created_at, RFC3339);
    assert.deepEqual(
      { ...message, created_at: "" },
      {
        id,
        thread_id: thread.id,
        sender_id: grace.user_id,
        content: "Hello!",
        message_type: "text",
        created_at: "",
        sender: { full_name: "Grace Hopper", role: "teacher" },
      },
    );

    client.ping();
    await frames.find((frame) => frame.type === "pong");

    client.unsubscribeFromThread(thread.id);
    const unsubscribed = await frames.find((frame) => frame.type === "thread_unsubscribed");
    assert.equal(unsubscribed.thread_id, thread.id);

    const again = new Inbox();
    client.frames = again;
    await rowcast.kill();
    await rowcast.start();
    await again.find((frame) => frame.type === "connection_established");
    const later = await rowcast.say(thread.id, grace.user_id, "Still there?");
    await messages.find((one) => one.id === later);
    assert.equal(messages.all.filter((one) => one.id === later).length, 1);

    client.maxReconnectAttempts = 0;
    client.disconnect();
  });

  test("a reopened app syncs: unread count, offline messages, mark read", async () => {
    const start = await rowcast.call(grace, "GET", "/api/chat/unread-count");
    assert.equal(start.status, 200);
    assert.equal(start.body.status, "success");
    const unread = start.body.data.unread_count;

    const checked = await rowcast.call(grace, "GET", "/api/chat/offline-messages?last_check_time=2024-01-01T00:00:00Z");
    assert.match(checked.body.data.last_check_time, RFC3339);
    const missed = [await rowcast.say(thread.id, ada.user_id, "First"), await rowcast.say(thread.id, ada.user_id, "Second")];

    const counted = await rowcast.call(grace, "GET", "/api/chat/unread-count");
    assert.equal(counted.body.data.unread_count, unread + 2);

    const since = encodeURIComponent(checked.body.data.last_check_time);
    const { body } = await rowcast.call(grace, "GET", `/api/chat/offline-messages?last_check_time=${since}`);
    assert.equal(body.status, "success");
    assert.equal(body.data.count, body.data.messages.length);
    assert.deepEqual(body.data.messages.slice(-2).map((message) => message.id), missed);
    assert.deepEqual(Object.keys(body.data.messages.at(-1)).sort(), MESSAGE);

    const read = await rowcast.call(grace, "POST", `/api/chat/mark-read/${thread.id}`);
    assert.equal(read.body.status, "success");
    assert.equal(read.body.message, "Messages marked as read");
    assert.equal(read.body.thread_id, thread.id);
    assert.equal(read.body.user_id, grace.user_id);
    const done = await rowcast.call(grace, "GET", "/api/chat/unread-count");
    assert.equal(done.body.data.threads[thread.id] ?? 0, 0);
  });

  test("unsubscribe silences the feed and subscribe brings it back", async () => {
    const off = await rowcast.call(ada, "POST", "/api/chat/unsubscribe");
    assert.deepEqual([off.body.status, off.body.user_id], ["success", ada.user_id]);
    const on = await rowcast.call(ada, "POST", "/api/chat/subscribe");
    assert.deepEqual(on.body, {
      status: "success",
      message: "Subscribed to real-time messages",
      user_id: ada.user_id,
    });
  });

  test("a bad token is refused at the door", async () => {
    const refused = await rowcast.call({ token: "nonsense" }, "GET", "/api/chat/unread-count");
    assert.equal(refused.status, 401);
    assert.deepEqual([refused.body.status, refused.body.code], ["error", "unauthorized"]);
  });
});

/** The class as printed, in a world whose sockets also tell the test what came. */
async function printedClient(frames) {
  const source = await readFile(new URL("fixtures/guide-001-chat-client.js", import.meta.url), "utf8");
  const quiet = { log() {}, error() {} };
  const world = { WebSocket: globalThis.WebSocket ?? Ws, JSON, console: quiet, setTimeout };
  const ChatClient = vm.runInNewContext(`(${source})`, world);
  return class extends ChatClient {
    frames = frames;
    handleMessage(message) {
      this.frames.put(message);
      super.handleMessage(message);
    }
  };
}
