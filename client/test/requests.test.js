// What RowcastClient asks of the real bridge: to subscribe, to say that one types, to send once, to try now.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { WebSocket } from "ws";

import { open, startBridge, until } from "./world.js";

describe("what RowcastClient asks", { timeout: 120_000 }, () => {
  let rowcast, ada, grace, thread;
  const clients = new Set();

  before(async () => {
    rowcast = await startBridge();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
  });

  after(async () => {
    for (const { client } of clients) client.close();
    await rowcast?.stop();
  });

  function start(user, options) {
    const opened = open(rowcast.http, user, options);
    clients.add(opened);
    return opened;
  }

  test("who subscribes is told who is here, and then who comes and goes", async () => {
    const other = start(grace);
    await other.online();
    for (const way of ["socket", "events"]) {
      const one = start(ada, { transports: [way] });
      await one.online();
      await one.client.subscribe(thread.id);
      const of = (status) => one.inbox.find((event) => event.name === "presence" && event.user_id === grace.user_id && event.status === status);
      await of("online");
      if (way === "events") {
        other.client.close();
        await of("offline");
      }
      one.client.close();
    }
  });

  test("however often keys are pressed, typing is said every two seconds at most, and its end once", async () => {
    const sent = [];
    class Counting extends WebSocket {
      send(text) {
        sent.push(JSON.parse(text));
        super.send(text);
      }
    }
    const one = start(ada, { WebSocket: Counting });
    await one.online();
    for (let n = 0; n < 50; n++) one.client.typing(thread.id);
    for (let n = 0; n < 5; n++) one.client.typing(thread.id, false);
    assert.deepEqual(sent.filter(({ type }) => type === "typing").map(({ is_typing }) => is_typing), [true, false]);
    one.client.close();
  });

  test("a message with an id of one's own is there once, however often it is sent", async () => {
    const one = start(ada);
    await one.online();
    const id = randomUUID();
    const sent = await Promise.all([1, 2, 3].map(() => one.client.send(thread.id, "Once", { id })));
    assert.deepEqual(sent.map((message) => message.id), [id, id, id]);
    await one.message(id);
    const [{ n }] = await rowcast.sql("select count(*)::int n from chat.messages where content = 'Once'");
    assert.equal(n, 1);
    const other = start(grace);
    await other.online();
    await assert.rejects(other.client.send(thread.id, "Mine", { id }), { code: "bad_request" });
    await assert.rejects(one.client.send(thread.id, "Nonsense", { id: "nonsense" }), { code: "bad_request" });
    one.client.close();
    other.client.close();
  });

  test("who does not want to wait for the back-off tries at once", async () => {
    const one = start(ada, { timing: { backoff: 3_600_000, longestBackoff: 3_600_000 } });
    await one.online();
    await rowcast.kill();
    const { retryInMs } = await one.inbox.find(({ status }) => status === "offline");
    assert.ok(retryInMs > 0);
    await rowcast.start();
    one.client.retry();
    await until(() => one.client.status.status === "online");
    one.client.close();
  });
});
