// One person's session: a RowcastClient, what it has told so far, and what waits to be sent. No page.

import { RowcastClient } from "../client/rowcast.js";
import { Book } from "./book.js";
import { Outbox } from "./outbox.js";

/** How long it waits for more before it says that messages are delivered or read, or asks for the exact unread counts. */
const SOON = 100;
/** Who has not pressed a key for so long has stopped typing. */
const TYPING_LASTS = 3_000;
/** When what could not be sent is tried again although the connection did not change. */
const SEND_AGAIN = 5_000;

export class Session {
  book = new Book();
  name;
  client;
  outbox;
  #told;
  #subject;
  #later = new Map();
  #ended = false;

  /**
   * `told` is told: `changed(what)` of threads, messages, people; `arrived(message)`; `change(change)` of each row;
   * `status(status)`; `ended(reason)`, when the bridge will not have them any more.
   */
  constructor({ token, name }, told) {
    this.name = name ?? "";
    this.#told = told;
    // What is shown is fetched afresh by each page; the cursor is for as long as the page is.
    this.client = new RowcastClient({ token, store: null });
    this.#subject = subject(token);
    this.outbox = new Outbox(this.#subject, (letter) => this.#send(letter), () => told.changed("messages"));
    this.#listen();
  }

  start() {
    this.client.connect();
  }

  end() {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#later.values()) clearTimeout(timer);
    this.#later.clear();
    this.client.close();
  }

  /** Turns to a thread, or to none, and fetches its newest messages where they are not known. */
  async select(id) {
    const { book } = this;
    if (book.selected !== id) this.stopTyping();
    book.selected = book.threads.has(id) ? id : null;
    this.#told.changed("threads", "messages", "people");
    const thread = book.current;
    if (!thread || thread.loaded) return;
    const page = await this.client.messages(thread.id);
    book.addHistory(book.threads.get(thread.id) ?? thread, page);
    this.#told.changed("messages");
  }

  /** Fetches the page of messages before those that are known; one at a time. */
  async loadOlder() {
    const thread = this.book.current;
    if (!thread?.hasMore || thread.loading) return;
    thread.loading = true;
    this.#told.changed("messages");
    try {
      const page = await this.client.messages(thread.id, { before: thread.messages[0]?.id });
      this.book.addHistory(this.book.threads.get(thread.id) ?? thread, page);
    } finally {
      (this.book.threads.get(thread.id) ?? thread).loading = false;
      this.#told.changed("messages");
    }
  }

  /** Writes a message to the selected thread; it waits in the outbox until it is sent. */
  write(content) {
    this.stopTyping();
    this.outbox.put(this.book.selected, content);
    this.#flush();
  }

  /** A key was pressed in what is being written. */
  typing() {
    const { selected } = this.book;
    this.client.typing(selected);
    this.#soon("typing", () => this.client.typing(selected, false), TYPING_LASTS);
  }

  stopTyping() {
    clearTimeout(this.#later.get("typing"));
    this.#later.delete("typing");
    if (this.book.selected) this.client.typing(this.book.selected, false);
  }

  /** All that the selected thread shows has been looked at. */
  looked() {
    const thread = this.book.current;
    const newest = thread?.messages.at(-1);
    if (!thread || !newest || thread.unread === 0 || this.client.status.status !== "online") return;
    this.#soon(`read ${thread.id}`, () => this.#attempt(async () => {
      await this.client.markRead(thread.id, thread.messages.at(-1)?.id);
      this.#recount();
    }));
  }

  #listen() {
    const { client, book } = this;
    client.on("status", (status) => this.#status(status));
    client.on("change", (change) => this.#told.change?.(change));
    client.on("resync", () => {
      book.forgetMessages();
      this.#soon("refresh", () => this.#attempt(() => this.#refresh()));
    });
    client.on("new_message", ({ data }) => this.#arrived(data));
    client.on("message_updated", ({ data }) => {
      book.update(data);
      this.#told.changed("threads", "messages");
    });
    client.on("message_deleted", ({ thread_id, message_id }) => {
      book.remove(thread_id, message_id);
      this.#recount();
      this.#told.changed("threads", "messages");
    });
    client.on("messages_read", ({ thread_id, reader_id, up_to_message_id }) => {
      book.mark("read", thread_id, reader_id, up_to_message_id);
      if (reader_id === book.me) this.#recount();
      this.#told.changed("threads", "messages");
    });
    client.on("message_delivered", ({ thread_id, user_id, up_to_message_id }) => {
      book.mark("delivered", thread_id, user_id, up_to_message_id);
      this.#told.changed("messages");
    });
    for (const name of ["thread_joined", "thread_left"]) {
      client.on(name, () => this.#soon("refresh", () => this.#attempt(() => this.#refresh())));
    }
    client.on("typing", ({ thread_id, user_id, is_typing }) => {
      book.typing(thread_id, user_id, is_typing);
      this.#told.changed("threads", "people");
    });
    client.on("presence", ({ user_id, status }) => {
      book.presence.set(user_id, status);
      this.#told.changed("threads", "people");
    });
  }

  #status(status) {
    if (this.#ended) return;
    if (status.status === "closed") {
      this.end();
      return this.#told.ended(status.reason || "This token is no longer accepted");
    }
    this.book.hears = status.status === "online" && status.way !== "polling";
    if (status.status !== "online") this.book.forgetPeople();
    else {
      this.book.me = this.client.userId ?? this.book.me;
      this.#attempt(() => this.#refresh());
      this.#flush();
    }
    this.#told.status(status);
    this.#told.changed("threads", "people", "messages");
  }

  /** Fetches the threads, wants all that happens in them, and says which messages have got here. */
  async #refresh() {
    const { book, client } = this;
    const threads = await client.threads();
    if (this.#ended) return;
    // By polling nobody says who we are; the token does, where it has the public id.
    book.me = client.userId ?? book.me ?? this.#subject;
    book.setThreads(threads);
    const me = [...book.threads.values()].flatMap((thread) => thread.members).find((one) => one.user_id === book.me);
    this.name ||= me?.full_name ?? me?.username ?? "";
    for (const thread of book.threads.values()) {
      // A refusal: they have left it in the meantime, and that is told.
      client.subscribe(thread.id).catch(() => {});
      if (thread.last && thread.last.sender_id !== book.me && thread.delivered.get(book.me) !== thread.last.id) this.#delivered(thread.last);
    }
    await this.select(book.selected ?? this.#told.wanted());
  }

  #arrived(message) {
    const { book } = this;
    this.outbox.arrived(message.id);
    if (!book.threads.has(message.thread_id)) return this.#soon("refresh", () => this.#attempt(() => this.#refresh()));
    if (!book.add(message)) return;
    if (message.sender_id !== book.me) {
      this.#delivered(message);
      this.#recount();
    }
    this.#told.arrived(message);
    this.#told.changed("threads", "messages", "people");
  }

  /** A burst of messages is said to be delivered at once, by its last. */
  #delivered({ thread_id, id }) {
    this.#soon(`delivered ${thread_id}`, () => this.client.delivered(thread_id, id));
  }

  /** Counting messages as they come is a guess where several devices read; the bridge's counts are exact. */
  #recount() {
    this.#soon("recount", () => this.#attempt(async () => {
      const { threads } = await this.client.unread();
      this.book.setUnread(threads);
      this.#told.changed("threads");
    }));
  }

  #send({ id, thread, content }) {
    // Where it is known to be in vain it is not tried: the return of the connection is.
    if (this.client.status.status !== "online") return Promise.reject(new Error("offline"));
    return this.client.send(thread, content, { id });
  }

  async #flush() {
    await this.outbox.flush();
    if (this.outbox.waits) this.#soon("flush", () => this.#flush(), SEND_AGAIN);
  }

  #soon(what, act, wait = SOON) {
    if (this.#ended) return;
    clearTimeout(this.#later.get(what));
    this.#later.set(what, setTimeout(() => {
      this.#later.delete(what);
      act();
    }, wait));
  }

  /** What failed because the connection did is done again after the next one. */
  async #attempt(action) {
    await action().catch(() => {});
  }
}

/** Whose token it is, unverified: only to keep people's outboxes apart. */
function subject(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return String(JSON.parse(atob(payload)).sub);
  } catch {
    return "";
  }
}
