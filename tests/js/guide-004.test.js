// Guide 004's client against the bridge, and its checklist: the real socket.io-client over every transport.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { io } from "socket.io-client";

import { printedClient } from "./fixtures/guide-004-snippets.js";
import { Inbox, Rowcast } from "./rowcast.js";

const WAYS = {
  "WebSocket only": { transports: ["websocket"] },
  "polling only": { transports: ["polling"] },
  upgrading: { transports: ["polling", "websocket"] },
};
const MESSAGE = ["content", "created_at", "id", "is_read", "receiver_id", "sender_id"];

describe("guide 004", { timeout: 180_000 }, () => {
  let rowcast, ada, grace, linus;
  const sockets = new Set();

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace, linus } = await rowcast.users());
  });

  after(async () => {
    for (const socket of sockets) socket.disconnect();
    await rowcast?.stop();
  });

  /** A socket whose events are kept as [name, data]. */
  function open(options) {
    const socket = io(rowcast.http, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
    sockets.add(socket);
    const inbox = new Inbox();
    socket.onAny((name, data) => inbox.put([name, data]));
    for (const name of ["connect", "disconnect", "connect_error"]) socket.on(name, (data) => inbox.put([name, data]));
    const ask = (name, data) => socket.timeout(10_000).emitWithAck(name, data);
    return { socket, inbox, ask };
  }

  const named = (name, fits = () => true) => ([one, data]) => one === name && fits(data);

  for (const [way, options] of Object.entries(WAYS)) {
    test(`${way}: connects, talks with acks, and is heard`, async () => {
      const one = open({ ...options, auth: { token: ada.token } });
      const other = open({ ...options, auth: { token: linus.token } });
      await Promise.all([one.inbox.find(named("connect")), other.inbox.find(named("connect"))]);
      if (way === "upgrading") {
        for (const { socket } of [one, other]) {
          const { engine } = socket.io;
          if (engine.transport.name !== "websocket") await new Promise((resolve) => engine.once("upgrade", resolve));
          assert.equal(engine.transport.name, "websocket");
        }
      }

      const joined = await one.ask("join_conversation", { other_user_id: linus.user_id });
      assert.equal(joined.success, true);
      const again = await other.ask("join_conversation", { other_user_id: ada.user_id });
      assert.equal(again.room_id, joined.room_id);

      const content = `Hello by ${way}: Grüße, 你好 \u{1f44b}`;
      const sent = await one.ask("send_message_realtime", { receiver_id: linus.user_id, content });
      assert.equal(sent.success, true);
      const [, message] = await other.inbox.find(named("new_message", (data) => data.id === sent.message_id));
      assert.deepEqual(Object.keys(message).sort(), MESSAGE);
      assert.equal(message.content, content);
      const [, notice] = await other.inbox.find(named("new_message_notification", (data) => data.message_id === sent.message_id));
      assert.deepEqual([notice.sender_name, notice.content_preview], ["Ada Lovelace", content]);

      assert.deepEqual(await other.ask("mark_delivered", { message_id: sent.message_id }), { success: true });
      await one.inbox.find(named("message_delivered", (data) => data.message_id === sent.message_id));
      const read = await other.ask("mark_read_realtime", { other_user_id: ada.user_id });
      assert.equal(read.success, true);
      const [, told] = await one.inbox.find(named("messages_read"));
      assert.deepEqual([told.reader_id, told.count], [linus.user_id, read.marked_read]);

      other.socket.emit("typing", { receiver_id: ada.user_id });
      await one.inbox.find(named("user_typing", (data) => data.user_id === linus.user_id));
      other.socket.disconnect();
      await one.inbox.find(named("user_stopped_typing"));
      const [, gone] = await one.inbox.find(named("user_offline", (data) => data.user_id === linus.user_id));
      assert.ok(Date.parse(gone.last_seen) > Date.now() - 60_000);
      assert.equal(one.inbox.all.filter(named("new_message")).length, 0, "the sender's own socket has its ack");
      one.socket.disconnect();
    });

    test(`${way}: a refused token is a connect_error, a fresh one connects`, async () => {
      const { socket, inbox } = open({ ...options, auth: { token: "nonsense" } });
      const [, error] = await inbox.find(named("connect_error"));
      assert.ok(error.message.length > 5, error.message);
      assert.equal(error.data.code, 401);
      socket.auth.token = ada.token;
      socket.connect();
      await inbox.find(named("connect"));
      socket.disconnect();
    });

    test(`${way}: a client comes back by itself after a crash and a restart of the bridge`, async () => {
      const { socket, inbox, ask } = open({ ...options, auth: { token: grace.token } });
      await inbox.find(named("connect"));
      let rejoined = 0;
      socket.on("connect", () => rejoined++);
      await rowcast.kill();
      await inbox.find(named("disconnect"));
      await rowcast.start();
      while (rejoined === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      const joined = await ask("join_conversation", { other_user_id: ada.user_id });
      assert.equal(joined.success, true);
      const id = await rowcast.say(joined.room_id, ada.user_id, "Still there?");
      await inbox.find(named("new_message", (message) => message.id === id));
      assert.equal(inbox.all.filter(named("new_message", (message) => message.id === id)).length, 1);
      socket.disconnect();
    });
  }

  test("the printed client: REST sends, the socket delivers, and the sender is told", async () => {
    const [hers, his] = [new Inbox(), new Inbox()];
    const client = (user, inbox) =>
      printedClient({ io, fetch, url: rowcast.http, accessToken: user.token, ui: (...what) => inbox.put(what) });
    const one = client(ada, hers);
    const other = client(linus, his);
    sockets.add(one.socket).add(other.socket);
    await Promise.all([hers.find(named("connect")), his.find(named("connect"))]);
    assert.equal((await one.profile(linus.user_id)).is_online, true);

    one.handleTyping(linus.user_id);
    await his.find(named("user_typing", (data) => data.user_id === ada.user_id));
    const id = await one.handleSendMessage(linus.user_id, "Dinner?");
    const [, message] = await his.find(named("new_message", (data) => data.id === id));
    assert.equal(message.receiver_id, linus.user_id);
    await his.find(named("user_stopped_typing"));
    await hers.find(named("message_delivered", (data) => data.message_id === id));

    const read = await other.read(ada.user_id);
    assert.equal(read.success, true);
    await hers.find(named("messages_read", (data) => data.reader_id === linus.user_id && data.count === read.marked_read));

    await rowcast.sql("update chat.users set credits = 1 where uuid = $1", linus.user_id);
    assert.ok(await other.handleSendMessage(ada.user_id, "Yes"));
    await other.handleSendMessage(ada.user_id, "And dessert");
    const [, refused] = await his.find(named("buy_credits"));
    assert.deepEqual(refused, { error: "Insufficient credits", code: 402 });
    const socketRefused = await other.ask("send_message_realtime", { receiver_id: ada.user_id, content: "Really" });
    assert.equal(socketRefused.code, 402);
    await rowcast.sql("update chat.users set credits = 100 where uuid = $1", linus.user_id);
    one.socket.disconnect();
    other.socket.disconnect();
  });

  test("all devices of a user hear, offline messages wait, and logging out ends every socket", async () => {
    const phone = open({ auth: { token: linus.token } });
    const laptop = open({ auth: { token: linus.token } });
    await Promise.all([phone.inbox.find(named("connect")), laptop.inbox.find(named("connect"))]);
    const sent = await rowcast.call(ada, "POST", "/api/messages/send", { receiver_id: linus.user_id, content: "Both?" });
    assert.equal(sent.status, 201);
    for (const { inbox } of [phone, laptop]) await inbox.find(named("new_message", (one) => one.id === sent.body.message_id));

    await phone.ask("mark_read_realtime", { other_user_id: ada.user_id });
    await laptop.inbox.find(named("messages_read", (data) => data.reader_id === linus.user_id));

    for (const { socket } of [phone, laptop]) socket.disconnect();
    const since = encodeURIComponent(sent.body.message.created_at);
    const missed = await rowcast.call(ada, "POST", "/api/messages/send", { receiver_id: linus.user_id, content: "Asleep?" });
    const history = await rowcast.call(linus, "GET", `/api/messages/conversation/${ada.user_id}?since=${since}`);
    assert.ok(history.body.messages.some((one) => one.id === missed.body.message_id));

    const back = open({ auth: { token: linus.token } });
    await back.inbox.find(named("connect"));
    const out = await rowcast.call(linus, "POST", "/api/auth/logout");
    assert.equal(out.body.success, true);
    const [, reason] = await back.inbox.find(named("disconnect"));
    assert.equal(reason, "io server disconnect");
    assert.ok(back.inbox.all.some(named("error", (error) => error.code === 4401)));
    back.socket.connect();
    const [, refused] = await back.inbox.find(named("connect_error"));
    assert.equal(refused.data.code, 401);
  });
});
