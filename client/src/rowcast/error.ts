// What goes wrong: the bridge's own code and words, or ours where it could not be reached.

/** The codes of the bridge (README, "Errors"), and ours: `unreachable`, `aborted`, `closed`, `overflow`. */
export type ErrorCode =
  | "bad_request"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "resync_required"
  | "too_large"
  | "rate_limited"
  | "timeout"
  | "unavailable"
  | "internal"
  | "unreachable"
  | "aborted"
  | "closed"
  | "overflow"
  | (string & {});

/** A refusal or a failure. */
export class RowcastError extends Error {
  override readonly name = "RowcastError";
  readonly code: ErrorCode;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** When to try again, where the bridge said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, more: { status?: number; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status;
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** Any failure as one of ours. */
export function asError(cause: unknown): RowcastError {
  if (cause instanceof RowcastError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new RowcastError("unreachable", message, { cause });
}
