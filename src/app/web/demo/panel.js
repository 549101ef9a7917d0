// One person's chat on the page: who they are, how the connection fares, their threads, and the thread they are in.

import { avatar, icon, say, template } from "./dom.js";
import { Session } from "./session.js";
import { Talk } from "./talk.js";
import { drawThreads, walk } from "./thread-list.js";

/** A burst of changes is drawn at once; a frame of the screen is as long. */
const DRAW_AFTER = 16;
const WORDS = { idle: "Connecting…", connecting: "Connecting…", offline: "Offline", closed: "Signed out" };
const WAYS = { socket: "socket", events: "event stream", polling: "polling" };

export class Panel {
  element = template("panel");
  session;
  #talk;
  #due = new Set();
  #drawing = null;
  #countdown = null;
  #options;
  #wasOnline = false;
  #stop = new AbortController();

  /**
   * `person` is `{name, token}`. Options: `wanted()` the thread to begin with; `selected(id)`; `left()` for who signs out;
   * `ended(reason)` for who is thrown out; `change(change)`; `drawn()`; `sql`: whether it shows what to try.
   */
  constructor(person, options) {
    this.#options = options;
    this.session = new Session(person, {
      wanted: () => options.wanted?.() ?? null,
      changed: (...what) => this.#draw(what),
      arrived: (message) => this.#arrived(message),
      change: (change) => options.change?.(change),
      status: (status) => this.#status(status),
      ended: (reason) => options.ended(reason),
    });
    const part = (name) => this.element.querySelector(`[data-part="${name}"]`);
    this.part = part;
    this.#talk = new Talk(part, this.session, { back: () => this.open(null), sql: options.sql });
    part("leave").append(icon("leave"));
    part("leave").hidden = !options.left;
    part("leave").addEventListener("click", () => options.left());
    part("retry").addEventListener("click", () => this.session.client.retry());
    part("threads").addEventListener("keydown", (event) => walk(part("threads"), event));
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.session.book.selected) this.#toList();
    });
    document.addEventListener("visibilitychange", () => this.look(), { signal: this.#stop.signal });
    this.#who();
    this.#status(this.session.client.status);
  }

  start() {
    this.session.start();
  }

  end() {
    this.#stop.abort();
    clearInterval(this.#countdown);
    clearTimeout(this.#drawing);
    this.session.end();
    this.element.remove();
  }

  /** Turns to a thread, or to the list. */
  async open(id) {
    this.element.dataset.open = id ? "thread" : "list";
    this.#options.selected?.(id);
    const turned = this.session.select(id);
    this.#drawNow();
    // A thumb on a phone does not want the keyboard at once.
    if (id && matchMedia("(pointer: fine)").matches) this.#talk.focus();
    // Offline: it is fetched when the connection is back.
    await turned.catch(() => {});
  }

  /** What is visible has been looked at. */
  look() {
    this.#talk.look();
  }

  #toList() {
    const { selected } = this.session.book;
    this.open(null);
    this.part("threads").querySelector(`[data-thread="${CSS.escape(selected)}"]`)?.focus();
  }

  #draw(what) {
    for (const one of what) this.#due.add(one);
    this.#drawing ??= setTimeout(() => this.#drawNow(), DRAW_AFTER);
  }

  #drawNow() {
    clearTimeout(this.#drawing);
    this.#drawing = null;
    if (this.#stop.signal.aborted) return;
    this.#due.clear();
    const { book } = this.session;
    this.element.dataset.open = book.selected ? "thread" : "list";
    this.#who();
    drawThreads(this.part("threads"), book, (id) => this.open(id));
    this.part("no-threads").hidden = book.threads.size > 0 || this.session.client.status.status !== "online";
    this.#talk.draw();
    this.#options.drawn?.();
  }

  #who() {
    const { name } = this.session;
    const place = this.part("my-avatar");
    if (place.dataset.name === name) return;
    place.dataset.name = name;
    place.replaceChildren(...(name ? [avatar(name)] : []));
    say(this.part("my-name"), name);
    this.element.setAttribute("aria-label", name ? `Chat of ${name}` : "Chat");
    this.element.dataset.person = name;
    this.part("side").setAttribute("aria-label", name ? `Chats of ${name}` : "Chats");
  }

  #status({ status, way, retryInMs }) {
    clearInterval(this.#countdown);
    const pill = this.part("status");
    pill.dataset.status = status;
    if (way) pill.dataset.way = way;
    this.#wasOnline ||= status === "online";
    const words = status === "connecting" && this.#wasOnline ? "Reconnecting…" : WORDS[status];
    say(pill, status === "online" ? `Online · ${WAYS[way]}` : words);
    this.part("retry").hidden = status !== "offline";
    const at = Date.now() + (retryInMs ?? 0);
    // The seconds are not part of what a screen reader announces.
    const next = () => say(this.part("next"), status === "offline" ? `next try in ${Math.max(1, Math.ceil((at - Date.now()) / 1_000))} s` : "");
    next();
    if (status === "offline") this.#countdown = setInterval(next, 1_000);
  }

  #arrived(message) {
    this.#talk.arrived(message);
    const { book } = this.session;
    if (message.sender_id === book.me) return;
    const thread = book.threads.get(message.thread_id);
    const name = message.sender_id === null ? thread.name : book.name(thread, message.sender_id);
    say(this.part("announce"), message.thread_id === book.selected ? `${name}: ${message.content}` : `${name} in ${thread.name}: ${message.content}`);
  }
}
