import { Changes } from "./changes.js";
import { type Off } from "./emitter.js";
import { RowcastError } from "./error.js";
import { type Timing, type Way } from "./line.js";
import { type Store } from "./place.js";
import type { TokenSource } from "./token.js";
import type { Change, Message, Presence, Thread, Typing } from "./wire.js";
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
export type Events = {
    [Type in Change["type"]]: Extract<Change, {
        type: Type;
    }>;
} & {
    /** Any of the above. */
    change: Change;
    typing: Typing;
    presence: Presence;
    status: Status;
    /** The log did not reach back far enough: fetch afresh what is shown. */
    resync: {
        reason: string;
    };
    /** The token is about to end; a callback is asked for a fresh one by itself. */
    token_expiring: {
        endsAt: Date;
    };
    error: RowcastError;
};
export declare class RowcastClient {
    #private;
    readonly url: string;
    constructor(options: Options);
    get status(): Status;
    /** Who this is, once the bridge has said so. */
    get userId(): string | null;
    /** Up to where all has come. */
    get cursor(): string | null;
    /** Starts, and keeps at it until `close`. Calling it again does nothing. */
    connect(): this;
    /** Tries at once, where it would wait, and makes sure that the bridge is there, where it is online. */
    retry(): void;
    /** Ends everything: the connection, timers, listeners, iterators, what is still awaited. */
    close(): void;
    on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options?: {
        signal?: AbortSignal;
    }): Off;
    once<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options?: {
        signal?: AbortSignal;
    }): Off;
    off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void;
    /** All changes from here on: `for await (const change of client.changes()) …`. */
    changes(options?: {
        signal?: AbortSignal;
    }): Changes;
    /** Waits until it is online. */
    ready(options?: {
        signal?: AbortSignal;
    }): Promise<void>;
    /** All threads, newest activity first. */
    threads(options?: {
        signal?: AbortSignal;
    }): Promise<Thread[]>;
    /** A page of a thread's messages, ascending; the newest where neither `before` nor `after` (a message id) is given. */
    messages(threadId: string, page?: {
        before?: string;
        after?: string;
        limit?: number;
        signal?: AbortSignal;
    }): Promise<{
        messages: Message[];
        has_more: boolean;
    }>;
    /** How many messages are unread, in all and by thread. */
    unread(options?: {
        signal?: AbortSignal;
    }): Promise<{
        unread_count: number;
        threads: Record<string, number>;
    }>;
    /**
     * Sends a message. It also comes as a change, in its place among the others. Not repeated by itself when it fails; with an
     * `id` of one's own (a uuid, which the message gets) it may be sent again and is there once.
     */
    send(threadId: string, content: string, more?: {
        id?: string;
        message_type?: string;
        attachments?: unknown[];
        signal?: AbortSignal;
    }): Promise<Message>;
    /** Marks a thread as read, up to a message or altogether; returns how many messages that covered. */
    markRead(threadId: string, upToMessageId?: string, options?: {
        signal?: AbortSignal;
    }): Promise<number>;
    /** Says that one is typing, or no longer; as often as keys are pressed. Only by the socket: it is of the moment. */
    typing(threadId: string, isTyping?: boolean): void;
    /** Says that a message has reached this device. Only by the socket. */
    delivered(threadId: string, messageId: string): boolean;
    /**
     * Wants a thread's typing, presence, reads and deliveries, too, on this and every later connection. Resolves when the
     * bridge has agreed; while it is offline that is later. Polling has messages only.
     */
    subscribe(threadId: string): Promise<void>;
    unsubscribe(threadId: string): void;
}
