// Vital signs: what an operator looks at first, each judged. Good, warn and bad are said in words, too.

import { $, count, h, rate, say, seconds } from "./dom.js";
import { read } from "./history.js";

/** Bounds above which a sign is worth a look, and above which it is bad. */
const BOUNDS = { connections: [0.8, 0.95], latency: [0.05, 0.5], lag: [0.25, 2], queue: [0.1, 0.5] };

const judged = (value, [warn, bad]) => (value === null ? "good" : value >= bad ? "bad" : value >= warn ? "warn" : "good");
const WORDS = { good: "Good", warn: "Look", bad: "Bad", idle: "Idle" };

/** The signs of a moment. `failures` are those of the last hour, as far as is known. */
export function signs(history, failures) {
  const now = history.last;
  const open = read.connections(now);
  const p99 = history.latency(0.99);
  const slow = history.inLastMinute((point) => read.slow(point) + read.lagged(point));
  const quiet = history.rate((point) => point.changes) === 0;
  return [
    delivery(now),
    sign("Connections", count(open), judged(open / now.max_connections, BOUNDS.connections),
      `of ${count(now.max_connections)}; ${count(now.parked_polls)} polls wait`, "Near the limit new clients are refused: raise --max-connections or add a node."),
    sign("Deliveries", `${rate(history.rate(read.deliveries))}/s`, "good", `of ${rate(history.rate((point) => point.changes))} changes/s`),
    sign("Commit to socket, p99", seconds(p99), judged(p99, BOUNDS.latency), p99 === null ? "nothing delivered in 10 s" : `median ${seconds(history.latency(0.5))}, over 10 s`,
      "Look at the database's load and at this machine's CPU."),
    sign("Feed lag", seconds(now.feed_lag_seconds), quiet ? "good" : judged(now.feed_lag_seconds, BOUNDS.lag), quiet ? "at the last change" : "now",
      "The log is read late: long transactions or a busy database."),
    sign("Notification queue", `${(now.queue_usage * 100).toFixed(now.queue_usage < 0.1 ? 1 : 0)} %`, judged(now.queue_usage, BOUNDS.queue), "full",
      "A session that listens is idle in a transaction: see pg_stat_activity."),
    sign("Slow clients", count(slow), slow > 0 ? "warn" : "good", "fell behind in the last minute", "See which sessions are behind.", "#/sessions"),
    sign("Capture failures", failures === null ? "–" : count(failures), failures > 0 ? "bad" : "good", "in the last hour", "See what to do about each.", "#/health"),
  ];
}

const sign = (name, value, state, note, advice, href) => ({ name, value, state, note, advice, href });

function delivery(now) {
  if (!now.ready) return sign("Delivery", "Stopped", "bad", now.reason, `Changes are not delivered: ${now.reason}.`);
  if (now.mode === "poll") return sign("Delivery", "Polling", "warn", "LISTEN gives nothing here", "Set ROWCAST_LISTEN_URL to a direct connection.");
  if (now.pool.waiting > 0) return sign("Delivery", "Live", "warn", `${count(now.pool.waiting)} calls wait for the database`, "Raise --pool-size, or look at the database.");
  return sign("Delivery", "Live", "good", "proven by an echo");
}

export function showVitals(history, failures) {
  const all = signs(history, failures);
  const list = $("vitals");
  if (list.children.length !== all.length) list.replaceChildren(...all.map(card));
  all.forEach((one, index) => fill(list.children[index], one));
  const troubles = all.filter((one) => one.state === "bad" || one.state === "warn");
  const worst = troubles.some((one) => one.state === "bad") ? "bad" : troubles.length > 0 ? "warn" : "good";
  const words = troubles.map((one) => `${one.name}: ${one.advice ?? one.note}`);
  const line = (word, index) => h("li", {}, troubles[index].href ? h("a", { href: troubles[index].href }, word) : word);
  const verdict = $("verdict");
  const text = { good: "All is well.", warn: "It works, but wants a look.", bad: "Something is wrong." }[worst];
  const key = [text, ...words].join("\n");
  if (verdict.dataset.key === key) return;
  Object.assign(verdict.dataset, { key, state: worst });
  verdict.replaceChildren(h("strong", {}, text), words.length > 0 ? h("ul", {}, words.map(line)) : h("span", {}, " Changes are being delivered."));
}

function card() {
  return h("li", { class: "vital" },
    h("div", { class: "vital-head" }, h("span", { class: "vital-name" }), h("span", { class: "state" })),
    h("div", { class: "vital-value" }),
    h("div", { class: "muted small vital-note" }));
}

function fill(element, one) {
  element.dataset.state = one.state;
  say(element.querySelector(".vital-name"), one.name);
  say(element.querySelector(".state"), WORDS[one.state]);
  say(element.querySelector(".vital-value"), one.value);
  say(element.querySelector(".vital-note"), one.note ?? "");
}
