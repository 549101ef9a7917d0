// The tail: changes as they are pushed to clients.

import { follow } from "./api.js";
import { $, count, h, say, soon, time } from "./dom.js";

const KEPT = 200;
const AGAIN = 2_000;

/** A change as a row that unfolds. */
export function changeRow(change, more) {
  const shown = change.record ?? change.old_record ?? change.key;
  const brief = shown ? JSON.stringify(shown) : change.why ?? "";
  const parts = Object.entries({ key: change.key, record: change.record, "old record": change.old_record, link: change.link }).filter(([, part]) => part !== null && part !== undefined);
  const head = [
    h("time", { class: "muted", datetime: new Date(change.at).toISOString() }, time(change.at)),
    more,
    h("span", { class: "op", data: { op: change.op } }, change.op),
    h("strong", {}, change.relation),
    h("span", { class: "muted topic-name" }, change.topic),
    h("span", { class: "brief" }, brief),
  ];
  if (parts.length === 0) return h("li", { class: "event flat" }, h("div", { class: "event-head" }, head));
  const text = ([name, part]) => [h("dt", {}, name), h("dd", {}, h("pre", {}, typeof part === "string" ? part : JSON.stringify(part, null, 2)))];
  const rest = h("dl", {});
  const details = h("details", {}, h("summary", { class: "event-head" }, head), rest);
  // Made when it is looked at: most never are.
  details.addEventListener("toggle", () => rest.children.length === 0 && rest.append(...parts.flatMap(text)), { once: true });
  return h("li", { class: "event" }, details);
}

export class Changes {
  #paused = false;
  #held = [];
  #count = 0;

  constructor(app) {
    this.app = app;
    $("changes-search").addEventListener("input", soon(() => this.#again()));
    $("changes-pause").addEventListener("click", () => this.#pause());
    $("changes-clear").addEventListener("click", () => this.#clear());
  }

  open() {
    this.closed = false;
    this.#again();
    return () => {
      this.closed = true;
      this.abort?.abort();
    };
  }

  /** Follows with the search of now; a stream that broke is opened again. */
  async #again() {
    this.abort?.abort();
    if (this.closed) return;
    const abort = (this.abort = new AbortController());
    const search = $("changes-search").value.trim();
    say($("changes-state"), "Connecting…");
    while (!abort.signal.aborted) {
      try {
        await follow(`tail${search ? `?${new URLSearchParams({ search })}` : ""}`, { signal: abort.signal }, (name, data) => this.#tell(name, data));
      } catch (error) {
        if (abort.signal.aborted) return;
        this.app.failed(error, () => {});
      }
      if (abort.signal.aborted) return;
      say($("changes-state"), "Interrupted; what came meanwhile is not shown.");
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  #tell(name, data) {
    if (name === "open") return this.#state();
    const row = name === "change" ? changeRow(data) : h("li", { class: "event flat missed" }, `${count(data.count)} more came faster than they can be shown`);
    this.#count += name === "change" ? 1 : data.count;
    if (this.#paused) {
      this.#held.push(row);
      this.#held.splice(0, this.#held.length - KEPT);
    } else {
      this.#add([row]);
    }
    this.#state();
  }

  #add(rows) {
    const list = $("changes-list");
    list.prepend(...rows.toReversed());
    while (list.children.length > KEPT) list.lastChild.remove();
    $("changes-empty").hidden = list.children.length > 0;
  }

  #state() {
    say($("changes-state"), this.#paused ? `Paused; ${count(this.#held.length)} wait.` : `Live; ${count(this.#count)} so far.`);
  }

  #pause() {
    this.#paused = !this.#paused;
    $("changes-pause").setAttribute("aria-pressed", String(this.#paused));
    if (!this.#paused) this.#add(this.#held.splice(0));
    this.#state();
  }

  #clear() {
    $("changes-list").replaceChildren();
    this.#held = [];
    this.#count = 0;
    this.#add([]);
    this.#state();
  }
}
