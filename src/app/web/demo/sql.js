// SQL to try, and how to take it along.

import { h, say } from "./dom.js";

/** The statement by which somebody writes to a thread; any service may run it. */
export function insertOf(thread, sender, content) {
  const person = sender === null ? "null" : `chat.user(${text(sender)})`;
  return `insert into chat.messages\n    (thread_id, sender_id, content)\nvalues (\n    chat.thread(${text(thread)}),\n    ${person},\n    ${text(content)});`;
}

/** A statement to try in psql, with a button that copies it. */
export function sqlBlock(thread, sender) {
  const statement = insertOf(thread, sender, "Hello from psql");
  const said = h("span", { class: "small muted", role: "status" });
  const copy = async () => {
    // Only pages of secure origins may; elsewhere the text can be selected.
    const copied = await navigator.clipboard?.writeText(statement).then(() => true, () => false);
    say(said, copied ? "Copied" : "Select the text to copy it");
  };
  return h(
    "div",
    { class: "try" },
    h("pre", { tabindex: "0", role: "region", "aria-label": "Statement to try" }, coloured(statement)),
    h("div", { class: "try-foot" }, h("button", { class: "quiet", type: "button", on: { click: copy } }, "Copy"), said),
  );
}

/** A statement with its words told apart. */
export function coloured(statement) {
  const parts = statement.split(/('(?:[^']|'')*'|\b(?:insert into|values|select|update|set|delete from|where|and|null)\b)/);
  const kind = (part) => (part.startsWith("'") ? "literal" : "keyword");
  // Every second part is what was looked for.
  return h("code", {}, ...parts.map((part, index) => (index % 2 === 1 ? h("span", { class: kind(part) }, part) : part)));
}

/** A text as SQL writes it, on one line. */
export function text(value) {
  const plain = value.replaceAll("'", "''");
  return /[\n\\]/.test(plain) ? `e'${plain.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}'` : `'${plain}'`;
}
