// The demo page in a real browser: what people see when rows are committed, when they write, read, come and go.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Demo, choose, field, row, said, status, tick, write } from "./demo-page.js";

describe("the demo page", { timeout: 240_000 }, () => {
  let demo, rowcast, ada, grace, linus, maths;

  before(async () => {
    demo = await Demo.start();
    ({ rowcast, ada, grace, linus } = demo);
    maths = await rowcast.thread(ada, "Mathematics");
  });
  beforeEach(() => demo.readAll());
  after(() => demo?.stop());

  test("one click signs in; rows committed in SQL appear, with a badge where they are not looked at", async () => {
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    await rowcast.say(maths.id, grace.user_id, "Hello from psql");
    await said(page, "Hello from psql").waitFor();
    await page.locator("[aria-live=polite]", { hasText: /^Grace Hopper: Hello from psql$/ }).waitFor({ state: "attached" });
    const direct = await demo.direct(ada, linus);
    await rowcast.say(direct, linus.user_id, "A question about the homework");
    await rowcast.say(direct, linus.user_id, "Are you there?");
    await row(page, "Linus Torvalds").locator(".badge", { hasText: "2" }).waitFor();
    await page.waitForFunction(() => document.title === "(2) Rowcast demo");
    await choose(page, "Linus Torvalds");
    await said(page, "Are you there?").waitFor();
    await row(page, "Linus Torvalds").locator(".badge").waitFor({ state: "detached" });
    await rowcast.sql("update chat.messages set content = 'Is anybody there?' where content = 'Are you there?'");
    await said(page, "Is anybody there?").waitFor();
    await page.locator(".message", { hasText: "Is anybody there?" }).locator(".foot", { hasText: "edited" }).waitFor();
    await rowcast.sql("delete from chat.messages where content = 'Is anybody there?'");
    await said(page, "Is anybody there?").waitFor({ state: "detached" });
    await page.close();
  });

  test("text is text, wherever it is shown, whoever is called by it", async () => {
    const evil = `<img src=x onerror="window.hacked = true"><b>bold</b>`;
    await rowcast.sql("update chat.users set full_name = $1 where uuid = $2", evil, linus.user_id);
    for (const path of ["/demo/", "/demo/?side-by-side"]) {
      const page = await demo.visit(path === "/demo/" ? ada : null, { path });
      const panel = page.locator(".panel[data-person='Ada Lovelace']");
      if (path !== "/demo/") await panel.getByRole("button", { name: "Back to the chats" }).click();
      await row(panel, "Mathematics").click();
      const said = `${evil} ${path}`;
      await rowcast.say(maths.id, linus.user_id, said);
      await panel.locator(".messages .content", { hasText: said }).waitFor();
      await rowcast.sql("select chat.mark_read(chat.user($1), chat.thread($2))", linus.user_id, maths.id);
      const found = await page.evaluate(() => window.hacked === true || document.querySelectorAll(".stage b, .stage img:not([src='icon.svg'])").length > 0);
      assert.equal(found, false);
      await page.close();
    }
    await rowcast.sql("update chat.users set full_name = 'Linus Torvalds' where uuid = $1", linus.user_id);
  });

  test("two people chat: ticks go from sent to delivered to read, typing shows and ends, presence comes and goes", async () => {
    const first = await demo.visit(ada);
    await choose(first, "Grace Hopper");
    await write(first, "How was the lecture?");
    await tick(first, "How was the lecture?", "sent").waitFor();
    const presence = first.locator("[data-part=thread-people]");
    await presence.filter({ hasText: "offline" }).waitFor();

    const typed = [];
    const prepare = (page) => page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => payload.includes('"typing"') && typed.push(JSON.parse(payload).is_typing)));
    const second = await demo.visit(grace, { prepare });
    await tick(first, "How was the lecture?", "delivered").waitFor();
    await presence.filter({ hasText: "online" }).waitFor();
    await row(first, "Grace Hopper").locator(".disc.online").waitFor();
    await row(second, "Ada Lovelace").locator(".badge", { hasText: "1" }).waitFor();
    await row(second, "Ada Lovelace").locator(".disc.online").waitFor();
    await choose(second, "Ada Lovelace");
    await tick(first, "How was the lecture?", "read").waitFor();

    await field(second).pressSequentially("Crowd");
    await first.locator(".typing", { hasText: "Grace Hopper is typing" }).waitFor();
    await row(first, "Grace Hopper").locator(".last", { hasText: "typing…" }).waitFor();
    // No key for three seconds: the page says so, before the bridge would.
    await first.locator(".typing", { hasText: "typing" }).waitFor({ state: "detached" });
    assert.deepEqual(typed, [true, false]);
    await write(second, "Crowded,\nand loud.");
    await said(first, "and loud.").waitFor();
    await tick(second, "and loud.", "read").waitFor();
    assert.equal(await said(first, "How was the lecture?").count(), 1, "one's own message shows once");

    await first.reload();
    await tick(first, "How was the lecture?", "read").waitFor();
    await second.close();
    await presence.filter({ hasText: "offline" }).waitFor();
    await first.close();
  });

  test("in a group, it says who has read, and all have to for the tick", async () => {
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    await write(page, "The exam is on Monday");
    await tick(page, "The exam is on Monday", "sent").waitFor();
    const read = (user) => rowcast.sql("select chat.mark_read(chat.user($1), chat.thread($2))", user.user_id, maths.id);
    await read(grace);
    const message = page.locator(".message", { hasText: "The exam is on Monday" });
    await message.locator(".readers", { hasText: /^Read by Grace Hopper$/ }).waitFor();
    await tick(page, "The exam is on Monday", "sent").waitFor();
    await read(linus);
    await message.locator(".readers", { hasText: "Read by Grace Hopper, Linus Torvalds" }).waitFor();
    await tick(page, "The exam is on Monday", "read").waitFor();
    await page.close();
  });

  test("history comes as one scrolls up, and what is read stays where it is; what comes meanwhile is counted", async () => {
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      select chat.thread($1), chat.user($2), 'Line ' || n || '.' from generate_series(1, 170) n`;
    await rowcast.sql(insert, maths.id, grace.user_id);
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    await said(page, "Line 170.").waitFor();
    assert.ok((await said(page, /^Line/).count()) < 120, "the newest page is enough at first");
    const box = page.getByRole("region", { name: "messages in Mathematics" });
    await box.hover();
    const wheel = async () => {
      await page.mouse.wheel(0, -300);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    };
    while ((await said(page, /^Line 1\.$/).count()) === 0) await wheel();
    const lines = await said(page, /^Line/).allTextContents();
    assert.deepEqual(lines, Array.from({ length: 170 }, (_, n) => `Line ${n + 1}.`));
    await page.getByText("This is where it began.").waitFor({ state: "attached" });

    const place = () => said(page, /^Line 60\.$/).evaluate((line) => line.getBoundingClientRect().top);
    await said(page, /^Line 60\.$/).scrollIntoViewIfNeeded();
    const before = await place();
    await rowcast.say(maths.id, linus.user_id, "Far below");
    const newer = page.getByRole("button", { name: "1 new message" });
    await newer.waitFor();
    assert.ok(Math.abs((await place()) - before) < 2, "what is read stays where it is");
    await row(page, "Mathematics").locator(".badge", { hasText: "1" }).waitFor();
    await newer.click();
    await row(page, "Mathematics").locator(".badge").waitFor({ state: "detached" });
    await rowcast.sql("delete from chat.messages where content like 'Line %'");
    await said(page, /^Line/).first().waitFor({ state: "detached" });
    await page.close();
  });

  test("older messages that come above do not move what is read", async () => {
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      select chat.thread($1), chat.user($2), 'Row ' || n from generate_series(1, 120) n`;
    await rowcast.sql(insert, maths.id, grace.user_id);
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    await said(page, /^Row 120$/).waitFor();
    const gate = { open: null };
    const held = new Promise((resolve) => (gate.open = resolve));
    await page.route("**/messages?before=**", async (route) => (await held, route.continue()));
    const asked = page.waitForRequest("**/messages?before=**");
    await page.getByRole("region", { name: "messages in Mathematics" }).evaluate((box) => (box.scrollTop = 100));
    await asked;
    const top = (line) => line.evaluate((element) => element.getBoundingClientRect().top);
    const line = page.locator(".messages .message").nth(6);
    const { key } = await line.evaluate((element) => element.dataset);
    const same = page.locator(`.messages [data-key="${key}"]`);
    const before = await top(same);
    gate.open();
    await said(page, /^Row 60$/).waitFor({ state: "attached" });
    assert.ok(Math.abs((await top(same)) - before) < 2, `from ${before} to ${await top(same)}`);
    await rowcast.sql("delete from chat.messages where content like 'Row %'");
    await page.close();
  });

  test("five hundred rows of one statement are all there, in order", async () => {
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      select chat.thread($1), chat.user($2), 'Row ' || n from generate_series(1, 500) n`;
    await rowcast.sql(insert, maths.id, grace.user_id);
    await said(page, /^Row 500$/).waitFor();
    const rows = await said(page, /^Row \d+$/).allTextContents();
    assert.deepEqual(rows, Array.from({ length: 500 }, (_, n) => `Row ${n + 1}`));
    await row(page, "Mathematics").locator(".badge").waitFor({ state: "detached" });
    await rowcast.sql("delete from chat.messages where content like 'Row %'");
    await said(page, /^Row \d+$/).first().waitFor({ state: "detached" });
    await page.close();
  });

  test("side by side, two people write to each other, and the SQL pane has the rows of it", async () => {
    const page = await demo.visit(null);
    await page.getByRole("link", { name: "Two people side by side" }).click();
    const left = page.locator(".panel[data-person='Ada Lovelace']");
    const right = page.locator(".panel[data-person='Grace Hopper']");
    const sql = page.getByRole("region", { name: "SQL", exact: true });
    await Promise.all([left, right].map((one) => one.locator(".message").first().waitFor()));
    await left.getByLabel("Message", { exact: true }).fill("It's a row");
    await right.locator(".typing", { hasText: "Ada Lovelace is typing" }).waitFor();
    await left.getByLabel("Message", { exact: true }).press("Enter");
    await said(right, "It's a row").waitFor();
    await tick(left, "It's a row", "read").waitFor();
    const inserted = sql.locator(".sql-row.insert", { hasText: "It's a row" });
    assert.match(await inserted.locator("pre").textContent(), /^insert into chat\.messages\s[^;]*'It''s a row'\);$/);
    assert.equal(await inserted.count(), 1, "both are told; it is one row");
    await sql.locator(".sql-row.update", { hasText: "last_read_seq" }).filter({ hasText: "Grace Hopper" }).first().waitFor();
    const member = sql.locator("tbody tr", { hasText: "Grace" });
    await member.locator("td").nth(1).filter({ hasText: "It's a row" }).waitFor();

    // What the pane says to try does what it says.
    const statement = await sql.locator(".try pre").first().textContent();
    await rowcast.sql(statement);
    await said(left, "Hello from psql").last().waitFor();
    await said(right, "Hello from psql").last().waitFor();
    await sql.locator(".sql-row.insert", { hasText: "Hello from psql" }).waitFor();
    for (const one of await sql.locator(".sql-row pre").allTextContents()) await rowcast.sql(`explain ${one}`.replace(/;$/, ""));

    await page.getByRole("link", { name: "One person" }).click();
    await page.getByRole("button", { name: ada.name }).waitFor();
    await page.close();
  });

  test("it works by keyboard alone, and signing out leads back", async () => {
    const page = await demo.visit(null);
    await page.getByRole("button", { name: grace.name }).waitFor();
    const tabTo = async (target) => {
      for (let n = 0; n < 30; n++) {
        await page.keyboard.press("Tab");
        if (await target.evaluate((element) => element === document.activeElement)) return;
      }
      assert.fail("it cannot be reached by Tab");
    };
    await tabTo(page.getByRole("button", { name: grace.name }));
    await page.keyboard.press("Enter");
    await status(page, "online").waitFor();
    const chats = page.locator(".threads button");
    await chats.nth(1).waitFor();
    await tabTo(chats.first());
    await page.keyboard.press("ArrowDown");
    assert.ok(await chats.nth(1).evaluate((element) => element === document.activeElement), "arrows go through the list");
    await page.keyboard.press("ArrowUp");
    const mathematics = row(page, "Mathematics");
    while (!(await mathematics.evaluate((element) => element === document.activeElement))) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator("textarea:focus").waitFor();
    await page.keyboard.type("By keyboard");
    await page.keyboard.press("Enter");
    await said(page, "By keyboard").waitFor();
    await page.keyboard.press("Escape");
    const focused = await page.evaluate(() => document.activeElement.closest("[data-key]")?.textContent ?? document.activeElement.outerHTML.slice(0, 200));
    assert.match(focused, /Mathematics/, "Escape leads back to the list");
    await tabTo(page.getByRole("button", { name: "Sign out" }));
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: ada.name }).waitFor();
    await page.close();
  });

  test("the browser's way back leads from the thread to the list", async () => {
    const page = await demo.visit(ada);
    await choose(page, "Mathematics");
    await page.goBack();
    await page.getByText("Choose a chat.").waitFor();
    await page.goForward();
    await page.getByRole("heading", { name: "Mathematics", level: 2 }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Mathematics", level: 2 }).waitFor();
    await page.close();
  });

  test("a token can be pasted; one that is refused, revoked or of a deactivated user ends with a reason", async () => {
    const page = await demo.visit(null, { faults: true });
    const paste = async (token) => {
      await page.getByText("Use a token").click();
      await page.getByLabel("Token", { exact: true }).fill(token);
      await page.getByRole("button", { name: "Come in" }).click();
    };
    await page.getByRole("button", { name: ada.name }).waitFor();
    await paste("nonsense");
    await page.locator(".fault", { hasText: /\w/ }).waitFor();
    await page.getByRole("button", { name: ada.name }).waitFor();
    await paste(linus.token);
    await status(page, "online").waitFor();
    await page.locator(".me .name", { hasText: "Linus Torvalds" }).waitFor();
    const { jti } = JSON.parse(Buffer.from(linus.token.split(".")[1], "base64url"));
    await rowcast.sql("insert into chat.revoked_tokens (jti, user_id) values ($1, chat.user($2))", jti, linus.user_id);
    await page.locator(".fault", { hasText: /\w/ }).waitFor();
    await page.getByRole("button", { name: linus.name }).waitFor();
    await page.close();

    const both = await demo.visit(null, { path: "/demo/?side-by-side", faults: true });
    await status(both, "online").nth(1).waitFor();
    await rowcast.sql("update chat.users set active = false where uuid = $1", grace.user_id);
    const out = both.getByRole("region", { name: "Chat of Grace Hopper" });
    await out.locator(".fault", { hasText: "deactivated" }).waitFor();
    await status(both, "online").waitFor();
    await rowcast.sql("update chat.users set active = true where uuid = $1", grace.user_id);
    await out.getByRole("button", { name: "Try again" }).click();
    await status(both, "online").nth(1).waitFor();
    await both.close();
  });

  test("a bridge without ready-made people takes a token, and says what side by side needs", async () => {
    const prepare = (page) => page.route("**/demo/users", (route) => route.fulfill({ json: [] }));
    const page = await demo.visit(null, { path: "/demo/?side-by-side", prepare });
    await page.locator(".fault", { hasText: "ready-made people" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Two people" }).count(), 0);
    await page.getByLabel("Token", { exact: true }).fill(ada.token);
    await page.getByRole("button", { name: "Come in" }).click();
    await choose(page, "Mathematics");
    await page.close();
  });

  test("nothing was complained about in the console", () => assert.deepEqual(demo.complaints, []));
});
