// The messaging system of guide 002, on Socket.IO: `import messagingSystem, { MessagingManager } from "./messaging.js"`.

import { MessagingManager } from "./messaging/manager.js";
import { MessagingSystem } from "./messaging/system.js";

export { MessagingManager, MessagingSystem };
export { escapeHtml, type ToastKind } from "./messaging/page.js";
export type { MessagingOptions } from "./messaging/options.js";
export type { ConversationsCallback, MessagesCallback } from "./messaging/system.js";
export {
  type ConnectionStatus,
  type Conversation,
  type ConversationUpdate,
  type Message,
  type MessageRead,
  MessagingError,
  type MessagingEvents,
  type NewMessage,
  type TypingStatus,
  type TypingUpdate,
} from "./messaging/wire.js";

/** The page's own system; it does nothing until somebody listens. */
export const messagingSystem: MessagingSystem = /* @__PURE__ */ new MessagingSystem();

/** The page's own manager. */
export const messagingManager: MessagingManager = /* @__PURE__ */ new MessagingManager();

export default messagingSystem;
