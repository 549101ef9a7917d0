// MessagingSystem and MessagingManager outside a page, against the real bridge: events, fallback, catching up, and no leaks.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { MessagingManager, MessagingSystem, escapeHtml } from "../dist/messaging.js";
import { Inbox, Proxy, mint, startBridge, until } from "./world.js";

const EVENTS = ["messaging:connection", "messaging:typing", "messaging:read", "messagingManager:typingUpdate", "messagingManager:readReceipt"];

describe("the messaging system of guide 002", { timeout: 240_000 }, () => {
  let rowcast, proxy, ada, grace, thread;
  const systems = new Set();

  before(async () => {
    rowcast = await startBridge();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
    proxy = await Proxy.to(rowcast.http);
  });

  after(async () => {
    for (const system of systems) system.destroy();
    await proxy?.close();
    await rowcast?.stop();
  });

  /** A system with all that it tells; its events go to a target of its own, as there is no page. */
  function make(user, options = {}) {
    const inbox = new Inbox();
    const target = new EventTarget();
    for (const name of EVENTS) target.addEventListener(name, (event) => inbox.put({ name, ...event.detail }));
    const toast = (text, kind) => inbox.put({ name: "toast", text, kind });
    const system = new MessagingSystem({ url: rowcast.http, token: user.token, target, toast, pollInterval: 200, ...options });
    systems.add(system);
    const online = () => inbox.find(({ name, status }) => name === "messaging:connection" && status === "online", 30_000);
    const has = (id) => inbox.find(({ messages }) => messages?.some((one) => one.id === id), 30_000);
    const listen = () => system.listenToMessages(thread.id, (messages) => inbox.put({ name: "messages", messages }));
    return { system, target, inbox, online, has, listen };
  }

  const say = (content, sender = grace) => rowcast.say(thread.id, sender.user_id, content);

  test("it has the properties and methods that the guide names", () => {
    const { system, target } = make(ada);
    assert.equal(system.socket, null);
    assert.equal(system.isConnected, false);
    assert.ok(system.activeConversations instanceof Set);
    for (const name of ["conversationCallbacks", "messageCallbacks", "typingTimeouts"]) assert.ok(system[name] instanceof Map, name);
    const methods = ["initWebSocket", "connectWebSocket", "joinConversation", "leaveConversation", "sendTypingStatus", "handleNewMessage", "handleConversationUpdate", "handleTypingStatus", "handleMessageRead", "startFallbackPolling", "stopFallbackPolling", "listenToUserConversations"];
    for (const name of methods) assert.equal(typeof system[name], "function", name);
    const manager = new MessagingManager(target);
    assert.ok(manager.typingUsers instanceof Map);
    assert.equal(manager.connectionStatusElement, null);
    const its = ["handleTypingStatus", "handleReadReceipt", "handleConnectionStatus", "updateConnectionIndicator", "getTypingUsers", "isTyping", "createTypingIndicator", "showTypingIndicator", "hideTypingIndicator"];
    for (const name of its) assert.equal(typeof manager[name], "function", name);
    assert.equal(new MessagingManager(target), manager, "two would tell everything twice");
    manager.destroy();
    assert.equal(escapeHtml(`<img src="x" onerror='a&b'>`), "&lt;img src=&quot;x&quot; onerror=&#39;a&amp;b&#39;&gt;");
  });

  test("listening connects; messages, updates, typing and reads arrive, and the last one who leaves ends it", async () => {
    const one = make(ada);
    const other = make(grace);
    const stopList = one.system.listenToUserConversations(ada.user_id, "teacher", (conversations) => one.inbox.put({ name: "list", conversations }));
    const stop = one.listen();
    const stopOther = other.listen();
    await Promise.all([one.online(), other.online()]);
    assert.equal(one.system.isConnected, true);
    assert.equal(one.system.userId, ada.user_id);
    const { conversations } = await one.inbox.find(({ conversations }) => conversations?.some(({ id }) => id === thread.id));
    const fields = ["id", "kind", "lastMessage", "name", "participants", "unreadCount", "updatedAt"];
    assert.deepEqual(Object.keys(conversations[0]).sort(), fields);
    assert.deepEqual(Object.keys(conversations[0].participants[0]).sort(), ["fullName", "id", "role", "username"]);
    await other.inbox.find(({ name }) => name === "messages");

    const manager = new MessagingManager(one.target);
    // Again and again, as keys are pressed: until the other one's subscription is in force nothing is seen of it.
    const said = [];
    other.system.socket.onAnyOutgoing((name, data) => name === "typing" && said.push({ ...data, at: Date.now() }));
    const typed = setInterval(() => other.system.sendTypingStatus(thread.id, true), 20);
    const typing = await one.inbox.find(({ name }) => name === "messagingManager:typingUpdate").finally(() => clearInterval(typed));
    const gaps = said.slice(1).map(({ at }, index) => at - said[index].at);
    assert.ok(gaps.every((gap) => gap >= 1_000), `at most once a second: ${gaps}`);
    assert.deepEqual({ ...typing, name: 0 }, { name: 0, conversationId: thread.id, typingUserIds: [grace.user_id], isTyping: true });
    assert.ok(manager.isTyping(thread.id));
    assert.deepEqual(manager.getTypingUsers(thread.id), [grace.user_id]);
    assert.equal(other.system.typingTimeouts.size, 1);
    await one.inbox.find(({ name, isTyping }) => name === "messaging:typing" && !isTyping);
    await until(() => said.at(-1).isTyping === false);
    assert.equal(other.system.typingTimeouts.size, 0);
    assert.equal(manager.isTyping(thread.id), false);

    const sent = await other.system.sendMessage(thread.id, "<i>Hello</i>");
    assert.equal(sent.content, "<i>Hello</i>");
    await Promise.all([one.has(sent.id), other.has(sent.id)]);
    await one.inbox.find(({ conversations }) => conversations?.[0].lastMessage?.id === sent.id && conversations[0].unreadCount > 0);
    assert.ok((await one.system.markAsRead(thread.id)) > 0);
    const read = await other.inbox.find(({ name }) => name === "messaging:read");
    assert.deepEqual(read, { name: "messaging:read", conversationId: thread.id, messageId: sent.id, userId: ada.user_id });
    await one.inbox.find(({ conversations }) => conversations?.find(({ id }) => id === thread.id).unreadCount === 0);
    await other.inbox.find(({ messages }) => messages?.find(({ id }) => id === sent.id)?.isRead);
    await assert.rejects(one.system.sendMessage(thread.id, ""), { name: "MessagingError", code: 400 });
    await one.inbox.find(({ name, kind }) => name === "toast" && kind === "error");

    stopList();
    assert.ok(one.system.socket);
    stop();
    assert.equal(one.system.socket, null);
    stopOther();
    manager.destroy();
  });

  test("when the bridge dies it polls and says so once; back again it has what it missed, once", async () => {
    const one = make(ada);
    one.listen();
    await one.online();
    await one.inbox.find(({ name }) => name === "messages");
    const first = await say("before the crash");
    await one.has(first);
    await rowcast.kill();
    await one.inbox.find(({ status }) => status === "offline");
    assert.equal(one.system.isConnected, false);
    for (let n = 0; n < 5; n++) await say(`during ${n}`);
    await rowcast.start();
    const last = await say("after the crash");
    await one.has(last);
    await one.inbox.find(({ text }) => text === "Connection restored", 60_000);
    const end = await say("the end");
    await one.has(end);
    const { messages } = await one.has(end);
    const mine = messages.slice(messages.findIndex(({ id }) => id === first)).map(({ content }) => content);
    assert.deepEqual(mine, ["before the crash", "during 0", "during 1", "during 2", "during 3", "during 4", "after the crash", "the end"]);
    assert.equal(one.inbox.all.filter(({ text }) => text === "Using fallback polling mode").length, 1);
    one.system.destroy();
  });

  test("where Socket.IO is blocked messages come by polling, writes go by REST, and the socket is taken when it works", async () => {
    proxy.socketIo = false;
    const one = make(ada, { url: proxy.url });
    one.listen();
    await one.inbox.find(({ status }) => status === "offline");
    const polled = await say("by polling");
    await one.has(polled);
    const sent = await one.system.sendMessage(thread.id, "by REST");
    await one.has(sent.id);
    await one.system.markAsRead(thread.id);
    proxy.socketIo = true;
    await one.online();
    const live = await say("by the socket");
    await one.has(live);
    one.system.destroy();
  });

  test("a token that ends is asked for again, and the conversation goes on", async () => {
    const asked = [];
    const one = make(ada, { token: ({ refused }) => (asked.push(refused), mint(ada, asked.length === 1 ? 2 : 600)) });
    one.listen();
    await one.online();
    await one.inbox.find(({ status }) => status === "offline");
    const missed = await say("while it was out");
    await one.has(missed);
    await one.inbox.find(({ text }) => text === "Connection restored", 30_000);
    assert.ok(asked.length >= 2);
    one.system.destroy();
  });

  test("a thousand connections and disconnections leave no listener, timer or socket", async () => {
    const resources = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return process.getActiveResourcesInfo().filter((kind) => /Timeout|TCPSocket/.test(kind)).length;
    };
    const added = new Map();
    const target = new EventTarget();
    for (const [method, by] of [["addEventListener", 1], ["removeEventListener", -1]]) {
      const real = target[method].bind(target);
      target[method] = (name, ...rest) => (added.set(name, (added.get(name) ?? 0) + by), real(name, ...rest));
    }
    const before = await resources();
    const system = new MessagingSystem({ url: rowcast.http, token: ada.token, target, toast: null });
    systems.add(system);
    const manager = new MessagingManager(target);
    let online = () => {};
    const watch = ({ detail }) => detail.status === "online" && online();
    target.addEventListener("messaging:connection", watch);
    for (let n = 0; n < 1_000; n++) {
      const connected = new Promise((resolve) => (online = resolve));
      const stop = system.listenToMessages(thread.id, () => {});
      const { socket } = system;
      // Each twentieth goes through to the end; the others end in the middle of connecting, where most is left lying.
      if (n % 20 === 0) await connected;
      if (n % 20 === 0) system.sendTypingStatus(thread.id, true);
      if (n % 7 === 0) system.startFallbackPolling();
      stop();
      assert.equal(system.socket, null);
      assert.equal(socket.listenersAny().length + socket.listeners("connect").length + socket.listeners("new_message").length, 0);
      assert.equal(socket.active, false);
      assert.equal(system.typingTimeouts.size + system.messageCallbacks.size + system.activeConversations.size, 0);
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    target.removeEventListener("messaging:connection", watch);
    manager.destroy();
    assert.ok([...added.values()].every((count) => count === 0), JSON.stringify([...added]));
    let left = await resources();
    for (let tries = 0; left > before && tries < 200; tries++) left = await resources();
    assert.ok(left <= before, `${left} timers and sockets, ${before} before: ${process.getActiveResourcesInfo()}`);
    system.destroy();
  });
});
