export declare class Typist {
    #private;
    /** The end of it, by conversation. */
    readonly timeouts: Map<string, number>;
    constructor(say: (conversationId: string, isTyping: boolean) => void);
    type(conversationId: string): void;
    /** Ends it; `silently` where the bridge knows, or cannot be told. */
    stop(conversationId: string, silently?: boolean): void;
    /** Ends all without a word. */
    clear(): void;
}
