// The console: signs in, asks once a second, and shows one view at a time.

import { get, token } from "./api.js";
import { Changes } from "./changes.js";
import { makeCharts, showCharts } from "./charts.js";
import { $, bytes, count, h, rate, say, seconds, span, time } from "./dom.js";
import { Health } from "./health.js";
import { History } from "./history.js";
import { Inspector } from "./inspector.js";
import { List } from "./list.js";
import { Sessions, Topics } from "./sessions.js";
import { Tables } from "./tables.js";
import { showVitals } from "./vitals.js";

const EVERY = 1_000;
const DATABASE_EVERY = 5_000;
const VIEWS = ["overview", "sessions", "topics", "tables", "changes", "health", "inspector"];

class Console {
  history = new History();
  writes = false;
  failures = null;
  #close = null;
  #run = null;
  /** What goes wrong, by what was tried. */
  #troubles = new Map();

  constructor() {
    const views = { sessions: new Sessions(this), topics: new Topics(this), tables: new Tables(this), changes: new Changes(this), health: new Health(this), inspector: new Inspector(this) };
    this.views = views;
    makeCharts();
    this.dialects = new List($("dialects"), "By dialect", dialectColumns(this.history), (row) => row, "No client has connected yet.");
    this.nodes = new List($("nodes"), "Nodes", NODE_COLUMNS, (row) => row.name + row.started_at, "No node is listed.");
    addEventListener("hashchange", () => this.#run && this.show(true));
  }

  start() {
    $("sign-in").hidden = true;
    $("console").hidden = false;
    const [one, two] = [this.every(EVERY, () => this.#look()), this.every(DATABASE_EVERY, () => this.#database())];
    this.#run = () => [one, two].forEach((stop) => stop());
    this.show(false);
  }

  stop(words) {
    this.#run?.();
    this.#close?.();
    this.#run = this.#close = null;
    token.forget();
    signIn(words);
  }

  /** Calls again and again, one call at a time; returns what ends it. */
  every(period, call) {
    let timer;
    let over = false;
    const next = async () => {
      await this.attempt(call);
      if (!over) timer = setTimeout(next, period);
    };
    next();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }

  /** Tries; what goes wrong is shown until the same goes well, or another view is opened. */
  async attempt(call) {
    try {
      await call();
      this.#troubles.delete(call);
    } catch (error) {
      this.failed(error, (words) => this.#troubles.set(call, words));
    }
    say($("trouble"), [...new Set(this.#troubles.values())].join(" · "));
  }

  /** A token that is not good any more leads back to the door; anything else is said. */
  failed(error, tell) {
    if (error.status === 401) return this.#run && this.stop(error.message);
    if (error.status === undefined) console.error(error);
    if (error.status === 0) say($("status"), "Offline", "bad");
    tell(error.message);
  }

  async #look() {
    const overview = await get("overview");
    this.history.add(overview);
    this.writes = overview.writes;
    say($("node"), `${overview.node} ${overview.version}, up ${span(overview.uptime_seconds)}`);
    say($("status"), overview.ready ? (overview.mode === "poll" ? "Polling" : "Delivering") : "Not ready", overview.ready ? (overview.mode === "poll" ? "warn" : "good") : "bad");
    say($("mode"), overview.writes ? "May act" : "Read-only");
    if (!$("overview-view").hidden) this.#showOverview();
  }

  #showOverview() {
    if (!this.history.last) return;
    showVitals(this.history, this.failures);
    showCharts(this.history);
    this.dialects.update(this.history.dialects);
  }

  async #database() {
    const { log, nodes, name, version } = await get("database");
    this.failures = log.failures_last_hour;
    const at = (instant) => (instant ? time(instant) : "–");
    const facts = {
      Database: `${name}, PostgreSQL ${version}`,
      "Log size": bytes(log.bytes),
      "Oldest change": at(log.oldest_change_at),
      "Newest change": at(log.newest_change_at),
      "Newest checkpoint": at(log.checkpoint_at),
      "Open transactions": count(log.open_transactions),
    };
    $("log").replaceChildren(...Object.entries(facts).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
    this.nodes.update(nodes);
  }

  /** Shows the view that the address names; `moved` says that somebody went there. */
  show(moved) {
    const [name, query = ""] = location.hash.slice(2).split("?");
    const view = VIEWS.includes(name) ? name : "overview";
    this.#close?.();
    for (const one of VIEWS) $(`${one}-view`).hidden = one !== view;
    for (const link of $("nav").children) {
      const here = link.hash === `#/${view}`;
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      if (here) link.scrollIntoView({ block: "nearest", inline: "center" });
    }
    this.#troubles.clear();
    say($("trouble"), "");
    this.#close = this.views[view]?.open(new URLSearchParams(query)) ?? null;
    if (view === "overview") this.#showOverview();
    document.title = `${$("nav").querySelector("[aria-current]").textContent} – Rowcast console`;
    if (moved) $("view").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function dialectColumns(history) {
  const of = (field) => (name) => history.last[field][name] ?? 0;
  return [
    { name: "Dialect", value: (name) => name, show: (name) => h("span", { class: "tag" }, name) },
    { name: "Open", number: true, value: (name) => count(of("connections")(name)) },
    { name: "Opened", number: true, value: (name) => count(of("opened")(name)) },
    { name: "Deliveries/s", number: true, value: (name) => rate(history.rate((point) => point.deliveries[name] ?? 0)) },
    { name: "Delivered", number: true, value: (name) => count(of("deliveries")(name)) },
    { name: "Median", number: true, value: (name) => seconds(history.latency(0.5, name)) },
    { name: "p99", number: true, value: (name) => seconds(history.latency(0.99, name)) },
    { name: "Too slow", number: true, value: (name) => count(of("slow")(name)) },
  ];
}

const NODE_COLUMNS = [
  { name: "Node", value: (row) => row.name, show: (row) => h("strong", {}, row.name) },
  { name: "Version", value: (row) => row.version },
  { name: "Started", value: (row) => time(row.started_at) },
  { name: "Heard of", value: (row) => (row.seen_seconds_ago < 15 ? "just now" : `${span(row.seen_seconds_ago)} ago`) },
  { name: "Sessions", number: true, value: (row) => count(row.counts.sessions ?? 0) },
  { name: "Polls", number: true, value: (row) => count(row.counts.parked_polls ?? 0) },
];

function signIn(words = "") {
  $("console").hidden = true;
  $("sign-in").hidden = false;
  say($("sign-in-error"), words);
  $("token").value = "";
  $("token").focus();
}

token.takeFromAddress();
const page = new Console();

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  token.set($("token").value.trim());
  try {
    await get("overview");
    page.start();
  } catch (error) {
    token.forget();
    signIn(error.message);
  }
});
$("sign-out").addEventListener("click", () => page.stop());
addEventListener("hashchange", () => {
  // A link with a token, opened in this tab.
  if (location.hash.startsWith("#token=")) location.reload();
});

if (token.get()) page.start();
else signIn();
