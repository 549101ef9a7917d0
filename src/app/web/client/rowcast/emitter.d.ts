/** Takes a listener away again. */
export type Off = () => void;
type Listener<T> = (event: T) => void;
export declare class Emitter<Events extends object> {
    #private;
    /** Calls `listener` for each event; returns how to stop. The `signal` stops it too. */
    on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, options?: {
        signal?: AbortSignal;
    }): Off;
    /** Calls `listener` for the next event only. */
    once<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, options?: {
        signal?: AbortSignal;
    }): Off;
    off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void;
    emit<Name extends keyof Events>(name: Name, event: Events[Name]): void;
    /** How many listeners there are, of all events. */
    get size(): number;
    clear(): void;
}
export {};
