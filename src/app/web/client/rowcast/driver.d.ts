import { RowcastError } from "./error.js";
import type { Timing, Way } from "./line.js";
import { type Store } from "./place.js";
import { type Asked } from "./rest.js";
import { type TokenSource } from "./token.js";
import { type Change, type Frame } from "./wire.js";
/** What the driver works with. */
export interface Gear {
    url: string;
    token: TokenSource;
    ways: Way[];
    store: Store | null;
    storeKey: string | null;
    since: string | null;
    timing: Timing;
    fetch: typeof fetch;
    WebSocket: typeof WebSocket | undefined;
}
/** Whom the driver tells. */
export interface Rider {
    /** The threads whose every event is wanted. */
    threads(): string[];
    connecting(): void;
    established(way: Way): void;
    offline(retryInMs: number, reason: string): void;
    /** The end, for this reason. */
    finished(error: RowcastError): void;
    change(change: Change): void;
    frame(frame: Frame): void;
    resync(reason: string): void;
    expiring(endsAt: Date): void;
    failed(error: RowcastError): void;
}
export declare class Driver {
    #private;
    constructor(gear: Gear, rider: Rider);
    /** The way that works now. */
    get way(): Way | null;
    get cursor(): string | null;
    send(frame: object): boolean;
    /** A new line of the same kind, at once. */
    reopen(): void;
    /** Looks at once whether the bridge is there; with less patience where the network is said to be gone. */
    wake(gone?: boolean): void;
    stop(): void;
    /** One request; a token that is refused is exchanged once. */
    call<T>(method: string, path: string, asked?: Asked): Promise<T>;
}
