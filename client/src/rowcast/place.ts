// The client's place in the history: the cursor, what it had by polling, and where these are kept from one start to the next.

/** Where the place is kept. `localStorage` by default, where there is one. */
export interface Store {
  get(key: string): string | null | undefined | Promise<string | null | undefined>;
  set(key: string, value: string): void | Promise<void>;
}

/** Ids of messages that are remembered, so that none is told twice. */
const REMEMBERED = 10_000;
/** Messages had by polling that a return to the feed is reconciled with. */
const MOST_POLLED = 2_000;
/** The time to ask from when the cursor is too old lags behind by this. */
const BEHIND = 60_000;

interface Kept {
  cursor: string | null;
  polled: { cursor: string; ids: string[] } | null;
  at: string | null;
}

export class Place {
  /** Where the feed goes on. */
  cursor: string | null = null;
  /** When all was had, about; asked from where a cursor is too old. */
  at: string | null = null;
  /** Where polling goes on, and the messages that it gave since `cursor`. */
  #polled: { cursor: string; ids: string[] } | null = null;
  readonly #told = new Set<string>();
  readonly #store: Store | null;
  #key = "";
  /** The bridge's clock is ahead of ours by this; null until it was heard. */
  #ahead: number | null = null;
  #saving = false;
  #unsaved = false;

  constructor(store: Store | null) {
    this.#store = store;
  }

  /** Takes up where the last start left off. */
  async load(key: string): Promise<void> {
    this.#key = key;
    try {
      const text = await this.#store?.get(key);
      const kept = text ? (JSON.parse(text) as Partial<Kept>) : {};
      if (typeof kept.cursor === "string") this.cursor = kept.cursor;
      if (typeof kept.at === "string") this.at = kept.at;
      if (typeof kept.polled?.cursor === "string" && Array.isArray(kept.polled.ids)) {
        this.#polled = kept.polled;
        for (const id of kept.polled.ids) this.#told.add(id);
      }
    } catch {
      // What cannot be read is as if it were not there.
    }
  }

  /** Notes that a message is being told; false when it was before. */
  tell(id: string): boolean {
    if (this.#told.has(id)) return false;
    this.#told.add(id);
    for (const oldest of this.#told) {
      if (this.#told.size <= REMEMBERED) break;
      this.#told.delete(oldest);
    }
    return true;
  }

  /** All up to a cursor of the feed was had. */
  advance(cursor: string): void {
    this.cursor = cursor;
    this.seen();
    this.save();
  }

  /** What the bridge's clock says. Ours may be wrong by days. */
  clock(time: unknown): void {
    const theirs = typeof time === "string" ? Date.parse(time) : NaN;
    if (!Number.isNaN(theirs)) this.#ahead = theirs - Date.now();
  }

  /** The bridge is heard: what is committed comes at once. */
  seen(): void {
    if (this.#ahead !== null) this.at = new Date(Date.now() + this.#ahead - BEHIND).toISOString();
  }

  /** The feed is at hand again and has passed what polling gave. */
  settle(): void {
    this.#polled = null;
  }

  /** Where polling goes on. */
  get pollFrom(): string | null {
    return this.#polled?.cursor ?? this.cursor;
  }

  /**
   * Messages came by polling. False when there have been too many to go back to the feed's own cursor: then edits and
   * deletions of that time will not come.
   */
  poll(ids: string[], cursor: string): boolean {
    const polled = { cursor, ids: [...(this.#polled?.ids ?? []), ...ids] };
    const fits = this.cursor !== null && polled.ids.length <= MOST_POLLED;
    if (fits) this.#polled = polled;
    else [this.#polled, this.cursor] = [null, cursor];
    this.seen();
    this.save();
    return fits || polled.ids.length <= MOST_POLLED;
  }

  /** Everything was fetched by time up to a cursor. */
  restart(cursor: string): void {
    this.#polled = null;
    this.advance(cursor);
  }

  /** Keeps the place. While a slow store is at it, only the newest waits. */
  save(): void {
    this.#unsaved = true;
    if (!this.#saving) void this.#write();
  }

  async #write(): Promise<void> {
    if (!this.#store || !this.#key) return;
    this.#saving = true;
    while (this.#unsaved) {
      this.#unsaved = false;
      const kept: Kept = { cursor: this.cursor, polled: this.#polled, at: this.at };
      try {
        const saved = this.#store.set(this.#key, JSON.stringify(kept));
        if (saved) await saved;
      } catch {
        // A full or forbidden store: the place is kept in memory only.
      }
    }
    this.#saving = false;
  }
}

/** `localStorage`, where there is one. */
export function localStore(): Store | null {
  try {
    const { localStorage } = globalThis;
    if (!localStorage) return null;
    return {
      get: (key) => localStorage.getItem(key),
      set: (key, value) => localStorage.setItem(key, value),
    };
  } catch {
    return null;
  }
}
