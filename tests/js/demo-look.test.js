// How the demo page looks and sounds: light and dark, desktop and phone, nothing that axe finds fault with. Pictures are in screenshots/.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { DESKTOP, Demo, PHONE, choose, field, row, said, shoot, status, tick, tooWide, write } from "./demo-page.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("the looks of the demo page", { timeout: 300_000 }, () => {
  let demo, rowcast, ada, grace, linus, maths;

  before(async () => {
    demo = await Demo.start();
    ({ rowcast, ada, grace, linus } = demo);
    maths = await rowcast.thread(ada, "Mathematics");
    await demo.readAll();
    await rowcast.say(maths.id, grace.user_id, "The relay works again.\nWho wants to see it?");
    await rowcast.say(maths.id, grace.user_id, "Room 12, after lunch");
    await rowcast.say(maths.id, linus.user_id, "I do! https://example.org/a/very/long/address/that/has/no/place/to/break/anywhere?at=all");
    await rowcast.say(maths.id, ada.user_id, "Save me a seat");
    await rowcast.sql("select chat.mark_read(chat.user($1), chat.thread($2))", grace.user_id, maths.id);
    await rowcast.sql("update chat.messages set content = content || ', please' where content = 'Save me a seat'");
  });
  after(() => demo?.stop());

  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      const name = (what) => `${what}-${size}-${colorScheme}`;
      const options = { colorScheme, viewport, hasTouch: size === "phone", isMobile: size === "phone" };

      test(`signing in, the list, a thread and bad times: ${size}, ${colorScheme}`, async () => {
        const page = await demo.visit(null, { ...options, faults: true });
        await page.getByRole("button", { name: ada.name }).waitFor();
        await good(page, name("sign-in"));
        await page.getByText("Use a token").click();
        await good(page, name("sign-in-token"));
        await rowcast.sql("update chat.members set last_read_seq = last_read_seq - 1 where thread_id = chat.thread($1) and user_id = chat.user($2)", await demo.direct(ada, grace), ada.user_id);
        await demo.signIn(page, ada);
        await row(page, "Mathematics").waitFor();
        await good(page, name("list"));
        await choose(page, "Linus Torvalds");
        await good(page, name("short"));
        const { y, height } = await field(page).boundingBox();
        assert.ok(y + height > viewport.height - 100, "what is written is at the bottom, however little was said");
        if (size === "phone") await page.getByRole("button", { name: "Back to the chats" }).click();
        await choose(page, "Mathematics");
        await good(page, name("thread"));
        const other = await demo.visit(linus);
        await choose(other, "Mathematics");
        await field(other).pressSequentially("Hm");
        await page.locator(".typing", { hasText: "Linus Torvalds is typing" }).waitFor();
        await good(page, name("typing"));
        await other.close();
        await page.getByText("Try it from SQL").click();
        await good(page, name("hint"));
        await page.getByText("Try it from SQL").click();
        await page.context().setOffline(true);
        await status(page, "offline").waitFor();
        await write(page, "This one waits");
        await tick(page, "This one waits", "waiting").waitFor();
        await good(page, name("offline"));
        await page.close();
      });

      test(`two side by side, and the rows: ${size}, ${colorScheme}`, async () => {
        const page = await demo.visit(null, { ...options, path: "/demo/?side-by-side" });
        // Words of its own: those of the other sizes are in the thread, too.
        const words = `Shall we, by ${colorScheme} of ${size}?`;
        const left = page.locator(".panel[data-person='Ada Lovelace']");
        await left.locator(".message").first().waitFor();
        await left.getByLabel("Message", { exact: true }).fill(words);
        await left.getByLabel("Message", { exact: true }).press("Enter");
        await said(left, words).waitFor();
        await tick(left, words, size === "phone" ? "delivered" : "read").waitFor();
        if (size === "desktop") await page.locator(".sql-row.update", { hasText: "last_read_seq" }).first().waitFor();
        await good(page, name("side-by-side"));
        if (size === "phone") {
          await page.getByRole("button", { name: "Grace", exact: true }).click();
          await tick(left, words, "read").waitFor({ state: "attached" });
          await good(page, name("side-by-side-other"));
          await page.getByRole("button", { name: "SQL", exact: true }).click();
          await page.locator(".sql-row.insert", { hasText: words }).waitFor();
          await good(page, name("side-by-side-sql"));
        }
        await page.close();
      });
    }
  }

  test("somebody thrown out reads why", async () => {
    const page = await demo.visit(null, { path: "/demo/?side-by-side", faults: true });
    await status(page, "online").nth(1).waitFor();
    await rowcast.sql("update chat.users set active = false where uuid = $1", grace.user_id);
    await page.locator(".fault", { hasText: "deactivated" }).waitFor();
    await good(page, "thrown-out");
    await page.close();
  });

  test("nothing was complained about in the console", () => assert.deepEqual(demo.complaints, []));

  /** Takes a picture, and holds that nothing is wider than the window and that axe finds nothing. */
  async function good(page, name) {
    await shoot(page, name);
    assert.ok((await tooWide(page)) <= 0, `${name} scrolls sideways`);
    // A transition's colours in between are nobody's.
    await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))));
    // By the debugger: the page's own policy lets no foreign script in.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
    assert.deepEqual(found, [], name);
  }
});
