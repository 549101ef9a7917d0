// The demo page when things go wrong: no network, a bridge that dies, blocked sockets, answers that are lost, messages that are refused.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Demo, choose, field, row, said, status, tick, write } from "./demo-page.js";

describe("the demo page in bad times", { timeout: 300_000 }, () => {
  let demo, rowcast, ada, grace, linus, maths;

  before(async () => {
    demo = await Demo.start();
    ({ rowcast, ada, grace, linus } = demo);
    maths = await rowcast.thread(ada, "Mathematics");
  });
  beforeEach(() => demo.readAll());
  after(() => demo?.stop());

  const count = async (content) => (await rowcast.sql("select count(*)::int n from chat.messages where content = $1", content))[0].n;

  test("without a network it says so, what is written waits, and back again everything is there once, on both sides", async () => {
    const [page, other] = [await demo.visit(ada, { faults: true }), await demo.visit(grace)];
    await Promise.all([choose(page, "Mathematics"), choose(other, "Mathematics")]);
    await page.context().setOffline(true);
    await status(page, "offline").waitFor();
    await page.getByText("What you write is sent when the connection is back").waitFor();
    await write(page, "Written offline, one");
    await write(page, "Written offline, two");
    await tick(page, "Written offline, two", "waiting").waitFor();
    await write(other, "Meanwhile");
    await said(other, "Meanwhile").waitFor();
    assert.equal(await count("Written offline, one"), 0);
    assert.equal(await said(page, "Meanwhile").count(), 0);

    await page.context().setOffline(false);
    await status(page, "online").waitFor();
    await said(page, "Meanwhile").waitFor();
    for (const text of ["Written offline, one", "Written offline, two"]) {
      await said(other, text).waitFor();
      await page.locator(".message.mine:not(.letter)", { hasText: text }).waitFor();
      assert.equal(await said(page, text).count(), 1);
      assert.equal(await said(other, text).count(), 1);
      assert.equal(await count(text), 1);
    }
    const order = await said(other, /Written offline|Meanwhile/).allTextContents();
    assert.deepEqual(order, ["Meanwhile", "Written offline, one", "Written offline, two"]);
    await Promise.all([page.close(), other.close()]);
  });

  test("when the bridge dies it says when it tries next; back again it has what it missed and sends what waited, once, also after a reload", async () => {
    const page = await demo.visit(ada, { faults: true });
    await choose(page, "Mathematics");
    await rowcast.say(maths.id, grace.user_id, "Before the crash");
    await said(page, "Before the crash").waitFor();
    await rowcast.kill();
    await status(page, "offline").waitFor();
    await page.getByText(/^next try in \d+ s$/).waitFor();
    await write(page, "Written in the crash");
    await tick(page, "Written in the crash", "waiting").waitFor();
    await rowcast.say(maths.id, grace.user_id, "During the crash");
    await rowcast.start();
    await status(page, "online").waitFor();
    await said(page, "During the crash").waitFor();
    await page.locator(".message.mine:not(.letter)", { hasText: "Written in the crash" }).waitFor();
    await rowcast.say(maths.id, grace.user_id, "After the crash");
    await said(page, "After the crash").waitFor();
    for (const text of ["Before the crash", "During the crash", "After the crash", "Written in the crash"]) {
      assert.equal(await said(page, text).count(), 1);
      assert.equal(await count(text), 1);
    }

    // What waits survives the page: it is the next one's to send.
    await page.context().setOffline(true);
    await status(page, "offline").waitFor();
    await write(page, "Kept through a reload");
    await tick(page, "Kept through a reload", "waiting").waitFor();
    // First the way is barred, or it is sent before the page goes.
    await page.route("**/api/chat/threads/*/messages", (route) => (route.request().method() === "POST" ? route.abort() : route.continue()));
    await page.context().setOffline(false);
    await page.reload();
    await tick(page, "Kept through a reload", "waiting").waitFor();
    await page.unroute("**/api/chat/threads/*/messages");
    await page.locator(".message.mine:not(.letter)", { hasText: "Kept through a reload" }).waitFor();
    assert.equal(await count("Kept through a reload"), 1);
    await page.close();
  });

  test("one can try at once instead of waiting", async () => {
    const page = await demo.visit(ada, { faults: true });
    await page.clock.install();
    await rowcast.kill();
    await status(page, "offline").waitFor();
    // The page's clock stands still: nothing but the button makes it try.
    await page.clock.pauseAt(Date.now() + 200);
    const button = page.getByRole("button", { name: "Try now" });
    await button.waitFor();
    await rowcast.start();
    assert.ok(await button.isVisible());
    await button.click();
    await status(page, "online").waitFor();
    await page.close();
  });

  test("a message whose answer is lost is sent again, and is there once", async () => {
    const held = [];
    let holding = true;
    // The feed is held back, too: else it says that the message has arrived.
    const prepare = (page) => page.routeWebSocket(/\/ws\?/, (socket) => {
      const bridge = socket.connectToServer();
      bridge.onMessage((frame) => (holding && frame.includes("Said twice") ? held.push(frame) : socket.send(frame)));
      held.release = () => {
        holding = false;
        for (const frame of held.splice(0)) socket.send(frame);
      };
    });
    const page = await demo.visit(ada, { faults: true, prepare });
    await choose(page, "Mathematics");
    const sent = [];
    await page.route("**/api/chat/threads/*/messages", async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      sent.push(route.request().postDataJSON());
      if (sent.length > 1) return route.continue();
      await route.fetch();
      await route.abort();
    });
    const again = page.waitForResponse((response) => response.request().method() === "POST" && response.status() === 201);
    await write(page, "Said twice, kept once");
    await tick(page, "Said twice, kept once", "waiting").waitFor();
    await again;
    held.release();
    await tick(page, "Said twice, kept once", "sent").waitFor();
    assert.equal(sent.length, 2);
    assert.deepEqual(sent[0], sent[1]);
    assert.equal(await count("Said twice, kept once"), 1);
    assert.equal(await said(page, "Said twice, kept once").count(), 1);

    const taken = await rowcast.call(grace, "POST", `/api/chat/threads/${maths.id}/messages`, { content: "Mine", id: sent[0].id });
    assert.equal(taken.status, 400);
    await page.close();
  });

  test("what the bridge refuses says why, and can be tried again or given up", async () => {
    const page = await demo.visit(ada, { faults: true });
    await choose(page, "Mathematics");
    let refuse = true;
    await page.route("**/api/chat/threads/*/messages", (route) => {
      if (route.request().method() !== "POST" || !refuse) return route.continue();
      return route.fulfill({ status: 403, json: { status: "error", code: "forbidden", message: "Not a participant" } });
    });
    await write(page, "Refused at first");
    const letter = page.locator(".message.letter", { hasText: "Refused at first" });
    await letter.getByText("Not sent: Not a participant").waitFor();
    refuse = false;
    await letter.getByRole("button", { name: "Try again" }).click();
    await tick(page, "Refused at first", "sent").waitFor();
    refuse = true;
    await write(page, "Given up");
    await page.locator(".message.letter", { hasText: "Given up" }).getByRole("button", { name: "Discard" }).click();
    await said(page, "Given up").waitFor({ state: "detached" });
    assert.equal(await count("Refused at first"), 1);
    assert.equal(await count("Given up"), 0);
    await page.close();
  });

  test("where sockets are blocked it goes by the event stream, where that is, too, by polling; and it says by which", async () => {
    for (const [name, blocked] of [["event stream", []], ["polling", ["**/api/chat/events**"]]]) {
      const prepare = async (page) => {
        await page.routeWebSocket(/\/ws\?/, (socket) => socket.close());
        for (const path of blocked) await page.route(path, (route) => route.abort());
      };
      const page = await demo.visit(ada, { faults: true, prepare });
      await status(page, "online").filter({ hasText: `Online · ${name}` }).waitFor();
      await choose(page, "Mathematics");
      await rowcast.say(maths.id, linus.user_id, `To the one by ${name}`);
      await said(page, `To the one by ${name}`).waitFor();
      await write(page, `From the one by ${name}`);
      await tick(page, `From the one by ${name}`, "sent").waitFor();
      assert.equal(await said(page, `From the one by ${name}`).count(), 1);
      await row(page, "Mathematics").locator(".badge").waitFor({ state: "detached" });
      await page.close();
    }
  });

  test("what is being written stays when the connection goes and comes", async () => {
    const page = await demo.visit(ada, { faults: true });
    await choose(page, "Mathematics");
    await field(page).fill("Half a sen");
    await page.context().setOffline(true);
    await status(page, "offline").waitFor();
    await page.context().setOffline(false);
    await status(page, "online").waitFor();
    assert.equal(await field(page).inputValue(), "Half a sen");
    await page.close();
  });

  test("nothing else was complained about in the console", () => assert.deepEqual(demo.complaints, []));
});
