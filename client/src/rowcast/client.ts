// RowcastClient: what an app holds. Listeners, an iterator of changes, requests, subscriptions.

import { Changes } from "./changes.js";
import { Driver } from "./driver.js";
import { Emitter, type Off } from "./emitter.js";
import { RowcastError } from "./error.js";
import { TIMING, type Timing, type Way } from "./line.js";
import { type Store, localStore } from "./place.js";
import type { Asked } from "./rest.js";
import type { TokenSource } from "./token.js";
import type { Change, Frame, Message, Presence, Thread, Typing } from "./wire.js";

export interface Options {
  /** The bridge's address: `https://chat.example`. In a page the page's own origin by default. */
  url?: string | URL;
  /** A token, or what gives one: asked again before it ends, and when it is refused. */
  token: TokenSource;
  /** Where the cursor is kept; `localStorage` by default, where there is one. Null: nowhere. */
  store?: Store | null;
  /** Under which key; by default one for each bridge and user. */
  storeKey?: string;
  /** Where no cursor is kept yet: messages since this time come first (RFC 3339). */
  since?: string | Date;
  /** The ways to try, best first: `socket`, `events`, `polling`. */
  transports?: Way[];
  /** Ends the client as `close()` does. */
  signal?: AbortSignal;
  /** Changes that may wait for a slow reader of `changes()`. */
  queue?: number;
  /** Times in milliseconds, where the usual ones will not do. */
  timing?: Partial<Timing>;
  /** Another `fetch`, or another `WebSocket` where the platform has none. */
  fetch?: typeof fetch;
  WebSocket?: unknown;
}

export type State = "idle" | "connecting" | "online" | "offline" | "closed";

/** How the connection fares. */
export interface Status {
  status: State;
  /** By which way it is online. */
  way: Way | null;
  /** When offline: how long until the next try, and why. */
  retryInMs?: number;
  reason?: string;
}

/** What `on` can listen to. */
export type Events = { [Type in Change["type"]]: Extract<Change, { type: Type }> } & {
  /** Any of the above. */
  change: Change;
  typing: Typing;
  presence: Presence;
  status: Status;
  /** The log did not reach back far enough: fetch afresh what is shown. */
  resync: { reason: string };
  /** The token is about to end; a callback is asked for a fresh one by itself. */
  token_expiring: { endsAt: Date };
  error: RowcastError;
};

const WAYS: Way[] = ["socket", "events", "polling"];
const QUEUE = 10_000;
/** The bridge forgets a typist after 5 s; this often is enough. */
const TYPING_EVERY = 2_000;

interface Waiting {
  done: Promise<void>;
  resolve: () => void;
  reject: (error: RowcastError) => void;
}

export class RowcastClient {
  readonly url: string;
  readonly #options: Options;
  readonly #events = new Emitter<Events>();
  readonly #readers = new Set<Changes>();
  readonly #threads = new Set<string>();
  /** The threads that the present line was opened with. */
  #asked = new Set<string>();
  readonly #subscribing = new Map<string, Waiting>();
  readonly #typing = new Map<string, number>();
  readonly #abort = () => this.close();
  #driver: Driver | null = null;
  #status: Status = { status: "idle", way: null };
  #userId: string | null = null;

