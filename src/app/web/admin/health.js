// What the doctor finds and what capture failed at, each with what to do.

import { get } from "./api.js";
import { $, h, say, time } from "./dom.js";

const EVERY = 15_000;
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

function item(state, name, detail, remedy) {
  return h("li", { class: "check-item", data: { state } },
    h("div", {}, h("span", { class: "state" }, state === "good" ? "In order" : "Failed"), h("strong", {}, name)),
    detail ? h("p", { class: "muted" }, detail) : null,
    remedy ? h("p", { class: "remedy" }, h("span", { class: "small" }, "What to do: "), remedy) : null);
}

export class Health {
  constructor(app) {
    this.app = app;
    $("health-again").addEventListener("click", () => app.attempt(() => this.refresh()));
  }

  open() {
    return this.app.every(EVERY, () => this.refresh());
  }

  async refresh() {
    const [doctor, failures] = await Promise.all([get("doctor"), get("failures")]);
    const failed = doctor.filter((check) => !check.ok);
    const key = JSON.stringify([doctor, failures]);
    if (key === this.key) return;
    this.key = key;
    const summary = failed.length === 0 ? `All ${doctor.length} checks hold.` : `${failed.length} of ${doctor.length} checks failed.`;
    say($("doctor-summary"), `${summary} rowcast doctor looks at the network, keys and clocks, too.`);
    $("doctor-failed").replaceChildren(...failed.map((check) => item("bad", check.name, check.detail, check.remedy)));
    $("doctor-ok").replaceChildren(...doctor.filter((check) => check.ok).map((check) => item("good", check.name, check.detail)));
    $("failures").replaceChildren(...failures.failures.map((one) => {
      const at = `${day.format(new Date(one.at))}, ${time(one.at)}`;
      return item("bad", `${one.op} of ${one.relation}`, `${at}: ${one.message} (${one.sqlstate})`, one.remedy);
    }));
    $("failures-none").hidden = failures.failures.length > 0;
  }
}
