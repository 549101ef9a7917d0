/** Calls back then, with whether the network is said to be gone; returns how to stop. Where there is no page there is nothing to listen to. */
export declare function onWake(wake: (gone: boolean) => void): () => void;
