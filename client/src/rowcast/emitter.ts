// A typed event emitter: a listener that throws disturbs nobody else.

/** Takes a listener away again. */
export type Off = () => void;

type Listener<T> = (event: T) => void;

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Calls `listener` for each event; returns how to stop. The `signal` stops it too. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, options: { signal?: AbortSignal } = {}): Off {
    const { signal } = options;
    if (signal?.aborted) return () => {};
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    const off = () => {
      signal?.removeEventListener("abort", off);
      this.off(name, listener);
    };
    signal?.addEventListener("abort", off, { once: true });
    return off;
  }

  /** Calls `listener` for the next event only. */
  once<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, options: { signal?: AbortSignal } = {}): Off {
    const off = this.on(
      name,
      (event) => {
        off();
        listener(event);
      },
      options,
    );
    return off;
  }

  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    const listeners = this.#listeners.get(name);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(name);
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as Listener<Events[Name]>[]) {
      try {
        listener(event);
      } catch (error) {
        complain(error);
      }
    }
  }

  /** How many listeners there are, of all events. */
  get size(): number {
    return [...this.#listeners.values()].reduce((sum, listeners) => sum + listeners.size, 0);
  }

  clear(): void {
    this.#listeners.clear();
  }
}

/** As with DOM events: the error is the page's to see, and the next listener is called. */
function complain(error: unknown): void {
  if (typeof globalThis.reportError === "function") return globalThis.reportError(error);
  queueMicrotask(() => {
    throw error;
  });
}
