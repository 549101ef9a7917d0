// Requests of the native REST API: one try each, with a deadline, and refusals as errors with the bridge's own words.

import { within } from "./clock.js";
import { RowcastError, asError } from "./error.js";
import { address } from "./line.js";
import type { Message } from "./wire.js";

const DEADLINE = 30_000;

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
export async function request<T>(
  to: { url: string; fetch: typeof fetch },
  token: string,
  method: string,
  path: string,
  asked: Asked = {},
): Promise<T> {
  const { signal, free } = within(DEADLINE, asked.signal);
  const headers: Record<string, string> = { authorization: `Bearer ${token}` };
  if (asked.body) headers["content-type"] = "application/json";
  try {
    const body = asked.body ? { body: JSON.stringify(asked.body) } : {};
    const init: RequestInit = { method, headers, cache: "no-store", signal, ...body };
    const response = await to.fetch(address(to.url, path, asked.query), init);
    if (!response.ok) throw await refusal(response);
    const answer: unknown = await response.json();
    const data = (answer as { data?: unknown } | null)?.data;
    return (data ?? answer) as T;
  } catch (error) {
    if (asked.signal?.aborted) throw new RowcastError("aborted", "The request was given up", { cause: error });
    if (signal.aborted) throw new RowcastError("timeout", "There was no answer in time", { cause: error });
    throw asError(error);
  } finally {
    free();
  }
}

/** What an answer that is no good says. */
export async function refusal(response: Response): Promise<RowcastError> {
  const body: unknown = await response.json().catch(() => null);
  const { code, message, retry_after_ms } = (body ?? {}) as { code?: string; message?: string; retry_after_ms?: number };
  const more: { status: number; retryAfterMs?: number } = { status: response.status };
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  if (retry_after_ms !== undefined) more.retryAfterMs = retry_after_ms;
  else if (!Number.isNaN(seconds)) more.retryAfterMs = seconds * 1_000;
  const kind = response.status === 401 ? "unauthorized" : response.status === 403 ? "forbidden" : "unavailable";
  return new RowcastError(code ?? kind, message ?? `The bridge answered ${response.status}`, more);
}