  constructor(options: Options) {
    const base = options.url ?? globalThis.location?.origin;
    if (!base) throw new TypeError("RowcastClient: `url` is missing");
    this.url = String(base).replace(/^ws/, "http").replace(/\/+$/, "");
    this.#options = options;
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted) this.close();
  }

  get status(): Status {
    return this.#status;
  }

  /** Who this is, once the bridge has said so. */
  get userId(): string | null {
    return this.#userId;
  }

  /** Up to where all has come. */
  get cursor(): string | null {
    return this.#driver?.cursor ?? null;
  }

  /** Starts, and keeps at it until `close`. Calling it again does nothing. */
  connect(): this {
    if (this.#driver || this.#status.status === "closed") return this;
    const { token, store, storeKey, since, transports, timing, WebSocket, ...more } = this.#options;
    this.#driver = new Driver(
      {
        url: this.url,
        token,
        ways: transports?.length ? transports : WAYS,
        store: store === undefined ? localStore() : store,
        storeKey: storeKey ?? null,
        since: since instanceof Date ? since.toISOString() : (since ?? null),
        timing: { ...TIMING, ...timing },
        fetch: more.fetch ?? globalThis.fetch.bind(globalThis),
        WebSocket: (WebSocket as typeof globalThis.WebSocket | undefined) ?? globalThis.WebSocket,
      },
      {
        threads: () => [...(this.#asked = new Set(this.#threads))],
        connecting: () => this.#tell({ status: "connecting", way: null }),
        established: (way) => this.#established(way),
        offline: (retryInMs, reason) => this.#tell({ status: "offline", way: null, retryInMs, reason }),
        finished: (error) => {
          this.#events.emit("error", error);
          this.#end(error);
        },
        change: (change) => this.#change(change),
        frame: (frame) => this.#frame(frame),
        resync: (reason) => this.#events.emit("resync", { reason }),
        expiring: (endsAt) => this.#events.emit("token_expiring", { endsAt }),
        failed: (error) => this.#events.emit("error", error),
      },
    );
    return this;
  }

  /** Tries at once, where it would wait, and makes sure that the bridge is there, where it is online. */
  retry(): void {
    this.#driver?.wake();
  }

  /** Ends everything: the connection, timers, listeners, iterators, what is still awaited. */
  close(): void {
    this.#end(null);
  }

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options?: { signal?: AbortSignal }): Off {
    return this.#events.on(name, listener, options);
  }

  once<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options?: { signal?: AbortSignal }): Off {
    return this.#events.once(name, listener, options);
  }

  off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void {
    this.#events.off(name, listener);
  }

  /** All changes from here on: `for await (const change of client.changes()) …`. */
  changes(options: { signal?: AbortSignal } = {}): Changes {
    const { signal } = options;
    const stop = () => changes.end();
    const changes = new Changes(this.#options.queue ?? QUEUE, () => {
      this.#readers.delete(changes);
      signal?.removeEventListener("abort", stop);
    });
    this.#readers.add(changes);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted || this.#status.status === "closed") stop();
    return changes;
  }

  /** Waits until it is online. */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#status.status === "online") return;
    await new Promise<void>((resolve, reject) => {
      const { signal } = options;
      const over = (error?: RowcastError) => {
        off();
        signal?.removeEventListener("abort", given);
        if (error) reject(error);
        else resolve();
      };
      const given = () => over(new RowcastError("aborted", "The wait was given up"));
      const off = this.on("status", ({ status, reason }) => {
        if (status === "online") over();
        if (status === "closed") over(new RowcastError("closed", reason || "The client is closed"));
      });
      signal?.addEventListener("abort", given, { once: true });
      if (signal?.aborted) given();
      if (this.#status.status === "closed") over(new RowcastError("closed", "The client is closed"));
    });
  }

  /** All threads, newest activity first. */
  async threads(options: { signal?: AbortSignal } = {}): Promise<Thread[]> {
    const data = await this.#call<{ threads: Thread[] }>("GET", "/api/chat/threads", options);
    return data.threads;
  }

  /** A page of a thread's messages, ascending; the newest where neither `before` nor `after` (a message id) is given. */
  messages(
    threadId: string,
    page: { before?: string; after?: string; limit?: number; signal?: AbortSignal } = {},
  ): Promise<{ messages: Message[]; has_more: boolean }> {
    const { signal, before, after, limit } = page;
    const query = { before, after, limit: limit === undefined ? undefined : String(limit) };
    return this.#call("GET", `/api/chat/threads/${encodeURIComponent(threadId)}/messages`, { query, signal });
  }

  /** How many messages are unread, in all and by thread. */
  unread(options: { signal?: AbortSignal } = {}): Promise<{ unread_count: number; threads: Record<string, number> }> {
    return this.#call("GET", "/api/chat/unread-count", options);
  }

  /**
   * Sends a message. It also comes as a change, in its place among the others. Not repeated by itself when it fails; with an
   * `id` of one's own (a uuid, which the message gets) it may be sent again and is there once.
   */
  send(
    threadId: string,
    content: string,
    more: { id?: string; message_type?: string; attachments?: unknown[]; signal?: AbortSignal } = {},
  ): Promise<Message> {
    const { signal, ...fields } = more;
    const body = { content, ...fields };
    return this.#call("POST", `/api/chat/threads/${encodeURIComponent(threadId)}/messages`, { body, signal });
  }

  /** Marks a thread as read, up to a message or altogether; returns how many messages that covered. */
  async markRead(threadId: string, upToMessageId?: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    const body = upToMessageId === undefined ? {} : { up_to_message_id: upToMessageId };
    const path = `/api/chat/mark-read/${encodeURIComponent(threadId)}`;
    const data = await this.#call<{ marked_count: number }>("POST", path, { body, ...options });
    return data.marked_count;
  }

  /** Says that one is typing, or no longer; as often as keys are pressed. Only by the socket: it is of the moment. */
  typing(threadId: string, isTyping = true): void {
    const last = this.#typing.get(threadId);
    if (isTyping && last !== undefined && Date.now() - last < TYPING_EVERY) return;
    if (!isTyping && last === undefined) return;
    if (isTyping) this.#typing.set(threadId, Date.now());
    else this.#typing.delete(threadId);
    this.#driver?.send({ type: "typing", thread_id: threadId, is_typing: isTyping });
  }

  /** Says that a message has reached this device. Only by the socket. */
  delivered(threadId: string, messageId: string): boolean {
    return this.#driver?.send({ type: "mark_delivered", thread_id: threadId, message_id: messageId }) ?? false;
  }

  /**
   * Wants a thread's typing, presence, reads and deliveries, too, on this and every later connection. Resolves when the
   * bridge has agreed; while it is offline that is later. Polling has messages only.
   */
  subscribe(threadId: string): Promise<void> {
    if (this.#status.status === "closed") return Promise.reject(new RowcastError("closed", "The client is closed"));
    const known = this.#subscribing.get(threadId);
    if (known) return known.done;
    if (this.#threads.has(threadId)) return Promise.resolve();
    this.#threads.add(threadId);
    const { way } = this.#status;
    if (way === "polling") return Promise.resolve();
    const waiting = {} as Waiting;
    waiting.done = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
    // Who does not wait for it hears of a refusal by the event `error`.
    waiting.done.catch(() => {});
    this.#subscribing.set(threadId, waiting);
    if (way === "socket") this.#driver?.send({ type: "subscribe_thread", thread_id: threadId, ref: threadId });
    if (way === "events") this.#reopen();
    return waiting.done;
  }

  unsubscribe(threadId: string): void {
    if (!this.#threads.delete(threadId)) return;
    this.#subscribing.get(threadId)?.resolve();
    this.#subscribing.delete(threadId);
    if (this.#status.way === "socket") this.#driver?.send({ type: "unsubscribe_thread", thread_id: threadId });
    if (this.#status.way === "events") this.#reopen();
  }

  #reopening = false;

  /** A stream's threads are in its address: several changes of them make one new stream. */
  #reopen(): void {
    if (this.#reopening) return;
    this.#reopening = true;
    queueMicrotask(() => {
      this.#reopening = false;
      this.#driver?.reopen();
    });
  }

  #call<T>(method: string, path: string, asked: Asked): Promise<T> {
    if (!this.#driver) return Promise.reject(new RowcastError("closed", "Call connect() first"));
    return this.#driver.call<T>(method, path, asked);
  }

  #established(way: Way): void {
    this.#typing.clear();
    this.#tell({ status: "online", way });
    // What was wanted while the line was being opened.
    const late = [...this.#subscribing.keys()].filter((thread) => way === "polling" || !this.#asked.has(thread));
    for (const thread of late) {
      if (way === "polling") this.#subscribed(thread);
      if (way === "socket") this.#driver?.send({ type: "subscribe_thread", thread_id: thread, ref: thread });
    }
    if (way === "events" && late.length > 0) this.#reopen();
  }

  #change(change: Change): void {
    // The type parameter ties a change to its name; the compiler cannot see that through a union.
    this.#events.emit(change.type, change as never);
    this.#events.emit("change", change);
    for (const reader of [...this.#readers]) reader.put(change);
  }

  #frame(frame: Frame): void {
    const { type, ref } = frame;
    if (type === "connection_established") this.#userId = String(frame["user_id"]);
    else if (type === "typing") this.#events.emit("typing", frame as unknown as Typing);
    else if (type === "presence") this.#events.emit("presence", frame as unknown as Presence);
    else if (type === "thread_subscribed" && typeof ref === "string") this.#subscribed(ref);
    else if (type === "error") {
      const retry = frame["retry_after_ms"];
      const more = typeof retry === "number" ? { retryAfterMs: retry } : {};
      const error = new RowcastError(String(frame["code"]), String(frame["message"]), more);
      if (typeof ref === "string" && this.#threads.delete(ref)) {
        this.#subscribing.get(ref)?.reject(error);
        this.#subscribing.delete(ref);
      }
      this.#events.emit("error", error);
    }
  }

  #subscribed(thread: string): void {
    this.#subscribing.get(thread)?.resolve();
    this.#subscribing.delete(thread);
  }

  #tell(status: Status): void {
    const { status: before, way } = this.#status;
    const same = before === status.status && way === status.way && status.status !== "offline";
    this.#status = status;
    if (!same) this.#events.emit("status", status);
  }

  #end(error: RowcastError | null): void {
    if (this.#status.status === "closed") return;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#driver?.stop();
    for (const { reject } of this.#subscribing.values()) reject(error ?? new RowcastError("closed", "The client was closed"));
    this.#subscribing.clear();
    this.#tell({ status: "closed", way: null, reason: error?.message ?? "" });
    for (const reader of [...this.#readers]) reader.end(error);
    this.#events.clear();
    this.#threads.clear();
  }
}
