import { MessagingManager } from "./messaging/manager.js";
import { MessagingSystem } from "./messaging/system.js";
export { MessagingManager, MessagingSystem };
export { escapeHtml, type ToastKind } from "./messaging/page.js";
export type { MessagingOptions } from "./messaging/options.js";
export type { ConversationsCallback, MessagesCallback } from "./messaging/system.js";
export { type ConnectionStatus, type Conversation, type ConversationUpdate, type Message, type MessageRead, MessagingError, type MessagingEvents, type NewMessage, type TypingStatus, type TypingUpdate, } from "./messaging/wire.js";
/** The page's own system; it does nothing until somebody listens. */
export declare const messagingSystem: MessagingSystem;
/** The page's own manager. */
export declare const messagingManager: MessagingManager;
export default messagingSystem;
