// The REST half of the `conversations` dialect: the fallback, history, and writes with the CSRF token that a cookie wants.

import { type Conversation, type Message, MessagingError } from "./wire.js";

const DEADLINE = 15_000;
/** Messages in an answer. */
const PAGE = 200;

export class Api {
  readonly #base: () => string;
  readonly #token: (refused: boolean) => Promise<string | null>;
  readonly #open = new Set<AbortController>();

  constructor(base: () => string, token: (refused: boolean) => Promise<string | null>) {
    this.#base = base;
    this.#token = token;
  }

  conversations(): Promise<Conversation[]> {
    return this.#call("GET", "");
  }

  /** The newest page; or, with a time, all since then, in pages. */
  async messages(conversation: string, since?: string, before?: string): Promise<Message[]> {
    const path = `/${encodeURIComponent(conversation)}/messages`;
    const all = new Map<string, Message>();
    let from = since;
    for (;;) {
      const query = new URLSearchParams({ ...(from && { since: from }), ...(before && { before }), ...(since && { limit: String(PAGE) }) });
      const page = await this.#call<Message[]>("GET", `${path}?${query}`);
      const size = all.size;
      for (const message of page) all.set(message.id, message);
      // A page may repeat what has the same time as the last one's end; one that brings nothing new is the last.
      if (!since || page.length < PAGE || all.size === size) return [...all.values()];
      from = page[page.length - 1]?.createdAt ?? from;
    }
  }

  send(conversation: string, content: string, messageType: string): Promise<Message> {
    return this.#call("POST", `/${encodeURIComponent(conversation)}/messages`, { content, messageType });
  }

  read(conversation: string, messageId?: string): Promise<{ success: boolean; markedCount: number }> {
    return this.#call("POST", `/${encodeURIComponent(conversation)}/read`, messageId ? { messageId } : {});
  }

  /** Gives up all that is being asked. */
  abort(): void {
    for (const controller of this.#open) controller.abort();
  }

  async #call<T>(method: string, path: string, body?: object, refused = false): Promise<T> {
    const token = await this.#token(refused);
    const headers: Record<string, string> = { accept: "application/json" };
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (body) headers["content-type"] = "application/json";
    const csrf = csrfToken();
    if (body && csrf) headers["x-csrf-token"] = csrf;
    const controller = new AbortController();
    this.#open.add(controller);
    const late = setTimeout(() => controller.abort(), DEADLINE);
    try {
      const init: RequestInit = { method, headers, credentials: "include", cache: "no-store", signal: controller.signal };
      // With a token no cookie is wanted; with listed origins only may one be sent to another origin.
      if (token) init.credentials = "omit";
      if (body) init.body = JSON.stringify(body);
      const response = await fetch(`${this.#base()}/api/conversations${path}`, init);
      if (response.status === 401 && token && !refused) return await this.#call(method, path, body, true);
      const answer: unknown = await response.json().catch(() => null);
      if (!response.ok) {
        const said = (answer as { error?: unknown } | null)?.error;
        throw new MessagingError(typeof said === "string" ? said : `The server answered ${response.status}`, response.status);
      }
      return answer as T;
    } catch (error) {
      if (error instanceof MessagingError) throw error;
      throw new MessagingError(controller.signal.aborted ? "There was no answer in time" : "The server cannot be reached");
    } finally {
      clearTimeout(late);
      this.#open.delete(controller);
    }
  }
}

/** What the cookie says that a write by cookie has to repeat. */
function csrfToken(): string | null {
  const cookies = globalThis.document?.cookie ?? "";
  return /(?:^|;\s*)csrf_token=([^;]*)/.exec(cookies)?.[1] ?? null;
}
