// MessagingSystem of guide 002: Socket.IO while it works, a slow poll while it does not, callbacks and DOM events for the page.

import type { Socket } from "socket.io-client";

import { Api } from "./api.js";
import { Book } from "./book.js";
import type { MessagingOptions } from "./options.js";
import { Toasts, type ToastKind, callAll, notify, pageTarget, tell } from "./page.js";
import { ask, openSocket } from "./socket.js";
import { Typist } from "./typist.js";
import type { Conversation, ConversationUpdate, Message, MessageRead, NewMessage, TypingStatus } from "./wire.js";

/** Between two polls while the socket is down. */
const POLL_EVERY = 30_000;
/** After being sent away, before coming back with a fresh token. */
const RETURN_AFTER = 1_000;

export type ConversationsCallback = (conversations: Conversation[]) => void;
export type MessagesCallback = (messages: Message[]) => void;

export class MessagingSystem {
  /** The Socket.IO client, while there is one. */
  socket: Socket | null = null;
  /** Whether it is connected and the bridge knows who we are. */
  isConnected = false;
  /** Conversations that were joined; joined again on every connection. */
  readonly activeConversations = new Set<string>();
  /** Who is told of the list of conversations, by user. */
  readonly conversationCallbacks = new Map<string, Set<ConversationsCallback>>();
  /** Who is told of messages, by conversation. */
  readonly messageCallbacks = new Map<string, Set<MessagesCallback>>();
  /** Who we are, once the bridge has said so. */
  userId: string | null = null;

