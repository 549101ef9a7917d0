// What one person knows: threads, their messages, who has them, who types, who is here. No network, no page.

export class Book {
  me = null;
  selected = null;
  threads = new Map();
  /** What others show, by user: online, away, offline. */
  presence = new Map();
  /** Whether it is told of presence at all. */
  hears = false;

  /** Takes the bridge's list; messages already known stay. */
  setThreads(list) {
    const known = this.threads;
    this.threads = new Map();
    for (const one of list) {
      const before = known.get(one.id);
      const thread = { messages: [], loaded: false, hasMore: false, typing: new Set(), ...before };
      Object.assign(thread, { id: one.id, kind: one.kind, members: one.members ?? [], name: this.#nameOf(one) });
      Object.assign(thread, { last: one.last_message, unread: one.unread_count, updatedAt: one.updated_at });
      thread.read = this.#marks(thread, before?.read, "read_up_to_message_id");
      thread.delivered = this.#marks(thread, before?.delivered, "delivered_up_to_message_id");
      this.threads.set(one.id, thread);
    }
    if (!this.threads.has(this.selected)) this.selected = null;
  }

  /** How far each member has got: as the list says, or as was told since it was made. */
  #marks({ members, messages }, known, field) {
    const place = (id) => messages.findIndex((message) => message.id === id);
    const further = (before, now) => (place(before) > place(now) ? before : now);
    return new Map(members.map((member) => [member.user_id, further(known?.get(member.user_id), member[field])]));
  }

  /** A thread between two people is called by the other one's name. */
  #nameOf(thread) {
    const others = (thread.members ?? []).filter((member) => member.user_id !== this.me);
    return thread.name || others.map((member) => member.full_name ?? member.username).join(", ") || "Just you";
  }

  get current() {
    return this.threads.get(this.selected) ?? null;
  }

  /** Threads, newest activity first. */
  inOrder() {
    return [...this.threads.values()].sort((a, b) => (a.updatedAt < b.updatedAt ? 1 : -1));
  }

  get unread() {
    return [...this.threads.values()].reduce((sum, thread) => sum + thread.unread, 0);
  }

  setUnread(counts) {
    for (const thread of this.threads.values()) thread.unread = counts[thread.id] ?? 0;
  }

  /** Puts a page of history before what is known, each message once. */
  addHistory(thread, page) {
    const known = new Set(thread.messages.map((message) => message.id));
    thread.messages = [...page.messages.filter((message) => !known.has(message.id)), ...thread.messages];
    thread.hasMore = page.has_more;
    thread.loaded = true;
  }

  /** Forgets all messages: they are fetched afresh where they are shown. */
  forgetMessages() {
    for (const thread of this.threads.values()) Object.assign(thread, { messages: [], loaded: false, hasMore: false });
  }

  /** Adds a message; says whether it is new. */
  add(message) {
    const thread = this.threads.get(message.thread_id);
    if (!thread || thread.messages.some((known) => known.id === message.id)) return false;
    thread.messages.push(message);
    thread.last = message;
    thread.updatedAt = message.created_at;
    thread.typing.delete(message.sender_id);
    if (message.sender_id !== this.me) thread.unread += 1;
    return true;
  }

  update(message) {
    const thread = this.threads.get(message.thread_id);
    const at = thread?.messages.findIndex((known) => known.id === message.id) ?? -1;
    if (at >= 0) thread.messages[at] = message;
    if (thread?.last?.id === message.id) thread.last = message;
  }

  remove(threadId, messageId) {
    const thread = this.threads.get(threadId);
    if (!thread) return;
    const at = thread.messages.findIndex((message) => message.id === messageId);
    const before = thread.messages[at - 1]?.id ?? null;
    thread.messages = thread.messages.filter((message) => message.id !== messageId);
    // Who had read up to it has read up to the one before it.
    for (const marks of [thread.read, thread.delivered]) {
      for (const [user, mark] of marks) if (mark === messageId) marks.set(user, before);
    }
    if (thread.last?.id === messageId) thread.last = thread.messages.at(-1) ?? null;
  }

  typing(threadId, userId, isTyping) {
    const typing = this.threads.get(threadId)?.typing;
    if (isTyping) typing?.add(userId);
    else typing?.delete(userId);
  }

  /** Somebody's reading (or one of their devices) has got as far as a message. */
  mark(what, threadId, userId, messageId) {
    const thread = this.threads.get(threadId);
    if (!thread) return;
    thread[what].set(userId, messageId);
    // What was read had arrived.
    const place = (id) => thread.messages.findIndex((message) => message.id === id);
    if (what === "read" && place(messageId) >= place(thread.delivered.get(userId))) thread.delivered.set(userId, messageId);
    if (what === "read" && userId === this.me) thread.unread = 0;
  }

  /** While nothing is heard, nobody can be said to be here or typing. */
  forgetPeople() {
    this.presence.clear();
    for (const thread of this.threads.values()) thread.typing.clear();
  }

  others(thread) {
    return thread.members.filter((member) => member.user_id !== this.me);
  }

  /** How far each of the shown messages has got with the others: `{delivered: [names], read: [names], of}`, by message id. */
  marks(thread) {
    const places = new Map(thread.messages.map((message, index) => [message.id, index]));
    const others = this.others(thread);
    const upTo = (marks, user) => {
      const mark = marks.get(user);
      // A mark that is not among the shown messages is of an older one.
      return mark === null || mark === undefined ? -1 : (places.get(mark) ?? -1);
    };
    const people = others.map(({ user_id }) => {
      const read = upTo(thread.read, user_id);
      return { name: this.name(thread, user_id), read, delivered: Math.max(read, upTo(thread.delivered, user_id)) };
    });
    return { people, of: (message) => {
      const place = places.get(message.id) ?? Infinity;
      const names = (what) => people.filter((one) => one[what] >= place).map(({ name }) => name);
      return { delivered: names("delivered"), read: names("read"), of: people.length };
    } };
  }

  name(thread, userId) {
    const member = thread.members.find((one) => one.user_id === userId);
    return member?.full_name ?? member?.username ?? "Somebody";
  }
}
