// Changes as an async iterator, with a bounded queue between the line and a reader who takes their time.

import { RowcastError } from "./error.js";
import type { Change } from "./wire.js";

export class Changes implements AsyncIterableIterator<Change> {
  readonly #limit: number;
  readonly #done: () => void;
  #items: Change[] = [];
  #waiting: { resolve: (result: IteratorResult<Change>) => void; reject: (error: unknown) => void }[] = [];
  #error: RowcastError | null = null;
  #over = false;

  /** `done` is called once, when there will be no reader any more. */
  constructor(limit: number, done: () => void) {
    this.#limit = limit;
    this.#done = done;
  }

  put(change: Change): void {
    if (this.#over) return;
    const reader = this.#waiting.shift();
    if (reader) return reader.resolve({ done: false, value: change });
    if (this.#items.length < this.#limit) this.#items.push(change);
    else this.end(new RowcastError("overflow", `More than ${this.#limit} changes waited to be read`));
  }

  /** No more comes; what waits is still given, then the error, where there is one. */
  end(error: RowcastError | null = null): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#done();
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error) reject(error);
      else resolve({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<Change>> {
    const change = this.#items.shift();
    if (change) return Promise.resolve({ done: false, value: change });
    if (this.#error) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Change>> {
    this.#items = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
