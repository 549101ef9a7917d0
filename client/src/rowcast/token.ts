// The token: given once, or asked for again before it ends and when it is refused.

import { after } from "./clock.js";
import { RowcastError } from "./error.js";

/** A token, or what gives one. `refused` says that the last one was not accepted. Null: there is nobody signed in. */
export type TokenSource = string | ((why: { refused: boolean }) => string | null | Promise<string | null>);

/** A fresh token is asked for this long before the old one ends, or after four fifths of a short one's life. */
const BEFORE_END = 30_000;
const SHARE = 0.2;
/** However short-lived tokens are, no more often than this. */
const LEAST = 1_000;

export class Tokens {
  readonly #source: TokenSource;
  #token: string | null = null;
  /** When it ends, by our clock; null where it does not say. */
  #endsAt: number | null = null;
  #asking: Promise<string> | null = null;
  #stop = () => {};

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** Whether another one can be had. */
  get renewable(): boolean {
    return typeof this.#source === "function";
  }

  /** The token to use now; asked for where there is none or it is over. */
  async get(): Promise<string> {
    const over = this.#endsAt !== null && this.#endsAt <= Date.now();
    if (this.#token !== null && (!this.renewable || !over)) return this.#token;
    return this.renew(false);
  }

  /** A fresh one. All who ask at once get the same. */
  renew(refused: boolean): Promise<string> {
    this.#asking ??= this.#ask(refused).finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** Calls back when the token is about to end; once for each. */
  watch(expiring: (endsAt: Date) => void): void {
    this.#stop();
    const ends = this.#endsAt;
    if (ends === null || !this.renewable) return;
    const left = Math.max(ends - Date.now(), 0);
    const wait = Math.max(left - Math.min(BEFORE_END, left * SHARE), LEAST);
    // A timer that a sleeping tab kept back finds a token that is over: then the bridge has said so, too.
    this.#stop = after(wait, () => expiring(new Date(ends)));
  }

  close(): void {
    this.#stop();
  }

  async #ask(refused: boolean): Promise<string> {
    const token = typeof this.#source === "function" ? await this.#source({ refused }) : this.#source;
    if (!token) throw new RowcastError("unauthorized", "There is no token: nobody is signed in");
    this.#token = token;
    this.#endsAt = endOf(token, Date.now());
    return token;
  }
}

/**
 * When a JWT ends by our clock, in milliseconds since 1970; null where it does not say. One that seems to be over as it comes
 * is one for a clock that is wrong: then its lifetime counts from now. Read for timing only: the bridge verifies.
 */
export function endOf(token: string, now: number): number | null {
  const { exp, iat } = claims(token);
  if (typeof exp !== "number") return null;
  if (exp * 1_000 > now) return exp * 1_000;
  return typeof iat === "number" && exp > iat ? now + (exp - iat) * 1_000 : now + LEAST;
}

/** Whose token it is; empty where it does not say. */
export function subjectOf(token: string): string {
  const sub = claims(token)["sub"];
  return typeof sub === "string" || typeof sub === "number" ? String(sub) : "";
}

function claims(token: string): Record<string, unknown> {
  try {
    const payload = token.split(".")[1] ?? "";
    const read: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof read === "object" && read !== null ? (read as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
