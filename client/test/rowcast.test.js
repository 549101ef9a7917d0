// RowcastClient against the real bridge: nothing lost, nothing twice, in order, whatever happens to the connection.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Proxy, committed, memory, mint, open, startBridge, until } from "./world.js";

describe("RowcastClient", { timeout: 240_000 }, () => {
  let rowcast, proxy, ada, grace, linus, thread;
  const clients = new Set();

  before(async () => {
    rowcast = await startBridge();
    ({ ada, grace, linus } = await rowcast.users());
    thread = await rowcast.thread(ada, "Mathematics");
    proxy = await Proxy.to(rowcast.http);
  });

  after(async () => {
    for (const { client } of clients) client.close();
    await proxy?.close();
    await rowcast?.stop();
  });

  function start(user, options, url = rowcast.http) {
    const opened = open(url, user, options);
    clients.add(opened);
    return opened;
  }

  const say = (content, sender = grace) => rowcast.say(thread.id, sender.user_id, content);

  /** That a client has had, from a message on, exactly what was committed. */
  async function exact(one, first) {
    const all = await committed(rowcast, thread.id, first);
    await one.message(all.at(-1));
    const had = one.messages();
    assert.deepEqual(had.slice(had.indexOf(first)), all);
  }

  test("messages, edits, deletions, reads and typing arrive, with the names and shapes of the wire", async () => {
    const one = start(ada);
    const other = start(grace);
    await Promise.all([one.online("socket"), other.online("socket")]);
    await one.client.subscribe(thread.id);
    assert.equal(one.client.userId, ada.user_id);

    const sent = await one.client.send(thread.id, "Hello <b>there</b>");
    const mine = await one.message(sent.id);
    assert.equal(mine.data.content, "Hello <b>there</b>");
    await other.message(sent.id);
    other.client.typing(thread.id);
    await one.inbox.find((event) => event.name === "typing" && event.user_id === grace.user_id && event.is_typing);
    assert.ok((await other.client.markRead(thread.id)) > 0);
    const read = await one.changes.find((change) => change.type === "messages_read" && change.reader_id === grace.user_id);
    assert.equal(read.up_to_message_id, sent.id);
    await rowcast.sql("update chat.messages set content = 'Bye', edited_at = now() where uuid = $1", sent.id);
    await one.changes.find((change) => change.type === "message_updated" && change.data.content === "Bye");
    await rowcast.sql("update chat.messages set deleted_at = now() where uuid = $1", sent.id);
    await one.changes.find((change) => change.type === "message_deleted" && change.message_id === sent.id);
    assert.deepEqual(one.messages(), [sent.id], "one's own message comes once");

    const page = await one.client.messages(thread.id, { limit: 2 });
    assert.equal(page.messages.length, 2);
    const listed = (await one.client.threads()).find(({ id }) => id === thread.id);
    assert.deepEqual(Object.keys(listed).sort(), ["id", "kind", "last_message", "members", "name", "unread_count", "updated_at"]);
    assert.deepEqual(Object.keys(listed.members[0]).sort(), ["delivered_up_to_message_id", "full_name", "read_up_to_message_id", "role", "user_id", "username"]);
    assert.equal(typeof (await one.client.unread()).unread_count, "number");
    await assert.rejects(one.client.send(thread.id, ""), { name: "RowcastError", code: "bad_request", status: 400 });
    await assert.rejects(one.client.subscribe("999999"), { code: "forbidden" });
    one.client.close();
    other.client.close();
  });

  test("through kill -9 of the bridge, with writers who do not stop, everything comes once and in order", async () => {
    const one = start(ada);
    await one.online();
    await one.client.subscribe(thread.id);
    const first = await say("first");
    await one.message(first);
    for (const round of [1, 2]) {
      for (let n = 0; n < 20; n++) await say(`up ${round} ${n}`);
      await rowcast.kill();
      const last = await say(`down ${round}`);
      await rowcast.sql("update chat.messages set content = 'edited', edited_at = now() where uuid = $1", last);
      await rowcast.sql("select chat.mark_read(u.id, chat.thread($2)) from chat.users u where u.uuid = $1", linus.user_id, thread.id);
      await rowcast.start();
      await one.changes.find(({ type, data }) => type === "message_updated" && data.id === last, 30_000);
      await one.changes.find(({ type, up_to_message_id }) => type === "messages_read" && up_to_message_id === last, 30_000);
    }
    await say("last");
    await exact(one, first);
    const keys = one.changes.all.filter(({ type }) => type !== "new_message").map((change) => JSON.stringify({ ...change, cursor: "" }));
    assert.equal(new Set(keys).size, keys.length, "no change came twice");
    one.client.close();
    await proxy.close();
    proxy = await Proxy.to(rowcast.http);
  });

  test("where sockets are refused it streams, where streams are held back it polls, and it goes back to the socket", async () => {
    Object.assign(proxy, { sockets: "refuse", streams: "pass" });
    const one = start(ada, { timing: { connect: 1_500 } }, proxy.url);
    await one.online("events");
    await one.client.subscribe(thread.id);
    const first = await say("by events");
    await one.message(first);
    const other = start(grace);
    await other.online("socket");
    other.client.typing(thread.id);
    await one.inbox.find((event) => event.name === "typing" && event.is_typing);

    Object.assign(proxy, { sockets: "hang", streams: "hold" });
    proxy.cut();
    const between = await say("between events and polling");
    await one.online("polling");
    await one.message(between);
    const polled = await say("by polling");
    await one.message(polled);
    await rowcast.sql("update chat.messages set content = 'edited while polling', edited_at = now() where uuid = $1", polled);

    Object.assign(proxy, { sockets: "pass" });
    await one.online("socket");
    await one.changes.find(({ type, data }) => type === "message_updated" && data.id === polled, 30_000);
    other.client.typing(thread.id, false);
    await say("by the socket again");
    await exact(one, first);
    one.client.close();
    other.client.close();
  });

  test("where streams are cut as they begin it polls, too", async () => {
    Object.assign(proxy, { sockets: "refuse", streams: "cut" });
    const one = start(ada, { timing: { connect: 1_500 } }, proxy.url);
    await one.online("polling");
    const polled = await say("by polling, streams being cut");
    await one.message(polled);
    assert.ok(one.inbox.all.every(({ name, way }) => name !== "status" || way !== "events"));
    one.client.close();
    Object.assign(proxy, { sockets: "pass", streams: "pass" });
  });

  test("connections cut again and again while rows are written without a pause lose and repeat nothing", async () => {
    Object.assign(proxy, { sockets: "pass", streams: "pass" });
    const one = start(ada, { timing: { connect: 1_500 } }, proxy.url);
    await one.online();
    const first = await say("first");
    let writing = true;
    const writer = (async () => {
      for (let n = 0; writing; n++) await say(`row ${n}`);
    })();
    for (const [mode, way] of [["refuse", "events"], ["pass", "socket"], ["refuse", "events"], ["pass", "socket"]]) {
      proxy.sockets = mode;
      proxy.cut();
      await until(() => one.client.status.way === way);
    }
    writing = false;
    await writer;
    await exact(one, first);
    one.client.close();
  });

  test("an app that starts again goes on where it was, by the cursor that its store kept", async () => {
    const store = memory();
    const before = start(ada, { store });
    await before.online();
    const seen = await say("seen");
    await before.message(seen);
    before.client.close();
    const missed = [await say("missed one"), await say("missed two")];
    const again = start(ada, { store });
    await again.message(missed[1]);
    assert.deepEqual(again.messages(), missed);
    again.client.close();
    const [key] = store.kept.keys();
    assert.ok(key.includes(ada.user_id), "each user has a place of their own");

    // A start that polls knows the same place.
    const third = await say("missed three");
    const polling = start(ada, { store, transports: ["polling"] });
    await polling.message(third);
    assert.deepEqual(polling.messages(), [third]);
    polling.client.close();
    const back = start(ada, { store });
    const fourth = await say("four");
    await back.message(fourth);
    assert.deepEqual(back.messages(), [fourth], "what polling gave is not given again");
    back.client.close();
  });

  test("without a cursor, what came since a given time is first; a cursor that is too old says so and goes on by time", async () => {
    const [{ now }] = await rowcast.sql("select now()");
    const missed = [await say("since one"), await say("since two")];
    const one = start(ada, { since: now });
    await one.message(missed[1]);
    await one.online();
    const live = await say("live");
    await one.message(live);
    assert.deepEqual(one.messages().slice(-3), [...missed, live]);
    one.client.close();

    const store = memory();
    store.get = () => JSON.stringify({ cursor: "AQAAAAAAAgAA", at: now, polled: null });
    for (const transports of [["socket"], ["events"], ["polling"]]) {
      const lost = start(ada, { store, transports });
      await lost.inbox.find(({ name }) => name === "resync");
      await lost.message(live);
      await lost.online();
      const later = await say(`later by ${transports}`);
      await lost.message(later);
      const had = lost.messages();
      assert.equal(new Set(had).size, had.length);
      assert.ok(missed.every((id) => had.includes(id)));
      lost.client.close();
    }
  });

  test("thousands of messages that were missed come in pages, by time, by cursor and by polling", async () => {
    const [{ now }] = await rowcast.sql("select now()");
    const store = memory();
    const seen = start(ada, { store });
    await seen.online();
    seen.client.close();
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      select chat.thread($1), chat.user($2), 'Row ' || n from generate_series(1, 2500) n returning uuid`;
    const missed = (await rowcast.sql(insert, thread.id, grace.user_id)).map(({ uuid }) => uuid);
    const copy = () => memory(new Map(store.kept));
    for (const options of [{ since: now }, { store: copy() }, { store: copy(), transports: ["polling"] }]) {
      const one = start(ada, options);
      await one.message(missed.at(-1));
      const had = one.messages();
      assert.deepEqual(had.slice(had.indexOf(missed[0])), missed);
      one.client.close();
    }
  });

  test("a hundred subscribed threads and more are subscribed to again on every connection", async () => {
    const make = `with made as (insert into chat.threads (kind, name) select 'group', 'Many ' || n from generate_series(1, 120) n returning id, uuid),
      joined as (insert into chat.members (thread_id, user_id) select id, chat.user($1) from made)
      select uuid from made order by id`;
    const threads = (await rowcast.sql(make, ada.user_id)).map(({ uuid }) => uuid);
    proxy.sockets = "pass";
    const one = start(ada, {}, proxy.url);
    await Promise.all(threads.map((id) => one.client.subscribe(id)));
    proxy.cut();
    await one.inbox.find(({ status }) => status === "offline");
    await until(() => one.client.status.status === "online");
    for (const id of [threads[0], threads[119]]) {
      await until(async () => {
        // What is said before the bridge has agreed to the hundred-and-first is not told.
        await rowcast.sql("insert into chat.messages (thread_id, sender_id, content) values (chat.thread($1), null, 'News')", id);
        await one.client.markRead(id);
        return one.changes.all.some(({ type, thread_id }) => type === "messages_read" && thread_id === id);
      });
    }
    one.client.close();
  });

  test("a token is exchanged before it ends, on the same socket; one that ended while nobody looked, too", async () => {
    const asked = [];
    const before = [];
    const fresh = ({ refused }) => {
      asked.push(refused);
      return mint(ada, 3);
    };
    const one = start(ada, { token: fresh });
    await one.online();
    const first = await say("first");
    await one.message(first);
    await one.inbox.find(({ name }) => name === "token_expiring");
    while (asked.length < 3) await one.message(await say("while tokens end"));
    assert.equal(one.inbox.all.filter(({ status }) => status === "online").length, 1, "one connection all along");
    await exact(one, first);
    one.client.close();

    const late = start(ada, {
      token: ({ refused }) => {
        before.push(refused);
        return mint(ada, refused ? 600 : -60);
      },
    });
    await late.online();
    assert.deepEqual(before, [false, true]);
    late.client.close();
  });

  test("a revoked token is exchanged when the callback has another; a text that is refused ends the client", async () => {
    const asked = [];
    const jti = "to-be-revoked";
    const one = start(ada, { token: ({ refused }) => (asked.push(refused), asked.length === 1 ? mint(ada, 600, { jti }) : mint(ada, 600)) });
    await one.online();
    const first = await say("before");
    await one.message(first);
    await rowcast.sql("insert into chat.revoked_tokens (jti, user_id) values ($1, chat.user($2))", jti, ada.user_id);
    await say("revoked");
    await say("after");
    await exact(one, first);
    assert.deepEqual(asked, [false, true]);
    one.client.close();

    const over = start({ token: "nonsense" });
    const { reason } = await over.inbox.find(({ status }) => status === "closed");
    assert.match(reason, /token/i);
    const { error } = await over.inbox.find(({ name }) => name === "error");
    assert.equal(error.code, "unauthorized");
    const nobody = start(ada, { token: () => null });
    await nobody.inbox.find(({ status }) => status === "closed");
  });

  test("an old cursor of a quiet client is exchanged for a younger one, and nothing comes twice", async () => {
    const one = start(ada, { timing: { refresh: 200 } });
    await one.online();
    const first = await say("first");
    await one.message(first);
    const { cursor } = one.client;
    await rowcast.sql("insert into public.todos (task) values ('elsewhere')");
    await until(() => one.client.cursor !== cursor);
    await say("second");
    await exact(one, first);
    one.client.close();
  });

  test("changes can be read as an async iterator, until it is aborted or too much waits", async () => {
    const one = start(ada, { queue: 5 });
    await one.client.ready();
    const stop = new AbortController();
    const reading = one.client.changes({ signal: stop.signal });
    const ids = [await say("a"), await say("b"), await say("c")];
    const read = [];
    for await (const change of reading) {
      read.push(change.data.id);
      if (read.length === 3) stop.abort();
    }
    assert.deepEqual(read, ids);
    const slow = one.client.changes();
    for (let n = 0; n < 7; n++) await one.message(await say(`n ${n}`));
    await assert.rejects(async () => {
      for await (const change of slow) assert.ok(change.cursor);
    }, { code: "overflow" });
    const closing = one.client.changes();
    one.client.close();
    assert.deepEqual(await closing.next(), { done: true, value: undefined });
    await assert.rejects(one.client.ready(), { code: "closed" });
  });

  test("a thousand clients that are closed or aborted leave nothing behind", async () => {
    const settled = async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return process.getActiveResourcesInfo().filter((kind) => /Timeout|TCPSocket/.test(kind)).length;
    };
    const rest = await settled();
    for (const transports of [["socket"], ["events"], ["polling"], ["socket", "events", "polling"]]) {
      for (let n = 0; n < 250; n++) {
        const stop = new AbortController();
        const one = open(rowcast.http, ada, { transports, signal: stop.signal });
        one.client.subscribe(thread.id);
        // One in nineteen goes through to the end; the others end in the middle of connecting, where most is left lying.
        if (n % 19 === 0) await one.client.ready();
        if (n % 2 > 0) stop.abort();
        else one.client.close();
        assert.equal(one.client.status.status, "closed");
      }
    }
    let left = await settled();
    for (let tries = 0; left > rest && tries < 100; tries++) left = await settled();
    assert.ok(left <= rest, `${left} timers and sockets, ${rest} before: ${process.getActiveResourcesInfo()}`);
  });
});
