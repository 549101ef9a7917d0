// The inspector: a subscriber of any topic, as any role, and what it does not get.

import { follow, get } from "./api.js";
import { $, count, h, say, time } from "./dom.js";
import { changeRow } from "./changes.js";

const KEPT = 200;

export class Inspector {
  #counts = { shown: 0, withheld: 0 };

  constructor(app) {
    this.app = app;
    $("inspect-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#join();
    });
    $("inspect-stop").addEventListener("click", () => this.#leave());
  }

  open(query) {
    if (query.has("topic")) $("inspect-topic").value = query.get("topic");
    this.app.attempt(async () => {
      const { topics } = await get("topics");
      $("inspect-topics").replaceChildren(...topics.map(({ topic }) => h("option", { value: topic })));
    });
    return () => this.#leave();
  }

  #leave() {
    this.abort?.abort();
    $("inspect-stop").hidden = true;
  }

  async #join() {
    this.#leave();
    say($("inspect-error"), "");
    let claims;
    try {
      claims = JSON.parse($("inspect-claims").value.trim() || "{}");
      if (claims === null || typeof claims !== "object" || Array.isArray(claims)) throw new Error("not an object");
    } catch (error) {
      say($("inspect-error"), `The claims are not a JSON object: ${error.message}`);
      return;
    }
    const abort = (this.abort = new AbortController());
    const body = { topic: $("inspect-topic").value.trim(), role: $("inspect-role").value.trim(), claims };
    this.#counts = { shown: 0, withheld: 0 };
    $("inspect-list").replaceChildren();
    $("inspect-joined").hidden = true;
    $("inspect-stop").hidden = false;
    try {
      await follow("inspect", { body, signal: abort.signal }, (name, data) => this.#tell(name, data));
      if (!abort.signal.aborted) say($("inspect-error"), "The stream ended; join again.");
    } catch (error) {
      if (!abort.signal.aborted) this.app.failed(error, (words) => say($("inspect-error"), words));
    }
    if (this.abort === abort) $("inspect-stop").hidden = true;
  }

  #tell(name, data) {
    if (name === "joined") {
      this.joined = data;
      return this.#describe();
    }
    if (name === "ended") return say($("inspect-error"), data.message);
    if (name === "shown" || data.why) this.#counts[name === "shown" ? "shown" : "withheld"] += 1;
    const list = $("inspect-list");
    list.prepend(this.#row(name, data));
    while (list.children.length > KEPT) list.lastChild.remove();
    this.#describe();
  }

  #row(name, data) {
    const state = (kind, text) => h("span", { class: "state", data: { state: kind } }, text);
    if (name === "shown") return changeRow(data, state("good", "Gets"));
    if (name === "withheld") return changeRow(data, state("bad", "Withheld"));
    const head = [h("time", { class: "muted" }, time(Date.now()))];
    if (name === "signal") head.push(data.why ? state("bad", "Withheld") : state("good", "Gets"), h("span", { class: "op" }, data.event), h("span", { class: "brief" }, data.text ?? data.why));
    else head.push(state("warn", "Gap"), h("span", { class: "brief" }, data.message));
    return h("li", { class: "event flat" }, h("div", { class: "event-head" }, head));
  }

  #describe() {
    const { topic, role, hears, why, table, row_security, readable, unreadable, user, presence } = this.joined;
    const columns = (names) => (names.length > 0 ? names.join(", ") : "none");
    const facts = [
      ["Topic", topic],
      ["As", user ? `${user}, ${role}` : role],
      ["Hears it", hears ? "yes" : `no: ${why ?? "it may not read the key"}`],
      table && ["Row security", row_security ? "decides for each row" : "does not apply to this role"],
      readable && ["Columns it reads", columns(readable)],
      unreadable?.length > 0 && ["Columns it does not", columns(unreadable)],
      presence !== undefined && ["Presence", presence ? "yes" : "no"],
      ["So far", `${count(this.#counts.shown)} got, ${count(this.#counts.withheld)} withheld`],
    ].filter(Boolean);
    const joined = $("inspect-joined");
    joined.dataset.state = hears ? "good" : "bad";
    const key = JSON.stringify(facts);
    joined.hidden = false;
    if (joined.dataset.key === key) return;
    joined.dataset.key = key;
    joined.replaceChildren(h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }
}
