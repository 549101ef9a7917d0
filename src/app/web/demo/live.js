// The socket: connects, notices silence, comes back with its cursor, so that nothing is missed and nothing shown twice.

const FIRST_RETRY = 500;
const LAST_RETRY = 15_000;
const PING_EVERY = 20_000;
const PONG_WITHIN = 5_000;
/** Close codes after which the same token will not do: not authenticated, deactivated. */
const FINAL = new Set([4401, 4403]);

/**
 * Tells by events what happens: `status` (connecting, online, offline with `retryIn`, and `failed` when the handshake did),
 * `frame` (what the server sent), `refused` (the token is no longer good).
 */
export class Live extends EventTarget {
  #token;
  #socket = null;
  #cursor = null;
  #failures = 0;
  #established = false;
  #retry = null;
  #ping = null;
  #pong = null;
  #ended = false;

  constructor(token) {
    super();
    this.#token = token;
  }

  connect() {
    clearTimeout(this.#retry);
    if (this.#ended || this.#socket) return;
    this.#tell("status", { status: "connecting", again: this.#failures > 0 });
    const query = new URLSearchParams({ token: this.#token, ...(this.#cursor && { cursor: this.#cursor }) });
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws?${query}`);
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#closed(socket, event);
  }

  /** Sends a request where there is a connection; says whether there was. */
  send(request) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(request));
    return true;
  }

  end() {
    this.#ended = true;
    this.#forget()?.close();
  }

  #receive(frame) {
    if (frame.cursor) this.#cursor = frame.cursor;
    if (frame.type === "pong") {
      clearTimeout(this.#pong);
      return;
    }
    if (frame.type === "connection_established") {
      this.#failures = 0;
      this.#established = true;
      this.#ping = setInterval(() => this.#check(), PING_EVERY);
      this.#tell("status", { status: "online" });
    }
    this.#tell("frame", frame);
  }

  /** Asks for a sign of life; a connection that gives none is no connection. */
  #check() {
    this.send({ type: "ping" });
    clearTimeout(this.#pong);
    this.#pong = setTimeout(() => {
      const socket = this.#socket;
      socket?.close();
      this.#closed(socket, { code: 1006 });
    }, PONG_WITHIN);
  }

  #closed(socket, event) {
    if (!socket || socket !== this.#socket) return;
    const failed = !this.#established;
    this.#forget();
    if (this.#ended) return;
    if (FINAL.has(event.code)) {
      this.#ended = true;
      this.#tell("refused", { code: event.code, reason: event.reason });
      return;
    }
    const base = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#failures++);
    const retryIn = base * (0.75 + Math.random() / 2);
    this.#retry = setTimeout(() => this.connect(), retryIn);
    this.#tell("status", { status: "offline", retryIn, failed });
  }

  #forget() {
    const socket = this.#socket;
    this.#socket = null;
    this.#established = false;
    clearTimeout(this.#retry);
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
    return socket;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
