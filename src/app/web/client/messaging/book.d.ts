import type { Conversation, ConversationUpdate, Message, MessageRead } from "./wire.js";
export declare class Book {
    #private;
    /** Newest activity first. */
    get conversations(): Conversation[];
    messages(conversation: string): Message[];
    /** Since when a conversation's messages have to be fetched; undefined where none are known. */
    since(conversation: string): string | undefined;
    /** From here on something may be missing. What comes live meanwhile does not hide it. */
    openGap(conversation: string): void;
    closeGap(conversation: string): void;
    replace(conversations: Conversation[]): void;
    /** Notes news of a conversation; false where it is not known yet. */
    update(news: ConversationUpdate): boolean;
    /** Adds messages; returns those that are new. In their order in time, each once. */
    add(conversation: string, messages: Message[]): Message[];
    /** Notes that somebody has read up to a message; true when that changes what is known of one. */
    read({ conversationId, messageId, userId }: MessageRead): boolean;
    forget(conversation: string): void;
    clear(): void;
}
