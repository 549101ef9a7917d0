/** A token, or what gives one. `refused` says that the last one was not accepted. Null: there is nobody signed in. */
export type TokenSource = string | ((why: {
    refused: boolean;
}) => string | null | Promise<string | null>);
export declare class Tokens {
    #private;
    constructor(source: TokenSource);
    /** Whether another one can be had. */
    get renewable(): boolean;
    /** The token to use now; asked for where there is none or it is over. */
    get(): Promise<string>;
    /** A fresh one. All who ask at once get the same. */
    renew(refused: boolean): Promise<string>;
    /** Calls back when the token is about to end; once for each. */
    watch(expiring: (endsAt: Date) => void): void;
    close(): void;
}
/**
 * When a JWT ends by our clock, in milliseconds since 1970; null where it does not say. One that seems to be over as it comes
 * is one for a clock that is wrong: then its lifetime counts from now. Read for timing only: the bridge verifies.
 */
export declare function endOf(token: string, now: number): number | null;
/** Whose token it is; empty where it does not say. */
export declare function subjectOf(token: string): string;
