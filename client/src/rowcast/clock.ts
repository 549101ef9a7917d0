// Waiting: pauses that can be cut short, deadlines, and the back-off between two tries.

/** Browsers take a longer delay for none at all. */
const LONGEST = 2 ** 31 - 1;

/** Calls back once after a time; returns how to stop that. */
export function after(ms: number, done: () => void): () => void {
  const timer = setTimeout(done, Math.min(Math.max(ms, 0), LONGEST));
  return () => clearTimeout(timer);
}

/** A pause; `wake` or the signal ends it early. */
export function pause(ms: number, signal: AbortSignal): { done: Promise<void>; wake: () => void } {
  let wake = () => {};
  const done = new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    const stop = after(ms, () => wake());
    wake = () => {
      stop();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    signal.addEventListener("abort", wake, { once: true });
  });
  return { done, wake: () => wake() };
}

/** One signal of several, with a deadline; `free` lets go of them. */
export function within(ms: number, ...signals: (AbortSignal | undefined)[]): { signal: AbortSignal; free: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const stop = after(ms, abort);
  for (const signal of signals) {
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
  }
  const free = () => {
    stop();
    for (const signal of signals) signal?.removeEventListener("abort", abort);
  };
  return { signal: controller.signal, free };
}

/** Exponential, with full jitter: a thousand clients of one bridge that went away do not come back as one. */
export function backoff(failures: number, base: number, most: number): number {
  return Math.random() * Math.min(most, base * 2 ** Math.min(failures, 30));
}
