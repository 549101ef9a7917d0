import { RowcastError } from "./error.js";
import type { Message } from "./wire.js";
/** A page of `offline-messages`. */
export interface Page {
    messages: Message[];
    has_more: boolean;
    cursor: string;
    last_check_time: string;
}
export interface Asked {
    body?: object;
    query?: Record<string, string | null | undefined>;
    signal?: AbortSignal | undefined;
}
/** Asks once; returns what the answer has under `data`, or all of it. */
export declare function request<T>(to: {
    url: string;
    fetch: typeof fetch;
}, token: string, method: string, path: string, asked?: Asked): Promise<T>;
/** What an answer that is no good says. */
export declare function refusal(response: Response): Promise<RowcastError>;
