// What was written and is not known to have arrived: kept through a reload, sent in order when the bridge is there, each once.

const KEY = "rowcast-demo-outbox";
/** What the bridge will never take, however often it is asked. */
const HOPELESS = new Set([400, 403, 404, 413, 422]);

export class Outbox {
  #user;
  #send;
  #changed;
  #letters = [];
  #sending = null;

  /** `send(letter)` sends one, or throws; `changed()` is called when something here has changed. */
  constructor(user, send, changed) {
    this.#user = user;
    this.#send = send;
    this.#changed = changed;
    this.#letters = load(user);
  }

  /** The letters to a thread: `{id, thread, content, at, failed}`; `failed` says why one was refused. */
  of(thread) {
    return this.#letters.filter((letter) => letter.thread === thread);
  }

  /** Whether there is something to send. */
  get waits() {
    return this.#letters.some(({ failed }) => !failed);
  }

  /** Takes a message. Its id is chosen here: the bridge keeps one message for each, however often it comes. */
  put(thread, content) {
    this.#letters.push({ id: uuid(), thread, content, at: new Date().toISOString(), failed: null });
    this.#keep();
  }

  /** A message is in the thread. */
  arrived(id) {
    if (this.#letters.some((letter) => letter.id === id)) this.drop(id);
  }

  drop(id) {
    this.#letters = this.#letters.filter((letter) => letter.id !== id);
    this.#keep();
  }

  /** What was refused is tried again. */
  again() {
    for (const letter of this.#letters) letter.failed = null;
    this.#keep();
    return this.flush();
  }

  /** Sends all that waits, one after the other; stops at the first that the bridge cannot be asked about now. */
  flush() {
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #sendAll() {
    for (;;) {
      const letter = this.#letters.find(({ failed }) => !failed);
      if (!letter) return;
      try {
        await this.#send(letter);
        this.arrived(letter.id);
      } catch (error) {
        if (!HOPELESS.has(error.status)) return;
        letter.failed = error.message;
        this.#keep();
      }
    }
  }

  #keep() {
    try {
      sessionStorage.setItem(`${KEY}:${this.#user}`, JSON.stringify(this.#letters));
    } catch {
      // A full or forbidden store: kept for as long as the page is.
    }
    this.#changed();
  }
}

/** A random id. `crypto.randomUUID` is there for pages of secure origins only; a demo may be looked at from a phone on the same network. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function load(user) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(`${KEY}:${user}`) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.id === "string" && typeof one.content === "string") : [];
  } catch {
    return [];
  }
}
