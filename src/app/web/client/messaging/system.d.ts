import type { Socket } from "socket.io-client";
import type { MessagingOptions } from "./options.js";
import type { Conversation, ConversationUpdate, Message, MessageRead, NewMessage, TypingStatus } from "./wire.js";
export type ConversationsCallback = (conversations: Conversation[]) => void;
export type MessagesCallback = (messages: Message[]) => void;
export declare class MessagingSystem {
    #private;
    /** The Socket.IO client, while there is one. */
    socket: Socket | null;
    /** Whether it is connected and the bridge knows who we are. */
    isConnected: boolean;
    /** Conversations that were joined; joined again on every connection. */
    readonly activeConversations: Set<string>;
    /** Who is told of the list of conversations, by user. */
    readonly conversationCallbacks: Map<string, Set<ConversationsCallback>>;
    /** Who is told of messages, by conversation. */
    readonly messageCallbacks: Map<string, Set<MessagesCallback>>;
    /** Who we are, once the bridge has said so. */
    userId: string | null;
    constructor(options?: MessagingOptions);
    /** Sets options; before the first connection, or to sign in as somebody else after `disconnect()`. */
    configure(options: MessagingOptions): this;
    /** Makes the connection where there is none. Listening to conversations does so by itself. */
    initWebSocket(): void;
    /** Connects the socket, or connects it again. */
    connectWebSocket(): void;
    /**
     * Tells `callback` of all conversations, now and whenever one changes; returns how to stop. The first one connects, and
     * when the last one has gone and nothing is joined, the connection ends.
     */
    listenToUserConversations(userId: string, _userType: string, callback: ConversationsCallback): () => void;
    /** Tells `callback` of a conversation's messages, now and whenever there are more; joins it. Returns how to stop. */
    listenToMessages(conversationId: string, callback: MessagesCallback): () => void;
    /** Joins a conversation: its messages, typing and reads come from now on, also after a reconnect. */
    joinConversation(conversationId: string): void;
    leaveConversation(conversationId: string): void;
    /** Says that one is typing, as often as keys are pressed, or has stopped; it is over by itself after three seconds. */
    sendTypingStatus(conversationId: string, isTyping: boolean): void;
    /** Sends a message, by the socket or, while that is down, by REST. Not repeated by itself when it fails. */
    sendMessage(conversationId: string, content: string, messageType?: string): Promise<Message>;
    /** Marks a conversation as read, up to a message or altogether; returns how many messages that covered. */
    markAsRead(conversationId: string, messageId?: string): Promise<number>;
    /** A page of older messages, ascending: those before a message. */
    loadOlderMessages(conversationId: string, beforeMessageId: string): Promise<Message[]>;
    handleNewMessage({ conversationId, message }: NewMessage): void;
    handleConversationUpdate(data: ConversationUpdate): void;
    handleTypingStatus(data: TypingStatus): void;
    handleMessageRead(data: MessageRead): void;
    /** Polls at once and every thirty seconds, until the socket is back. Calling it again changes nothing. */
    startFallbackPolling(): void;
    stopFallbackPolling(): void;
    /** Ends the connection, timers and requests; listeners stay and are told again after the next `initWebSocket()`. */
    disconnect(): void;
    /** `disconnect()`, and nobody listens any more. */
    destroy(): void;
    /** The end of one's own typing, by conversation. */
    get typingTimeouts(): Map<string, ReturnType<typeof setTimeout>>;
}
