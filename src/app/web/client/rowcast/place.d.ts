/** Where the place is kept. `localStorage` by default, where there is one. */
export interface Store {
    get(key: string): string | null | undefined | Promise<string | null | undefined>;
    set(key: string, value: string): void | Promise<void>;
}
export declare class Place {
    #private;
    /** Where the feed goes on. */
    cursor: string | null;
    /** When all was had, about; asked from where a cursor is too old. */
    at: string | null;
    constructor(store: Store | null);
    /** Takes up where the last start left off. */
    load(key: string): Promise<void>;
    /** Notes that a message is being told; false when it was before. */
    tell(id: string): boolean;
    /** All up to a cursor of the feed was had. */
    advance(cursor: string): void;
    /** What the bridge's clock says. Ours may be wrong by days. */
    clock(time: unknown): void;
    /** The bridge is heard: what is committed comes at once. */
    seen(): void;
    /** The feed is at hand again and has passed what polling gave. */
    settle(): void;
    /** Where polling goes on. */
    get pollFrom(): string | null;
    /**
     * Messages came by polling. False when there have been too many to go back to the feed's own cursor: then edits and
     * deletions of that time will not come.
     */
    poll(ids: string[], cursor: string): boolean;
    /** Everything was fetched by time up to a cursor. */
    restart(cursor: string): void;
    /** Keeps the place. While a slow store is at it, only the newest waits. */
    save(): void;
}
/** `localStorage`, where there is one. */
export declare function localStore(): Store | null;
