// What goes by the clock, with a clock of our own. In a file, hence a process, of its own: timers of real connections must
// not meet it (nodejs/undici#4758).

import assert from "node:assert/strict";
import { test } from "node:test";

import { MessagingSystem } from "../dist/messaging.js";

test("while the socket is down it polls at once and then every thirty seconds, however often it is told to", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const asked = [];
  t.mock.method(globalThis, "fetch", async (url) => (asked.push(new URL(url).pathname), Response.json([])));
  const toasts = [];
  const system = new MessagingSystem({ url: "http://bridge.example", token: "t", target: new EventTarget(), toast: (text) => toasts.push(text) });
  system.initWebSocket = () => {};
  // As it is while the socket comes back by itself.
  system.socket = { removeAllListeners: () => {}, disconnect: () => {} };
  const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  system.listenToUserConversations("me", "teacher", () => {});
  await settled();
  asked.length = 0;
  system.startFallbackPolling();
  system.startFallbackPolling();
  await settled();
  assert.deepEqual(asked, ["/api/conversations"]);
  t.mock.timers.tick(29_999);
  await settled();
  assert.equal(asked.length, 1);
  for (let n = 2; n <= 4; n++) {
    t.mock.timers.tick(n === 2 ? 1 : 30_000);
    await settled();
    assert.equal(asked.length, n);
  }
  system.stopFallbackPolling();
  t.mock.timers.tick(120_000);
  await settled();
  assert.equal(asked.length, 4);
  assert.deepEqual(toasts, ["Using fallback polling mode"]);
  system.destroy();
});
