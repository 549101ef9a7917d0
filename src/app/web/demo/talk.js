// The selected thread on the page: its head, its messages with their history as one scrolls, who types, and the composer.

import { avatar, icon, say } from "./dom.js";
import { drawMessages } from "./messages.js";
import { sqlBlock } from "./sql.js";
import { statusOf } from "./thread-list.js";

/** So close to the end, in pixels, the newest stays in view. */
const NEAR_END = 80;
/** So close to the beginning older messages are fetched. */
const NEAR_TOP = 240;
const MOST_ROWS = 6;

export class Talk {
  #part;
  #session;
  #atEnd = true;
  #shown = null;
  #unseen = 0;
  /** Messages that came just now: they are seen to come. */
  #fresh = new Set();
  #hint = "";

  /** `part(name)` gives the elements; `back()` is called for the way back to the list. */
  constructor(part, session, { back, sql }) {
    this.#part = part;
    this.#session = session;
    part("back").append(icon("back"));
    part("back").addEventListener("click", back);
    part("compose").querySelector(".send").append(icon("send"));
    part("hint").hidden = !sql;
    this.#wire();
  }

  draw() {
    const { book, client, outbox } = this.#session;
    const thread = book.current;
    const part = this.#part;
    part("nothing").hidden = thread !== null;
    part("thread").hidden = thread === null;
    part("offline").hidden = client.status.status === "online";
    if (!thread) {
      this.#shown = null;
      return;
    }
    const another = this.#shown !== thread.id;
    this.#shown = thread.id;
    if (another) this.#turnTo();
    this.#head(book, thread);
    // Two people side by side have one each.
    part("scroll").setAttribute("aria-label", `${this.#session.name}: messages in ${thread.name}`);
    const box = part("scroll");
    const anchor = this.#anchor();
    drawMessages(part("messages"), book, thread, outbox.of(thread.id), {
      again: () => outbox.again(),
      drop: (id) => outbox.drop(id),
      fresh: this.#fresh,
    });
    if (this.#atEnd || another) this.toEnd();
    // Older ones came above: what was looked at stays where it is.
    else if (anchor) box.scrollTop += (endOf(anchor.key, part("messages")) ?? anchor.end) - anchor.end;
    this.#older(thread);
    this.#typing(book, thread);
    this.#statement(book, thread);
    this.look();
  }

  /** A message came; one that is not looked at is counted. */
  arrived(message) {
    const { book } = this.#session;
    if (message.thread_id !== book.selected) return;
    if (message.sender_id !== book.me) this.#fresh.add(message.id);
    if (this.#atEnd) return;
    if (message.sender_id === book.me) this.#atEnd = true;
    else this.#unseen += 1;
    this.#news();
  }

  /** What is on a visible page has been looked at. */
  look() {
    const visible = document.visibilityState === "visible" && this.#part("scroll").getClientRects().length > 0;
    if (visible && this.#atEnd) this.#session.looked();
  }

  toEnd() {
    const box = this.#part("scroll");
    box.scrollTop = box.scrollHeight;
    this.#atEnd = true;
    this.#unseen = 0;
    this.#news();
  }

  focus() {
    this.#part("content").focus();
  }

  #turnTo() {
    this.#atEnd = true;
    this.#unseen = 0;
    this.#fresh.clear();
    this.#news();
    this.#part("content").value = "";
    this.#fit();
  }

  #head(book, thread) {
    const part = this.#part;
    if (part("thread-avatar").dataset.name !== thread.name) {
      part("thread-avatar").dataset.name = thread.name;
      part("thread-avatar").replaceChildren(avatar(thread.name));
    }
    say(part("thread-name"), thread.name);
    const one = statusOf(book, thread);
    const here = book.others(thread).filter((member) => book.presence.has(member.user_id) && book.presence.get(member.user_id) !== "offline");
    const names = here.map((member) => book.name(thread, member.user_id).split(" ")[0]).join(", ");
    const people = `${thread.members.length} people`;
    say(part("thread-people"), one ?? (names ? `${people}, ${names} online` : people));
    part("thread-people").dataset.status = one ?? "";
  }

  #older(thread) {
    const words = !thread.loaded ? "Loading…" : thread.loading ? "Loading earlier messages…" : thread.hasMore ? "" : "This is where it began.";
    say(this.#part("older"), words);
    // A page that does not fill the screen has nothing to scroll.
    if (thread.loaded && thread.hasMore) this.#reach();
  }

  /** The topmost message that is in view, and where it ends: it may lose its head, when it comes to follow another one. */
  #anchor() {
    const { top } = this.#part("scroll").getBoundingClientRect();
    const first = [...this.#part("messages").querySelectorAll(".message")].find((one) => one.getBoundingClientRect().bottom > top);
    return first ? { key: first.dataset.key, end: first.offsetTop + first.offsetHeight } : null;
  }

  #reach() {
    const box = this.#part("scroll");
    if (box.scrollTop < NEAR_TOP && this.#session.client.status.status === "online") this.#session.loadOlder().catch(() => {});
  }

  #typing(book, thread) {
    const names = [...thread.typing].map((user) => book.name(thread, user));
    const words = ["", `${names[0]} is typing…`, `${names[0]} and ${names[1]} are typing…`];
    say(this.#part("typing"), words[names.length] ?? "Several people are typing…");
  }

  #statement(book, thread) {
    const part = this.#part;
    const sender = book.others(thread)[0]?.user_id ?? book.me;
    const hint = `${thread.id} ${sender}`;
    if (part("hint").hidden || this.#hint === hint) return;
    this.#hint = hint;
    part("hint-sql").replaceChildren(sqlBlock(thread.id, sender));
  }

  #news() {
    const newer = this.#part("newer");
    newer.hidden = this.#unseen === 0;
    say(newer, this.#unseen === 1 ? "1 new message ↓" : `${this.#unseen} new messages ↓`);
  }

  #scrolled() {
    const box = this.#part("scroll");
    this.#atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
    if (this.#atEnd && this.#unseen > 0) {
      this.#unseen = 0;
      this.#news();
    }
    this.look();
    const thread = this.#session.book.current;
    if (thread?.loaded && thread.hasMore) this.#reach();
  }

  #send(event) {
    event.preventDefault();
    const field = this.#part("content");
    const content = field.value.trim();
    if (!content || !this.#session.book.selected) return;
    field.value = "";
    this.#fit();
    this.#atEnd = true;
    this.#session.write(content);
    field.focus();
  }

  /** The field grows with what is written, up to its largest height. */
  #fit() {
    const field = this.#part("content");
    field.rows = Math.min(MOST_ROWS, field.value.split("\n").length);
  }

  #wire() {
    const part = this.#part;
    part("compose").addEventListener("submit", (event) => this.#send(event));
    part("content").addEventListener("input", () => {
      this.#fit();
      if (part("content").value) this.#session.typing();
      else this.#session.stopTyping();
    });
    part("content").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#send(event);
    });
    part("newer").addEventListener("click", () => {
      this.toEnd();
      this.look();
      this.focus();
    });
    part("scroll").addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(part("scroll"));
  }
}

/** Where a message ends, which may have been made anew; undefined where it is gone. */
function endOf(key, list) {
  const one = [...list.children].find((child) => child.dataset.key === key);
  return one && one.offsetTop + one.offsetHeight;
}
