// What is known of conversations: the list, and the newest messages of those that somebody listens to.

import type { Conversation, ConversationUpdate, Message, MessageRead } from "./wire.js";

/** Messages kept of one conversation. */
const MOST_MESSAGES = 1_000;

export class Book {
  readonly #conversations = new Map<string, Conversation>();
  readonly #messages = new Map<string, Message[]>();
  /** Conversations of which something may be missing: since when; undefined where nothing is known yet. */
  readonly #gaps = new Map<string, string | undefined>();

  /** Newest activity first. */
  get conversations(): Conversation[] {
    return [...this.#conversations.values()].sort((a, b) => order(b.updatedAt, a.updatedAt));
  }

  messages(conversation: string): Message[] {
    return [...(this.#messages.get(conversation) ?? [])];
  }

  /** Since when a conversation's messages have to be fetched; undefined where none are known. */
  since(conversation: string): string | undefined {
    return this.#gaps.has(conversation) ? this.#gaps.get(conversation) : this.#newest(conversation);
  }

  /** From here on something may be missing. What comes live meanwhile does not hide it. */
  openGap(conversation: string): void {
    if (!this.#gaps.has(conversation)) this.#gaps.set(conversation, this.#newest(conversation));
  }

  closeGap(conversation: string): void {
    this.#gaps.delete(conversation);
  }

  replace(conversations: Conversation[]): void {
    this.#conversations.clear();
    for (const one of conversations) this.#conversations.set(one.id, one);
  }

  /** Notes news of a conversation; false where it is not known yet. */
  update(news: ConversationUpdate): boolean {
    const known = this.#conversations.get(news.conversationId);
    if (!known) return false;
    const { lastMessage, updatedAt, unreadCount } = news;
    this.#conversations.set(known.id, { ...known, lastMessage, updatedAt, unreadCount });
    return true;
  }

  /** Adds messages; returns those that are new. In their order in time, each once. */
  add(conversation: string, messages: Message[]): Message[] {
    const known = this.#messages.get(conversation) ?? [];
    const ids = new Map(known.map((message, index) => [message.id, index]));
    const fresh: Message[] = [];
    const all = [...known];
    for (const message of messages) {
      const index = ids.get(message.id);
      if (index === undefined) {
        ids.set(message.id, all.push(message) - 1);
        fresh.push(message);
      } else {
        all[index] = message;
      }
    }
    // Stable: of equal times what came first stays first.
    all.sort((a, b) => order(a.createdAt, b.createdAt));
    this.#messages.set(conversation, all.slice(-MOST_MESSAGES));
    return fresh;
  }

  /** Notes that somebody has read up to a message; true when that changes what is known of one. */
  read({ conversationId, messageId, userId }: MessageRead): boolean {
    const known = this.#messages.get(conversationId);
    const upto = known?.findIndex(({ id }) => id === messageId) ?? -1;
    if (!known || upto < 0) return false;
    const newly = (message: Message, index: number) => index <= upto && !message.isRead && message.senderId !== userId;
    if (!known.some(newly)) return false;
    this.#messages.set(conversationId, known.map((message, index) => (newly(message, index) ? { ...message, isRead: true } : message)));
    return true;
  }

  forget(conversation: string): void {
    this.#messages.delete(conversation);
    this.#gaps.delete(conversation);
  }

  clear(): void {
    this.#conversations.clear();
    this.#messages.clear();
    this.#gaps.clear();
  }

  #newest(conversation: string): string | undefined {
    const known = this.#messages.get(conversation);
    return known?.[known.length - 1]?.createdAt;
  }
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
