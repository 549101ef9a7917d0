// The screens of guide 000 with the classes that it prints, unchanged, over fetch and a session cookie.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { printedClass } from "./printed.js";
import { Inbox, Rowcast } from "./rowcast.js";

describe("guide 000", { timeout: 120_000 }, () => {
  let rowcast, ada, grace, ids, thread;

  before(async () => {
    rowcast = await Rowcast.start();
    ({ ada, grace } = await rowcast.users());
    const rows = await rowcast.sql("select username, id from chat.users");
    ids = Object.fromEntries(rows.map((row) => [row.username, Number(row.id)]));
    const [{ id }] = await rowcast.sql("select id from chat.threads where name = 'Mathematics'");
    thread = Number(id);
    await rowcast.sql("insert into chat.login_sessions (session_id, user_id) values ('cookie-of-ada', $1)", ids.ada);
  });

  after(() => rowcast?.stop());

  async function call(path, params, cookie = "cookie-of-ada") {
    const response = await fetch(`${rowcast.http}/api/messaging/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Cookie: `session_id=${cookie}` },
      body: JSON.stringify({ jsonrpc: "2.0", params }),
    });
    return { status: response.status, body: await response.json() };
  }

  async function chatScreen() {
    const shown = new Inbox();
    const world = { sessionId: "cookie-of-ada", currentUserId: ids.ada };
    const { printed, requests } = await printedClass("guide-000-chat-screen", rowcast.http, world);
    class Screen extends printed {
      sounds = 0;
      addMessageToUI = (message) => shown.put(message);
      playNotificationSound = () => this.sounds++;
      updateOnlineIndicator = (status) => (this.indicator = status);
    }
    return { screen: new Screen(thread), shown, requests };
  }

  test("the chat screen shows what is there, then each message once, in order, also after a restart", async () => {
    const { screen, shown } = await chatScreen();
    screen.startLongPolling();
    await shown.find((message) => message.body === "It is.");
    const before = shown.all.length;

    await rowcast.say(thread, grace.user_id, "Hey! How's it going?");
    const message = await shown.find((one) => one.body === "Hey! How's it going?");
    assert.deepEqual(Object.keys(message).sort(), [
      "attachments", "author_id", "author_name", "body", "created_date", "id", "is_read", "message_type",
    ]);
    assert.equal(message.author_id, ids.grace);
    assert.equal(message.author_name, "Grace Hopper");
    assert.match(message.created_date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.ok(screen.sounds > 0);

    for (let nth = 0; nth < 30; nth++) await rowcast.say(thread, nth % 2 ? ada.user_id : grace.user_id, `burst ${nth}`);
    await shown.find((one) => one.body === "burst 29");
    const bodies = shown.all.slice(before + 1).map((one) => one.body);
    assert.deepEqual(bodies, Array.from({ length: 30 }, (_, nth) => `burst ${nth}`));

    await rowcast.kill();
    await rowcast.start();
    await rowcast.say(thread, grace.user_id, "Still there?");
    await shown.find((one) => one.body === "Still there?");
    assert.equal(new Set(shown.all.map((one) => one.id)).size, shown.all.length);
    screen.stopLongPolling();
    await rowcast.say(thread, grace.user_id, "The last poll ends with this");
  });

  test("typing starts, and stops by itself after 3 seconds of silence", async () => {
    const { screen } = await chatScreen();
    const linus = (await rowcast.users()).linus;
    const typists = async () => {
      const { body } = await call(`typing/status/${thread}`, {}, linus.token);
      return body.result.typing_users;
    };
    screen.onTyping();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(await typists(), [{ partner_id: ids.ada, name: "Ada Lovelace" }]);
    await new Promise((resolve) => setTimeout(resolve, 3_300));
    assert.deepEqual(await typists(), []);
  });

  test("the partner's status shows", async () => {
    const { screen } = await chatScreen();
    await call("presence/update", { status: "away" }, grace.token);
    await screen.checkOnlineStatus(ids.grace);
    assert.equal(screen.indicator, "away");
    await call("presence/update", { status: "offline" }, grace.token);
    await screen.checkOnlineStatus(ids.grace);
    assert.equal(screen.indicator, "offline");
    await call("presence/update", { status: "online" }, grace.token);
    await screen.checkOnlineStatus(ids.grace);
    assert.equal(screen.indicator, "online");
  });

  test("the chat list shows badges, that go down when another device reads", async () => {
    const badges = new Inbox();
    const notes = new Inbox();
    const document = {
      querySelector: (selector) => ({
        style: {},
        set textContent(count) {
          badges.put({ selector, count });
        },
      }),
    };
    await call("notifications/mark_all_read", {});
    const world = { sessionId: "cookie-of-ada", document };
    const { printed, requests } = await printedClass("guide-000-chat-list-screen", rowcast.http, world);
    class Screen extends printed {
      showNotification = (text) => notes.put(text);
    }
    const screen = new Screen();
    screen.startPolling();
    await rowcast.say(thread, grace.user_id, "For the badge");
    await badges.find((badge) => badge.selector === `#thread-${thread} .badge` && badge.count === 1);
    await notes.find((text) => text === "1 new messages");
    await rowcast.say(thread, grace.user_id, "And one more");
    await badges.find((badge) => badge.count === 2);
    await rowcast.call(ada, "POST", `/api/chat/mark-read/${thread}`);
    await badges.find((badge) => badge.count === 0);
    screen.stopPolling();
    const polls = requests.length;
    assert.ok(polls < 10, `${polls} polls: each but the last was answered by news`);
    await rowcast.say(thread, grace.user_id, "The last poll ends with this");
  });

  test("a dead session is refused with 401 and error 100", async () => {
    const { status, body } = await call("notifications/count", {}, "nobody's");
    assert.equal(status, 401);
    assert.equal(body.error.code, 100);
  });
});
