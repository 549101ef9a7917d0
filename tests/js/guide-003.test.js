// Guide 003: the frontend's polling over fetch, as its snippets do it, and the room's socket with `ws`.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";

import WebSocket from "ws";

import { Inbox, Rowcast } from "./rowcast.js";

describe("guide 003", { timeout: 120_000 }, () => {
  let rowcast, ada, grace, linus, room;

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace, linus } = await rowcast.users());
    const [{ id }] = await rowcast.sql("select id from chat.threads where name = 'Mathematics'");
    room = Number(id);
  });

  after(() => rowcast?.stop());

  /** A socket whose frames land in an inbox. */
  async function join(user, { header = false } = {}) {
    const url = `${rowcast.http.replace("http", "ws")}/ws/chat/${room}/`;
    const socket = header
      ? new WebSocket(url, { headers: { Authorization: `Bearer ${user.token}` } })
      : new WebSocket(`${url}?token=${user.token}`);
    const frames = new Inbox();
    socket.on("message", (data) => frames.put(JSON.parse(data)));
    await once(socket, "open");
    return { socket, frames, send: (frame) => socket.send(JSON.stringify(frame)) };
  }

  test("typing as the guide's curl calls do it", async () => {
    const typing = await rowcast.call(ada, "POST", `/api/chat/rooms/${room}/typing/`, { is_typing: true });
    assert.deepEqual(typing, { status: 200, body: { success: true, message: "Typing status updated" } });
    const { body: rooms } = await rowcast.call(grace, "GET", "/api/chat/rooms/");
    const one = rooms.find((each) => each.id === room);
    assert.deepEqual(one.typing_user, { id: one.participants[0].id, username: "ada", first_name: "Ada", last_name: "Lovelace" });
    const { body: own } = await rowcast.call(ada, "GET", `/api/chat/rooms/${room}/`);
    assert.equal(own.typing_user, null);
    await rowcast.call(ada, "POST", `/api/chat/rooms/${room}/typing/`, { is_typing: false });
    const { body: later } = await rowcast.call(grace, "GET", `/api/chat/rooms/${room}/`);
    assert.equal(later.typing_user, null);
  });

  test("polling with the last timestamp gives each message once, its own clock at first", async () => {
    let lastPollTime = new Date().toISOString();
    const got = [];
    const poll = async () => {
      const { status, body } = await rowcast.call(ada, "GET", `/api/chat/messages/poll/?room_id=${room}&since=${lastPollTime}`);
      assert.equal(status, 200);
      lastPollTime = body.timestamp;
      got.push(...body.messages.map((message) => message.content));
    };
    for (let nth = 0; nth < 20; nth++) {
      await rowcast.say(room, grace.user_id, `poll ${nth}`);
      await poll();
      await poll();
    }
    assert.deepEqual(got.filter((content) => content.startsWith("poll")), Array.from({ length: 20 }, (_, nth) => `poll ${nth}`));
  });

  test("the socket echoes messages to all, and typing to the others", async () => {
    const one = await join(ada);
    const two = await join(grace, { header: true });
    one.send({ type: "typing", is_typing: true });
    const typing = await two.frames.find((frame) => frame.type === "typing");
    assert.equal(typing.username, "ada");
    assert.equal(typing.is_typing, true);
    one.send({ type: "message", content: "Hello, room" });
    const echo = await one.frames.find((frame) => frame.type === "message");
    const message = await two.frames.find((frame) => frame.type === "message");
    assert.deepEqual(echo, message);
    assert.deepEqual(Object.keys(message.message).sort(), ["content", "created_at", "id", "is_read", "room", "sender"]);
    assert.ok(one.frames.all.every((frame) => frame.type !== "typing"));
    const { body } = await rowcast.call(linus, "GET", `/api/chat/messages/poll/?room_id=${room}&wait=5`);
    assert.ok(body.messages.some((each) => each.id === message.message.id));
    one.socket.close();
    two.socket.close();
  });

  test("who is not in the room is refused before the upgrade", async () => {
    const [{ id }] = await rowcast.sql("insert into chat.threads (kind, name) values ('group', 'Elsewhere') returning id");
    const url = `${rowcast.http.replace("http", "ws")}/ws/chat/${id}/?token=${ada.token}`;
    const socket = new WebSocket(url);
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    socket.on("error", () => {});
    socket.terminate();
  });
});
