// The tables of the database: those on the feed, and those that could be.

import { get, post } from "./api.js";
import { $, count, h, say, soon } from "./dom.js";
import { List } from "./list.js";
import { topicLink } from "./sessions.js";

const EVERY = 5_000;

const chip = (state, text) => h("span", { class: "tag", data: { state } }, text);

function condition(row) {
  if (row.row_security === null) return chip("bad", "dropped");
  return row.triggers < row.triggers_wanted ? chip("bad", `${row.triggers} of ${row.triggers_wanted} triggers`) : chip("good", "captured");
}

const security = (row) => (row.row_security ? chip("good", "on") : chip("warn", "off"));
const rows = (row) => (row.rows_about === null ? "not counted" : `about ${count(row.rows_about)}`);
const change = (row) => `${row.columns ? row.columns.join(", ") : "all columns"}; old rows: ${row.identity === "full" ? "whole" : "key"}`;

export class Tables {
  constructor(app) {
    this.app = app;
    const writes = () => app.writes;
    const watched = [
      { name: "Table", value: (row) => row.name, show: (row) => h("strong", {}, row.name) },
      { name: "State", value: (row) => `${row.triggers}/${row.triggers_wanted}/${row.row_security}`, show: condition },
      { name: "Topic", value: (row) => row.topic, show: (row) => topicLink(row.topic) },
      { name: "Carries", value: change },
      { name: "Row security", value: (row) => row.row_security, show: security },
      { name: "", value: writes, show: (row) => (app.writes ? this.#button(row, "unwatch", "Unwatch") : "") },
    ];
    const others = [
      { name: "Table", value: (row) => row.name, show: (row) => h("strong", {}, row.name) },
      { name: "Rows", value: rows },
      { name: "Key", value: (row) => row.has_key, show: (row) => (row.has_key ? "primary key" : chip("warn", "none")) },
      { name: "Row security", value: (row) => row.row_security, show: security },
      { name: "", value: writes, show: (row) => (app.writes ? this.#button(row, "watch", "Watch") : h("code", { class: "small" }, `rowcast watch ${row.name}`)) },
    ];
    this.watched = new List($("tables-watched"), "Watched tables", watched, (row) => row.name, "No table is watched.");
    this.others = new List($("tables-others"), "Tables that are not watched", others, (row) => row.name, "There is no other table.");
    $("tables-search").addEventListener("input", soon(() => app.attempt(() => this.refresh())));
  }

  open() {
    say($("tables-said"), "");
    return this.app.every(EVERY, () => this.refresh());
  }

  async refresh() {
    const { tables, more } = await get("tables", { search: $("tables-search").value.trim() });
    this.watched.update(tables.filter((row) => row.topic !== null));
    this.others.update(tables.filter((row) => row.topic === null));
    const first = more ? "The first 200 by name. " : "";
    const how = this.app.writes ? "Watching puts triggers on the table; it waits for those who write to it." : "This console is read-only: use the command, or start with --admin-write.";
    say($("tables-note"), first + how);
  }

  #button(row, action, label) {
    const act = async ({ currentTarget: button }) => {
      button.disabled = true;
      try {
        const { topic } = await post(`tables/${action}`, { table: row.name });
        say($("tables-said"), action === "watch" ? `${row.name} is watched; its changes go to ${topic}.` : `${row.name} is no longer watched.`, "good");
        await this.refresh();
      } catch (error) {
        this.app.failed(error, (words) => say($("tables-said"), `${row.name}: ${words}`, "bad"));
      } finally {
        button.disabled = false;
      }
    };
    return h("button", { class: "quiet", type: "button", "aria-label": `${label} ${row.name}`, on: { click: act } }, label);
  }
}
