import { RowcastError } from "./error.js";
import type { Change } from "./wire.js";
export declare class Changes implements AsyncIterableIterator<Change> {
    #private;
    /** `done` is called once, when there will be no reader any more. */
    constructor(limit: number, done: () => void);
    put(change: Change): void;
    /** No more comes; what waits is still given, then the error, where there is one. */
    end(error?: RowcastError | null): void;
    next(): Promise<IteratorResult<Change>>;
    return(): Promise<IteratorResult<Change>>;
    [Symbol.asyncIterator](): this;
}
