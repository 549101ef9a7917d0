// Who is connected, and what they hold.

import { get, post } from "./api.js";
import { $, count, h, say, soon, span } from "./dom.js";
import { List } from "./list.js";

const EVERY = 2_000;

/** A chip that leads to the inspector; topics of tokens are the bridge's own. */
export function topicLink(topic) {
  if (topic.startsWith("token:")) return h("span", { class: "topic own" }, topic);
  return h("a", { class: "topic", href: `#/inspector?topic=${encodeURIComponent(topic)}` }, topic);
}

function topics(row) {
  if (row.topics_count === 0) return h("span", { class: "muted" }, "none");
  if (row.topics_count <= 2) return h("span", { class: "topics" }, row.topics.map(topicLink));
  const more = row.topics_count - row.topics.length;
  return h("details", { class: "fold" },
    h("summary", {}, `${count(row.topics_count)} topics`),
    h("span", { class: "topics" }, row.topics.map(topicLink), more > 0 ? h("span", { class: "muted small" }, `and ${count(more)} more`) : null));
}

function fill(row) {
  const share = row.capacity > 0 ? row.waiting / row.capacity : 0;
  const state = share >= 0.8 ? "bad" : row.waiting > 0 ? "warn" : "good";
  return h("span", { class: "fill", data: { state } },
    h("meter", { min: "0", max: "1", low: "0.3", high: "0.8", optimum: "0", value: String(share), "aria-label": "Mailbox" }),
    h("span", { class: "small" }, `${count(row.waiting)} of ${count(row.capacity)}`));
}

export class Sessions {
  #older = [];

  constructor(app) {
    this.app = app;
    const columns = [
      { name: "No.", number: true, value: (row) => row.id },
      { name: "Dialect", value: (row) => row.dialect, show: (row) => h("span", { class: "tag" }, row.dialect) },
      { name: "Who", value: (row) => row.user + row.sub + row.role, show: (row) => h("span", { class: "who" }, h("strong", {}, row.user || row.sub || "nobody"), h("span", { class: "muted small" }, row.role)) },
      { name: "From", value: (row) => row.address ?? "" },
      { name: "For", number: true, value: (row) => span((Date.now() - row.since) / 1000) },
      { name: "Delivered", number: true, value: (row) => count(row.delivered) },
      { name: "Mailbox", value: (row) => `${row.waiting}/${row.capacity}`, show: fill },
      { name: "Topics", value: (row) => row.topics_count + row.topics.join(), show: topics },
      { name: "", value: () => app.writes, show: (row) => (app.writes ? this.#ender(row) : "") },
    ];
    this.list = new List($("sessions-list"), "Sessions", columns, (row) => row.id, "No session fits.");
    const again = soon(() => this.#restart());
    $("sessions-search").addEventListener("input", again);
    $("sessions-behind").addEventListener("change", again);
    $("sessions-more").addEventListener("click", () => this.#more());
  }

  open(query) {
    if (query.has("search")) $("sessions-search").value = query.get("search");
    return this.app.every(EVERY, () => this.refresh());
  }

  async #restart() {
    this.#older = [];
    await this.app.attempt(() => this.refresh());
  }

  #query(before) {
    return { search: $("sessions-search").value.trim(), behind: $("sessions-behind").checked, before };
  }

  async refresh() {
    const { sessions, more } = await get("sessions", this.#query());
    this.first = sessions;
    if (this.#older.length === 0) $("sessions-more").hidden = !more;
    this.#show();
  }

  /** Pages that were asked for stay as they were; the newest page is kept fresh. */
  async #more() {
    await this.app.attempt(async () => {
      const last = this.#older.at(-1) ?? this.first.at(-1);
      const { sessions, more } = await get("sessions", this.#query(last?.id));
      this.#older.push(...sessions);
      $("sessions-more").hidden = !more;
      this.#show();
    });
  }

  #show() {
    const fresh = new Set(this.first.map((row) => row.id));
    const rows = [...this.first, ...this.#older.filter((row) => !fresh.has(row.id))];
    this.list.update(rows);
    const more = $("sessions-more").hidden ? "" : ", the newest";
    say($("sessions-count"), `${count(rows.length)} shown${more}; ${count(this.app.history.last?.sessions ?? rows.length)} open in all`);
  }

  #ender(row) {
    const end = async () => {
      await this.app.attempt(() => post("sessions/end", { id: row.id }));
      await this.#restart();
    };
    return h("button", { class: "quiet danger", type: "button", "aria-label": `End session ${row.id}`, on: { click: end } }, "End");
  }
}

export class Topics {
  #rows = [];

  constructor(app) {
    this.app = app;
    const columns = [
      { name: "Topic", value: (row) => row.topic, show: (row) => topicLink(row.topic) },
      { name: "Held by", number: true, value: (row) => row.holders, show: (row) => `${count(row.holders)} ${row.holders === 1 ? "mailbox" : "mailboxes"}` },
      { name: "Sessions", value: (row) => row.topic, show: (row) => h("a", { href: `#/sessions?search=${encodeURIComponent(row.topic)}`, "aria-label": `Show sessions that hold ${row.topic}` }, "Show") },
    ];
    this.list = new List($("topics-list"), "Topics", columns, (row) => row.topic, "No topic fits.");
    $("topics-search").addEventListener("input", soon(() => app.attempt(() => this.refresh())));
    $("topics-more").addEventListener("click", () => app.attempt(() => this.#page(this.#rows.at(-1)?.topic)));
  }

  open(query) {
    if (query.has("search")) $("topics-search").value = query.get("search");
    return this.app.every(EVERY, () => (this.#rows.length > 50 ? null : this.refresh()));
  }

  refresh() {
    this.#rows = [];
    return this.#page();
  }

  async #page(after) {
    const { topics, more } = await get("topics", { search: $("topics-search").value.trim(), after });
    this.#rows = after ? [...this.#rows, ...topics] : topics;
    this.list.update(this.#rows);
    $("topics-more").hidden = !more;
  }
}
