import type { Frame, Message } from "./wire.js";
/** How the bridge is reached, best first. */
export type Way = "socket" | "events" | "polling";
/** Why a line ended. */
export interface End {
    why: "closed" | "lost" | "blocked" | "unauthorized" | "forbidden" | "resync";
    /** Whether it ever worked. */
    established: boolean;
    message?: string;
    retryAfterMs?: number;
}
/** What a line tells. */
export interface Told {
    /** It works. */
    established(): void;
    frame(frame: Frame): void;
    /** A page came by polling. */
    page(messages: Message[], cursor: string): void;
}
/** What a line is opened with. */
export interface Opening {
    url: string;
    token: string;
    cursor: string | null;
    threads: string[];
    timing: Timing;
    fetch: typeof fetch;
    WebSocket: typeof WebSocket | undefined;
}
export interface Line {
    readonly way: Way;
    readonly ended: Promise<End>;
    /** Sends a request where that is possible; says whether it was. */
    send(frame: object): boolean;
    /** Makes sure that it is still there; a sign of life may take so many milliseconds. */
    check(within?: number): void;
    /** A fresh token: true when the line goes on with it, false when a new line is needed. */
    renew(token: string): boolean;
    close(): void;
}
/** Times, in milliseconds. */
export interface Timing {
    /** A line that does not work after this is none. */
    connect: number;
    /** Silence after which the bridge is asked for a sign of life. */
    ping: number;
    /** How long that may take. */
    pong: number;
    /** Between two polls. */
    poll: number;
    /** Between two looks whether the socket works again, while it is blocked. */
    probe: number;
    /** The first back-off, and the longest. */
    backoff: number;
    longestBackoff: number;
    /** A cursor that did not move for so long is exchanged for a younger one, before the log forgets it. */
    refresh: number;
}
export declare const TIMING: Timing;
/** The end of a line, once, whoever is first to say it. */
export declare class Ending {
    #private;
    established: boolean;
    readonly promise: Promise<End>;
    constructor();
    get over(): boolean;
    end(why: End["why"], more?: {
        message?: string;
        retryAfterMs?: number;
    }): boolean;
}
/** The address of a path of the bridge. */
export declare function address(base: string, path: string, query?: Record<string, string | null | undefined>): string;
