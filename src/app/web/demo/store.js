// What the page knows: threads, their messages, who types, who is online. No network, no DOM.

export class Store {
  me = null;
  threads = new Map();
  online = new Map();
  selected = null;

  /** Takes the server's list; messages already known stay. */
  setThreads(list) {
    const known = this.threads;
    this.threads = new Map();
    for (const thread of list) {
      const before = known.get(thread.id);
      this.threads.set(thread.id, {
        messages: [],
        loaded: false,
        hasMore: false,
        typing: new Set(),
        seen: new Map(),
        ...before,
        id: thread.id,
        kind: thread.kind,
        members: thread.members ?? [],
        name: this.#nameOf(thread),
        last: thread.last_message,
        unread: thread.unread_count,
        updatedAt: thread.updated_at,
      });
    }
    if (!this.threads.has(this.selected)) this.selected = null;
  }

  /** A thread between two people is called by the other one's name. */
  #nameOf(thread) {
    const others = (thread.members ?? []).filter((member) => member.user_id !== this.me);
    return thread.name || others.map((member) => member.full_name ?? member.username).join(", ") || "Just you";
  }

  get current() {
    return this.threads.get(this.selected) ?? null;
  }

  /** Threads in the order of their last activity. */
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
  addHistory(thread, page, newest) {
    const fresh = new Set(page.messages.map((message) => message.id));
    const later = thread.messages.filter((message) => !fresh.has(message.id));
    thread.messages = newest && !thread.loaded ? [...page.messages, ...later] : this.#before(thread, page.messages);
    thread.hasMore = page.has_more;
    thread.loaded = true;
  }

  #before(thread, earlier) {
    const known = new Set(thread.messages.map((message) => message.id));
    return [...earlier.filter((message) => !known.has(message.id)), ...thread.messages];
  }

  /** Forgets the messages of all threads: they are fetched afresh when shown. */
  forgetMessages() {
    for (const thread of this.threads.values()) Object.assign(thread, { messages: [], loaded: false, hasMore: false });
  }

  /** Adds a live message; says whether it is new. */
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
    thread.messages = thread.messages.filter((message) => message.id !== messageId);
    if (thread.last?.id === messageId) thread.last = thread.messages.at(-1) ?? null;
  }

  typing(threadId, userId, isTyping) {
    const typing = this.threads.get(threadId)?.typing;
    if (isTyping) typing?.add(userId);
    else typing?.delete(userId);
  }

  /** Somebody's reading has reached a message. */
  seen(threadId, readerId, messageId) {
    const thread = this.threads.get(threadId);
    if (!thread) return;
    if (readerId === this.me) thread.unread = 0;
    else thread.seen.set(readerId, messageId);
  }

  name(thread, userId) {
    const member = thread.members.find((one) => one.user_id === userId);
    return member?.full_name ?? member?.username ?? "Somebody";
  }
}
