// One's own typing: said once a second at most however fast keys are pressed, and over by itself after three seconds.

/** Typing is said once a second at most, and is over after this long without a key. */
const TYPING_EVERY = 1_000;
const TYPING_LASTS = 3_000;

export class Typist {
  /** The end of it, by conversation. */
  readonly timeouts = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #saidAt = new Map<string, number>();
  readonly #say: (conversationId: string, isTyping: boolean) => void;

  constructor(say: (conversationId: string, isTyping: boolean) => void) {
    this.#say = say;
  }

  type(conversationId: string): void {
    clearTimeout(this.timeouts.get(conversationId));
    this.timeouts.set(conversationId, setTimeout(() => this.stop(conversationId), TYPING_LASTS));
    const last = this.#saidAt.get(conversationId) ?? -Infinity;
    if (performance.now() - last < TYPING_EVERY) return;
    this.#saidAt.set(conversationId, performance.now());
    this.#say(conversationId, true);
  }

  /** Ends it; `silently` where the bridge knows, or cannot be told. */
  stop(conversationId: string, silently = false): void {
    clearTimeout(this.timeouts.get(conversationId));
    if (this.timeouts.delete(conversationId) && !silently) this.#say(conversationId, false);
  }

  /** Ends all without a word. */
  clear(): void {
    for (const conversationId of [...this.timeouts.keys()]) this.stop(conversationId, true);
    this.#saidAt.clear();
  }
}
