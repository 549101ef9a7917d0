/** Calls back once after a time; returns how to stop that. */
export declare function after(ms: number, done: () => void): () => void;
/** A pause; `wake` or the signal ends it early. */
export declare function pause(ms: number, signal: AbortSignal): {
    done: Promise<void>;
    wake: () => void;
};
/** One signal of several, with a deadline; `free` lets go of them. */
export declare function within(ms: number, ...signals: (AbortSignal | undefined)[]): {
    signal: AbortSignal;
    free: () => void;
};
/** Exponential, with full jitter: a thousand clients of one bridge that went away do not come back as one. */
export declare function backoff(failures: number, base: number, most: number): number;
