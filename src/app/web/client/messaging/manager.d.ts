import type { ConnectionStatus, MessageRead, TypingStatus } from "./wire.js";
export declare class MessagingManager {
    #private;
    /** Who is typing, by conversation. */
    readonly typingUsers: Map<string, Set<string>>;
    /** The indicator, once there was something to say. */
    connectionStatusElement: HTMLElement | null;
    /** The manager of a page's events; made again it is the same one, until it is destroyed. */
    constructor(target?: EventTarget | null);
    handleTypingStatus({ conversationId, userId, isTyping }: TypingStatus): void;
    handleReadReceipt({ conversationId, messageId, userId }: MessageRead): void;
    handleConnectionStatus({ status }: Pick<ConnectionStatus, "status">): void;
    /** Shows how the connection fares, in a corner of the page. */
    updateConnectionIndicator(status: "online" | "offline"): void;
    getTypingUsers(conversationId: string): string[];
    /** Whether anyone is typing. */
    isTyping(conversationId: string): boolean;
    /** Makes a hidden typing indicator in a container (an element, or a selector); null where that is not there. */
    createTypingIndicator(container: string | Element): HTMLElement | null;
    showTypingIndicator(indicator: HTMLElement | null, name?: string): void;
    hideTypingIndicator(indicator: HTMLElement | null): void;
    /** Stops listening and takes away what was drawn. */
    destroy(): void;
}
