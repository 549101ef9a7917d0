// What a line to the bridge is, whichever way it goes: it is opened, tells what comes, and ends once with a reason.

import type { Frame, Message } from "./wire.js";

/** How the bridge is reached, best first. */
export type Way = "socket" | "events" | "polling";

/** Why a line ended. */
export interface End {
  why:
    | "closed" // by us
    | "lost" // it was there, or could not be made, and is worth another try
    | "blocked" // the bridge answers, but not in this way
    | "unauthorized"
    | "forbidden"
    | "resync"; // its cursor is too old
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

export const TIMING: Timing = {
  connect: 10_000,
  ping: 25_000,
  pong: 10_000,
  poll: 5_000,
  probe: 30_000,
  backoff: 500,
  longestBackoff: 30_000,
  refresh: 15 * 60_000,
};

/** The end of a line, once, whoever is first to say it. */
export class Ending {
  established = false;
  readonly promise: Promise<End>;
  #resolve!: (end: End) => void;
  #over = false;

  constructor() {
    this.promise = new Promise((resolve) => (this.#resolve = resolve));
  }

  get over(): boolean {
    return this.#over;
  }

  end(why: End["why"], more: { message?: string; retryAfterMs?: number } = {}): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#resolve({ why, established: this.established, ...more });
    return true;
  }
}

/** The address of a path of the bridge. */
export function address(base: string, path: string, query: Record<string, string | null | undefined> = {}): string {
  const parts = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(parts as [string, string][]).toString();
  return `${base}${path}${text && `?${text}`}`;
}
