/** The codes of the bridge (README, "Errors"), and ours: `unreachable`, `aborted`, `closed`, `overflow`. */
export type ErrorCode = "bad_request" | "unauthorized" | "forbidden" | "not_found" | "resync_required" | "too_large" | "rate_limited" | "timeout" | "unavailable" | "internal" | "unreachable" | "aborted" | "closed" | "overflow" | (string & {});
/** A refusal or a failure. */
export declare class RowcastError extends Error {
    readonly name = "RowcastError";
    readonly code: ErrorCode;
    /** The HTTP status, where there was an answer. */
    readonly status: number | undefined;
    /** When to try again, where the bridge said so. */
    readonly retryAfterMs: number | undefined;
    constructor(code: ErrorCode, message: string, more?: {
        status?: number;
        retryAfterMs?: number;
        cause?: unknown;
    });
}
/** Any failure as one of ours. */
export declare function asError(cause: unknown): RowcastError;
