// What a thread shows: days, runs of messages by one person, ticks, and what waits to be sent.

import { avatar, h, icon, keep, unseen } from "./dom.js";
import { day, time } from "./times.js";

/** A run of messages by one person breaks after this many milliseconds. */
const RUN = 5 * 60_000;
const TICKS = { waiting: "Waiting to be sent", sent: "Sent", delivered: "Delivered", read: "Read" };

/**
 * Draws a thread's messages, and after them the letters of the outbox that are not among them. `drop` and `again` are for a
 * refused one; `fresh` are the ids of those that came just now.
 */
export function drawMessages(list, book, thread, letters, { again, drop, fresh }) {
  const marks = book.marks(thread);
  const group = marks.people.length > 1;
  const readers = group ? lastRead(book, thread, marks) : new Map();
  const items = [];
  let before = null;
  for (const message of thread.messages) {
    const today = day(message.created_at);
    const newDay = !before || day(before.created_at) !== today;
    if (newDay) items.push({ key: `day ${today}`, look: today, make: () => h("li", { class: "day small muted" }, today) });
    const view = viewOf(book, thread, message, !newDay && before, marks, group, readers);
    items.push({ key: message.id, look: JSON.stringify(view), make: () => (message.sender_id === null ? note(view) : bubble({ ...view, fresh: fresh.delete(message.id) })) });
    before = message;
  }
  const known = new Set(thread.messages.map((message) => message.id));
  for (const letter of letters) {
    if (known.has(letter.id)) continue;
    const view = { mine: true, content: letter.content, at: letter.at, tick: "waiting", failed: letter.failed, run: before?.sender_id === book.me };
    items.push({ key: letter.id, look: JSON.stringify(view), make: () => bubble(view, { again, drop: () => drop(letter.id) }) });
  }
  keep(list, items);
}

function viewOf(book, thread, message, before, marks, group, readers) {
  const mine = message.sender_id === book.me;
  const run = before && before.sender_id === message.sender_id && Date.parse(message.created_at) - Date.parse(before.created_at) < RUN;
  const name = mine ? "You" : (message.sender?.full_name ?? book.name(thread, message.sender_id));
  const view = { mine, group, run: Boolean(run), name, content: message.content, at: message.created_at, edited: Boolean(message.edited_at) };
  if (mine) view.tick = tickOf(marks.of(message));
  if (readers.has(message.id)) view.readers = readers.get(message.id);
  return view;
}

function tickOf({ delivered, read, of }) {
  if (of > 0 && read.length === of) return "read";
  return of > 0 && delivered.length === of ? "delivered" : "sent";
}

/** In a group: up to which of one's own messages each of the others has read. */
function lastRead(book, thread, marks) {
  const readers = new Map();
  for (const { name, read } of marks.people) {
    const last = thread.messages.slice(0, read + 1).findLast((message) => message.sender_id === book.me);
    if (last) readers.set(last.id, [...(readers.get(last.id) ?? []), name]);
  }
  return readers;
}

function note({ content }) {
  return h("li", { class: "message system small muted" }, h("p", { class: "content" }, content));
}

function bubble({ mine, group, run, name, content, at, edited, tick, readers, failed, fresh }, letter) {
  const side = mine ? "mine" : "theirs";
  const speaker = h("p", { class: group && !mine && !run ? "from small" : "unseen" }, mine ? "You" : name);
  const foot = h(
    "p",
    { class: "foot" },
    edited ? h("span", {}, "edited") : null,
    h("time", { datetime: at }, time(at)),
    tick && !failed ? h("span", { class: "ticks", data: { tick }, title: TICKS[tick] }, icon(tick), unseen(TICKS[tick])) : null,
  );
  return h(
    "li",
    { class: `message ${side}${run ? " run" : ""}${letter ? " letter" : ""}${fresh ? " fresh" : ""}` },
    mine || !group ? null : avatar(name),
    h("div", { class: "bubble" },
      speaker,
      h("div", { class: "box" }, h("p", { class: "content" }, content), foot),
      readers ? h("p", { class: "readers small muted" }, `Read by ${readers.join(", ")}`) : null,
      failed ? refused(failed, letter) : null),
  );
}

function refused(reason, { again, drop }) {
  return h(
    "p",
    { class: "refused small", role: "alert" },
    `Not sent: ${reason} `,
    h("button", { class: "link", type: "button", on: { click: again } }, "Try again"),
    " · ",
    h("button", { class: "link", type: "button", on: { click: drop } }, "Discard"),
  );
}