  #options: MessagingOptions;
  readonly #book = new Book();
  readonly #toasts = new Toasts();
  readonly #api: Api;
  readonly #typist = new Typist((conversationId, isTyping) => {
    if (this.isConnected) this.socket?.emit("typing", { conversationId, isTyping });
  });
  #polling: ReturnType<typeof setInterval> | null = null;
  #returning: ReturnType<typeof setTimeout> | null = null;
  #status: "online" | "offline" | null = null;
  #token: string | null = null;
  #fetching: Promise<void> | null = null;
  #again = false;
  /** Counts interruptions: what was asked for before one says nothing about what came after it. */
  #interruptions = 0;

  constructor(options: MessagingOptions = {}) {
    this.#options = options;
    this.#api = new Api(() => this.#url, (refused) => this.#authorise(refused));
  }

  /** Sets options; before the first connection, or to sign in as somebody else after `disconnect()`. */
  configure(options: MessagingOptions): this {
    this.#options = { ...this.#options, ...options };
    this.#token = null;
    return this;
  }

  /** Makes the connection where there is none. Listening to conversations does so by itself. */
  initWebSocket(): void {
    if (this.socket) return;
    const socket = openSocket(this.#url, this.#options.token !== undefined);
    this.socket = socket;
    socket.on("connect", () => void this.#greet(socket));
    socket.on("authenticated", ({ userId }: { userId: string }) => this.#online(socket, userId));
    socket.on("disconnect", (reason) => this.#offline(reason === "io server disconnect"));
    socket.on("connect_error", () => this.#offline(!socket.active));
    socket.on("new_message", (data: NewMessage) => this.handleNewMessage(data));
    socket.on("conversation:updated", (data: ConversationUpdate) => this.handleConversationUpdate(data));
    socket.on("typing:status", (data: TypingStatus) => this.handleTypingStatus(data));
    socket.on("message:read", (data: MessageRead) => this.handleMessageRead(data));
    socket.on("resync_required", () => void this.#fetch());
    socket.on("error", ({ message }: { message?: string } = {}) => this.#complain(message));
    this.connectWebSocket();
  }

  /** Connects the socket, or connects it again. */
  connectWebSocket(): void {
    if (!this.socket) return this.initWebSocket();
    if (!this.socket.connected) this.socket.connect();
  }

  /**
   * Tells `callback` of all conversations, now and whenever one changes; returns how to stop. The first one connects, and
   * when the last one has gone and nothing is joined, the connection ends.
   */
  listenToUserConversations(userId: string, _userType: string, callback: ConversationsCallback): () => void {
    const stop = this.#listen(this.conversationCallbacks, userId, callback);
    this.initWebSocket();
    void this.#fetch();
    return stop;
  }

  /** Tells `callback` of a conversation's messages, now and whenever there are more; joins it. Returns how to stop. */
  listenToMessages(conversationId: string, callback: MessagesCallback): () => void {
    if (!this.messageCallbacks.has(conversationId)) this.#book.openGap(conversationId);
    const stop = this.#listen(this.messageCallbacks, conversationId, callback);
    this.joinConversation(conversationId);
    void this.#fetch();
    return () => {
      stop();
      if (this.messageCallbacks.has(conversationId)) return;
      this.#book.forget(conversationId);
      this.leaveConversation(conversationId);
    };
  }

  /** Joins a conversation: its messages, typing and reads come from now on, also after a reconnect. */
  joinConversation(conversationId: string): void {
    this.activeConversations.add(conversationId);
    this.initWebSocket();
    if (this.isConnected) this.socket?.emit("subscribe_conversation", { conversationId });
  }

  leaveConversation(conversationId: string): void {
    if (!this.activeConversations.delete(conversationId)) return;
    this.#typist.stop(conversationId, true);
    if (this.isConnected) this.socket?.emit("unsubscribe_conversation", { conversationId });
    this.#rest();
  }

  /** Says that one is typing, as often as keys are pressed, or has stopped; it is over by itself after three seconds. */
  sendTypingStatus(conversationId: string, isTyping: boolean): void {
    if (!isTyping) this.#typist.stop(conversationId);
    else if (this.isConnected) this.#typist.type(conversationId);
  }

  /** Sends a message, by the socket or, while that is down, by REST. Not repeated by itself when it fails. */
  async sendMessage(conversationId: string, content: string, messageType = "text"): Promise<Message> {
    this.#typist.stop(conversationId, true);
    try {
      const message = this.isConnected
        ? (await ask<{ message: Message }>(this.socket, "message:send", { conversationId, content, messageType })).message
        : await this.#api.send(conversationId, content, messageType);
      // The socket that sent is not told of it.
      this.handleNewMessage({ conversationId: message.conversationId, message });
      return message;
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : undefined);
      throw error;
    }
  }

  /** Marks a conversation as read, up to a message or altogether; returns how many messages that covered. */
  async markAsRead(conversationId: string, messageId?: string): Promise<number> {
    const read = this.isConnected
      ? await ask<{ markedCount: number }>(this.socket, "conversation:read", { conversationId, ...(messageId && { messageId }) })
      : await this.#api.read(conversationId, messageId);
    if (!this.isConnected) void this.#fetch();
    return read.markedCount;
  }

  /** A page of older messages, ascending: those before a message. */
  loadOlderMessages(conversationId: string, beforeMessageId: string): Promise<Message[]> {
    return this.#api.messages(conversationId, undefined, beforeMessageId);
  }

  handleNewMessage({ conversationId, message }: NewMessage): void {
    if (!this.messageCallbacks.has(conversationId)) return this.#notify(message);
    if (this.#book.add(conversationId, [message]).length === 0) return;
    this.#tellMessages(conversationId);
    this.#notify(message);
  }

  handleConversationUpdate(data: ConversationUpdate): void {
    if (this.#book.update(data)) this.#tellConversations();
    else void this.#fetch();
  }

  handleTypingStatus(data: TypingStatus): void {
    tell(this.#target, "messaging:typing", data);
  }

  handleMessageRead(data: MessageRead): void {
    if (this.#book.read(data)) this.#tellMessages(data.conversationId);
    tell(this.#target, "messaging:read", data);
  }

  /** Polls at once and every thirty seconds, until the socket is back. Calling it again changes nothing. */
  startFallbackPolling(): void {
    if (this.#polling !== null) return;
    this.#polling = setInterval(() => void this.#fetch(), this.#options.pollInterval ?? POLL_EVERY);
    this.#toast("Using fallback polling mode", "info");
    void this.#fetch();
  }

  stopFallbackPolling(): void {
    if (this.#polling === null) return;
    clearInterval(this.#polling);
    this.#polling = null;
  }

  /** Ends the connection, timers and requests; listeners stay and are told again after the next `initWebSocket()`. */
  disconnect(): void {
    const { socket } = this;
    this.socket = null;
    this.isConnected = false;
    this.#interrupt();
    socket?.removeAllListeners();
    socket?.disconnect();
    this.stopFallbackPolling();
    if (this.#returning) clearTimeout(this.#returning);
    this.#returning = null;
    this.#typist.clear();
    this.#api.abort();
    this.#toasts.clear();
    this.#status = null;
    this.#token = null;
  }

  /** `disconnect()`, and nobody listens any more. */
  destroy(): void {
    this.disconnect();
    this.conversationCallbacks.clear();
    this.messageCallbacks.clear();
    this.activeConversations.clear();
    this.#book.clear();
    this.userId = null;
  }

  /** The end of one's own typing, by conversation. */
  get typingTimeouts(): Map<string, ReturnType<typeof setTimeout>> {
    return this.#typist.timeouts;
  }

  get #url(): string {
    return (this.#options.url ?? globalThis.location?.origin ?? "").replace(/\/+$/, "");
  }

  get #target(): EventTarget | null {
    return this.#options.target ?? pageTarget();
  }

  /** Says who we are; by cookie the bridge knows already. */
  async #greet(socket: Socket): Promise<void> {
    if (this.#options.token === undefined) return;
    try {
      const token = await this.#authorise(false);
      if (this.socket !== socket || !socket.connected) return;
      socket.emit("auth", { token });
    } catch {
      // The bridge sends away who says nothing, and then we come again.
    }
  }

  async #authorise(refused: boolean): Promise<string | null> {
    const { token } = this.#options;
    if (typeof token !== "function") return token ?? null;
    if (refused || this.#token === null) this.#token = await token({ refused });
    return this.#token;
  }

  #online(socket: Socket, userId: string): void {
    if (this.socket !== socket) return;
    const wasOffline = this.#status === "offline";
    const fresh = !this.isConnected;
    this.userId = userId;
    this.isConnected = true;
    if (!fresh) return;
    this.stopFallbackPolling();
    for (const conversationId of this.activeConversations) socket.emit("subscribe_conversation", { conversationId });
    // What came between the last connection and this one.
    void this.#fetch();
    this.#say("online");
    if (wasOffline) this.#toast("Connection restored", "success");
  }

  /** The socket is down. `sentAway`: it does not come back by itself. */
  #offline(sentAway: boolean): void {
    this.isConnected = false;
    this.#interrupt();
    this.#typist.clear();
    this.#say("offline");
    this.startFallbackPolling();
    if (!sentAway || this.#returning) return;
    // Another token may do; a session that is over is asked for again in the rhythm of the polls.
    const renewable = typeof this.#options.token === "function";
    this.#token = null;
    this.#returning = setTimeout(
      () => {
        this.#returning = null;
        this.socket?.connect();
      },
      renewable ? RETURN_AFTER + Math.random() * RETURN_AFTER : (this.#options.pollInterval ?? POLL_EVERY),
    );
  }

  #interrupt(): void {
    this.#interruptions++;
    for (const conversation of this.messageCallbacks.keys()) this.#book.openGap(conversation);
  }

  #say(status: "online" | "offline"): void {
    if (this.#status === status) return;
    this.#status = status;
    tell(this.#target, "messaging:connection", { status, timestamp: new Date() });
  }

  /** Fetches what listeners show; one at a time, and once more where it was asked for meanwhile. */
  #fetch(): Promise<void> {
    this.#again = this.#fetching !== null;
    this.#fetching ??= this.#fetchAll().finally(() => {
      this.#fetching = null;
      if (this.#again && this.socket) void this.#fetch();
    });
    return this.#fetching;
  }

  async #fetchAll(): Promise<void> {
    const { socket } = this;
    try {
      if (this.conversationCallbacks.size > 0) {
        const conversations = await this.#api.conversations();
        if (this.socket !== socket) return;
        this.#book.replace(conversations);
        this.#tellConversations();
      }
      for (const conversation of [...this.messageCallbacks.keys()]) {
        const known = this.#book.since(conversation);
        const interruptions = this.#interruptions;
        const messages = await this.#api.messages(conversation, known);
        if (this.socket !== socket) return;
        if (!this.messageCallbacks.has(conversation)) continue;
        const fresh = this.#book.add(conversation, messages);
        if (interruptions === this.#interruptions) this.#book.closeGap(conversation);
        if (known === undefined || fresh.length > 0) this.#tellMessages(conversation);
        if (known !== undefined) for (const message of fresh) this.#notify(message);
      }
    } catch (error) {
      // While it is offline nobody wants to hear it again every half minute.
      if (this.socket === socket && this.isConnected) this.#complain(error instanceof Error ? error.message : undefined);
    }
  }

  #listen<Callback>(all: Map<string, Set<Callback>>, key: string, callback: Callback): () => void {
    const callbacks = all.get(key) ?? new Set();
    all.set(key, callbacks.add(callback));
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && all.get(key) === callbacks) all.delete(key);
      this.#rest();
    };
  }

  /** Nobody listens and nothing is joined: there is nothing to be connected for. */
  #rest(): void {
    const { size } = this.activeConversations;
    if (size + this.conversationCallbacks.size + this.messageCallbacks.size === 0) this.disconnect();
  }

  #tellConversations(): void {
    const { conversations } = this.#book;
    for (const callbacks of this.conversationCallbacks.values()) callAll(callbacks, conversations);
  }

  #tellMessages(conversation: string): void {
    callAll(this.messageCallbacks.get(conversation) ?? [], this.#book.messages(conversation));
  }

  #complain(text = "Something went wrong"): void {
    this.#toast(text, "error");
  }

  #toast(text: string, kind: ToastKind): void {
    const { toast } = this.#options;
    if (toast) toast(text, kind);
    else if (toast === undefined) this.#toasts.show(text, kind);
  }

  #notify(message: Message): void {
    if (!this.#options.notifications || message.senderId === this.userId) return;
    const name = this.#book.conversations.find(({ id }) => id === message.conversationId)?.name;
    notify(name ?? "New message", message.content, message.conversationId);
  }
}
