// The same feed as Server-Sent Events: a standard client resumes by Last-Event-ID without knowing it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { EventSource } from "eventsource";

import { Inbox, Rowcast } from "./rowcast.js";

describe("server-sent events", { timeout: 120_000 }, () => {
  let rowcast, ada, grace, thread;

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
  });

  after(() => rowcast?.stop());

  test("what was missed between two connections comes once, in order", async () => {
    const first = open(ada);
    await first.inbox.find((event) => event.data.type === "connection_established");
    const seen = await rowcast.say(thread.id, grace.user_id, "one");
    const event = await first.inbox.find(({ data }) => data.data?.id === seen);
    assert.ok(event.id, "an event of a row has an id");
    assert.equal(event.id, event.data.cursor);
    first.source.close();

    const missed = [];
    for (const content of ["two", "three", "four"]) missed.push(await rowcast.say(thread.id, grace.user_id, content));
    const second = open(ada, event.id);
    await second.inbox.find(({ data }) => data.data?.id === missed.at(-1));
    assert.deepEqual(messages(second.inbox), missed);
    second.source.close();
  });

  test("the client comes back by itself after a crash of the bridge, and misses nothing", async () => {
    const { inbox, source } = open(ada);
    await inbox.find((event) => event.data.type === "connection_established");
    const sent = [await rowcast.say(thread.id, grace.user_id, "before")];
    await inbox.find(({ data }) => data.data?.id === sent[0]);
    await rowcast.kill();
    sent.push(await rowcast.say(thread.id, grace.user_id, "while it was down"));
    await rowcast.start();
    sent.push(await rowcast.say(thread.id, grace.user_id, "after"));
    await inbox.find(({ data }) => data.data?.id === sent[2], 30_000);
    assert.deepEqual(messages(inbox), sent);
    source.close();
  });

  function open(user, lastEventId) {
    const inbox = new Inbox();
    const source = new EventSource(`${rowcast.http}/api/chat/events`, {
      fetch: (url, init) => {
        const headers = { ...init.headers, authorization: `Bearer ${user.token}` };
        if (lastEventId && !headers["Last-Event-ID"]) headers["Last-Event-ID"] = lastEventId;
        return fetch(url, { ...init, headers });
      },
    });
    source.onmessage = (event) => inbox.put({ id: event.lastEventId, data: JSON.parse(event.data) });
    return { inbox, source };
  }

  const messages = (inbox) => inbox.all.filter(({ data }) => data.type === "new_message").map(({ data }) => data.data.id);
});
