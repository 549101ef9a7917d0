import { type Conversation, type Message } from "./wire.js";
export declare class Api {
    #private;
    constructor(base: () => string, token: (refused: boolean) => Promise<string | null>);
    conversations(): Promise<Conversation[]>;
    /** The newest page; or, with a time, all since then, in pages. */
    messages(conversation: string, since?: string, before?: string): Promise<Message[]>;
    send(conversation: string, content: string, messageType: string): Promise<Message>;
    read(conversation: string, messageId?: string): Promise<{
        success: boolean;
        markedCount: number;
    }>;
    /** Gives up all that is being asked. */
    abort(): void;
}
