// The native dialect's REST calls that the page makes.

/** A refusal, with the server's own words. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The demo's users with their tokens; none where the server is not `rowcast dev`. */
export async function demoUsers() {
  const response = await fetch("/demo/users", { cache: "no-store" }).catch(() => null);
  return response?.ok ? response.json() : [];
}

/** Calls of one signed-in user. */
export class Api {
  constructor(token) {
    this.token = token;
  }

  async threads() {
    const data = await this.#call("GET", "/api/chat/threads");
    return data.threads;
  }

  /** A page of history, ascending, with `has_more`; the newest one when `before` is not given. */
  messages(thread, before) {
    const query = new URLSearchParams({ limit: "50", ...(before && { before }) });
    return this.#call("GET", `/api/chat/threads/${thread}/messages?${query}`);
  }

  send(thread, content) {
    return this.#call("POST", `/api/chat/threads/${thread}/messages`, { content });
  }

  unread() {
    return this.#call("GET", "/api/chat/unread-count");
  }

  markRead(thread) {
    return this.#call("POST", `/api/chat/mark-read/${thread}`);
  }

  async #call(method, path, body) {
    const headers = { authorization: `Bearer ${this.token}` };
    if (body) headers["content-type"] = "application/json";
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    const answer = await response.json().catch(() => null);
    if (!response.ok) {
      const message = answer?.message ?? `The server answered ${response.status}`;
      throw new Refusal(response.status, answer?.code, message);
    }
    return answer?.data;
  }
}
