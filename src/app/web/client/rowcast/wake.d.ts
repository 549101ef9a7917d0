/** Calls back then; returns how to stop. Where there is no page there is nothing to listen to. */
export declare function onWake(wake: () => void): () => void;
