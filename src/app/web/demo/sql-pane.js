// The rows: what was inserted and updated, as the feed tells of it, how far the members of the thread have got, and what to try.

import { h, keep, template } from "./dom.js";
import { coloured, insertOf, sqlBlock, text } from "./sql.js";
import { time } from "./times.js";

/** Rows shown; older ones go. */
const MOST = 100;
/** Changes remembered, so that none is shown twice. */
const REMEMBERED = 1_000;
const DRAW_AFTER = 30;

export class SqlPane {
  element = template("sql-pane");
  #sessions = () => [];
  #rows = [];
  #told = new Set();
  #count = 0;
  #drawing = null;
  #statement = "";

  /** Whose threads are shown: `sessions()` gives them. */
  follow(sessions) {
    this.#sessions = sessions;
    this.drawSoon();
  }

  /** A change, as one of the two was told; the same one told to the other is the same row. */
  change(change, book) {
    const { cursor: _, ...fields } = change;
    const key = JSON.stringify(fields);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    if (this.#told.size > REMEMBERED) this.#told.delete(this.#told.values().next().value);
    const row = rowOf(change, book);
    if (!row) return;
    this.#rows.unshift({ key: String(++this.#count), at: new Date().toISOString(), ...row });
    this.#rows.length = Math.min(this.#rows.length, MOST);
    this.drawSoon();
  }

  drawSoon() {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = null;
      this.#draw();
    }, DRAW_AFTER);
  }

  #draw() {
    const part = (name) => this.element.querySelector(`[data-part="${name}"]`);
    const sessions = this.#sessions().filter(Boolean);
    const book = sessions.find((session) => session.book.current)?.book ?? sessions[0]?.book;
    const thread = book?.current ?? book?.inOrder()[0] ?? null;
    if (thread) {
      const sender = book.others(thread)[0]?.user_id ?? book.me;
      const statement = `${thread.id} ${sender}`;
      if (this.#statement !== statement) part("statement").replaceChildren(sqlBlock(thread.id, sender));
      this.#statement = statement;
      keep(part("members"), thread.members.map((member) => memberRow(book, thread, member)));
    }
    part("no-rows").hidden = this.#rows.length > 0;
    keep(part("rows"), this.#rows.map((row) => ({ key: row.key, look: "", make: () => shown(row) })));
  }
}

function memberRow(book, thread, member) {
  const content = new Map(thread.messages.map((message) => [message.id, message.content]));
  const cell = (id) => (id ? [id.slice(0, 8), content.get(id) ?? "an earlier message"] : ["–", ""]);
  const cells = [cell(thread.delivered.get(member.user_id)), cell(thread.read.get(member.user_id))];
  const name = book.name(thread, member.user_id).split(" ")[0];
  const make = () =>
    h("tr", {}, h("th", { scope: "row" }, name),
      ...cells.map(([id, words]) => h("td", {}, h("code", {}, id), words ? h("span", { class: "muted" }, ` ${words}`) : null)));
  return { key: member.user_id, look: JSON.stringify(cells), make };
}

function shown({ kind, table, statement, fields, at }) {
  const rows = Object.entries(fields).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  return h(
    "li",
    { class: `sql-row ${kind}` },
    h("p", { class: "sql-head" }, h("strong", { class: "verb" }, kind), h("code", {}, table), h("time", { class: "muted small", datetime: at }, time(at))),
    h("pre", {}, coloured(statement)),
    h("dl", {}, ...rows),
  );
}

/** What a change says of its row. */
function rowOf(change, book) {
  const message = change.data;
  const thread = change.thread_id ?? message?.thread_id;
  const where = `where uuid = ${text(message?.id ?? change.message_id ?? "")};`;
  switch (change.type) {
    case "new_message":
      return {
        kind: "insert", table: "chat.messages", statement: insertOf(thread, message.sender_id, message.content),
        fields: { uuid: message.id, sender: message.sender?.full_name ?? "null", content: message.content, message_type: message.message_type, created_at: message.created_at },
      };
    case "message_updated":
      return {
        kind: "update", table: "chat.messages", statement: `update chat.messages\nset content = ${text(message.content)}\n${where}`,
        fields: { uuid: message.id, content: message.content, edited_at: message.edited_at ?? "null" },
      };
    case "message_deleted":
      return { kind: "delete", table: "chat.messages", statement: `delete from chat.messages\n${where}`, fields: { uuid: change.message_id } };
    case "messages_read":
      return marked(change, change.reader_id, "last_read_seq", book, { messages: String(change.count), read_at: change.read_at });
    case "message_delivered":
      return marked(change, change.user_id, "last_delivered_seq", book, { delivered_at: change.delivered_at });
    case "thread_joined":
      return { kind: "insert", table: "chat.members", statement: `insert into chat.members (thread_id, user_id)\nvalues (chat.thread(${text(thread)}), chat.user(${text(change.user_id)}));`, fields: { user: nameOf(book, thread, change.user_id) } };
    case "thread_left":
      return { kind: "delete", table: "chat.members", statement: `delete from chat.members\nwhere thread_id = chat.thread(${text(thread)})\n    and user_id = chat.user(${text(change.user_id)});`, fields: { user: nameOf(book, thread, change.user_id) } };
    default:
      return null;
  }
}

function marked({ thread_id, up_to_message_id: upTo }, user, column, book, more) {
  const call = column === "last_read_seq" ? "mark_read" : "mark_delivered";
  const statement = `select chat.${call}(\n    chat.user(${text(user)}),\n    chat.thread(${text(thread_id)}),\n    chat.message(${text(upTo ?? "")}));`;
  return { kind: "update", table: "chat.members", statement, fields: { user: nameOf(book, thread_id, user), [column]: upTo ? `that of ${upTo.slice(0, 8)}` : "0", ...more } };
}

function nameOf(book, thread, user) {
  const known = book.threads.get(thread);
  return known ? book.name(known, user) : user;
}
