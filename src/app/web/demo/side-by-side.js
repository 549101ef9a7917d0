// Two people in one window, and the rows between them.

import { h } from "./dom.js";
import { Panel } from "./panel.js";
import { people } from "./people.js";
import { SqlPane } from "./sql-pane.js";

/** Shows it on the stage; false where there are no two ready-made people. */
export async function showSideBySide(stage) {
  const two = (await people()).slice(0, 2);
  if (two.length < 2) return false;
  document.body.dataset.at = "chat";
  const pane = new SqlPane();
  const both = h("div", { class: "both-panels", data: { shown: "0" } });
  const panels = two.map((person, index) => seat(person, index, two, both, pane));
  pane.follow(() => panels.map((one) => one.current().session));
  both.append(switcher(two, both, panels), ...panels.map(({ place }) => place), h("div", { class: "place", data: { place: "2" } }, pane.element));
  stage.replaceChildren(both);
  for (const one of panels) one.sit();
  return true;
}

/** One of the two places; who is thrown out of it may come back. */
function seat(person, index, two, both, pane) {
  const place = h("div", { class: "place", data: { place: String(index) } });
  let panel = null;
  const sit = () => {
    panel?.end();
    panel = new Panel(person, {
      wanted: () => shared(panel.session.book, two),
      selected: () => pane.drawSoon(),
      ended: out,
      change: (change) => pane.change(change, panel.session.book),
      drawn: () => pane.drawSoon(),
    });
    place.replaceChildren(panel.element);
    panel.start();
  };
  const out = (reason) => {
    panel.end();
    place.replaceChildren(h(
      "section",
      { class: "panel out", "aria-label": `Chat of ${person.name}` },
      h("h2", {}, person.name),
      h("p", { class: "fault", role: "alert" }, reason),
      h("button", { class: "primary", type: "button", on: { click: sit } }, "Try again"),
    ));
  };
  return { place, sit, current: () => panel };
}

/** The thread that only these two are in. */
function shared(book, two) {
  const ids = new Set(two.map(({ user_id }) => user_id));
  const theirs = (thread) => thread.members.length === 2 && thread.members.every(({ user_id }) => ids.has(user_id));
  return [...book.threads.values()].find(theirs)?.id ?? null;
}

/** On a phone one is shown at a time. */
function switcher(two, both, panels) {
  const names = [...two.map(({ name }) => name.split(" ")[0]), "SQL"];
  const buttons = names.map((name, index) => h("button", { type: "button", "aria-pressed": String(index === 0), on: { click: () => show(index) } }, name));
  function show(index) {
    both.dataset.shown = String(index);
    buttons.forEach((button, nth) => button.setAttribute("aria-pressed", String(nth === index)));
    panels[index]?.current().look();
  }
  return h("nav", { class: "switcher", "aria-label": "Shown" }, ...buttons);
}
