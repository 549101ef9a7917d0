// What the bridge says in the `conversations` dialect.

/** A message. Its content is text, whatever it looks like. */
export interface Message {
  id: string;
  conversationId: string;
  /** Null when the system speaks. */
  senderId: string | null;
  content: string;
  messageType: string;
  /** RFC 3339 in UTC. */
  createdAt: string;
  isRead: boolean;
}

/** A conversation in the list. */
export interface Conversation {
  id: string;
  kind: string;
  name: string | null;
  participants: { id: string; username: string; fullName: string | null; role: string | null }[];
  lastMessage: Message | null;
  unreadCount: number;
  updatedAt: string;
}

export interface NewMessage {
  conversationId: string;
  message: Message;
}

export interface ConversationUpdate {
  conversationId: string;
  lastMessage: Message | null;
  updatedAt: string;
  unreadCount: number;
}

export interface TypingStatus {
  conversationId: string;
  userId: string;
  isTyping: boolean;
}

export interface MessageRead {
  conversationId: string;
  /** The last one that was read. */
  messageId: string;
  userId: string;
}

export interface ConnectionStatus {
  status: "online" | "offline";
  timestamp: Date;
}

export interface TypingUpdate {
  conversationId: string;
  typingUserIds: string[];
  isTyping: boolean;
}

/** The DOM events, by name. Each is a `CustomEvent` on `window`. */
export interface MessagingEvents {
  "messaging:connection": CustomEvent<ConnectionStatus>;
  "messaging:typing": CustomEvent<TypingStatus>;
  "messaging:read": CustomEvent<MessageRead>;
  "messagingManager:typingUpdate": CustomEvent<TypingUpdate>;
  "messagingManager:readReceipt": CustomEvent<MessageRead>;
}

declare global {
  interface WindowEventMap extends MessagingEvents {}
}

/** A refusal, with the bridge's own words. */
export class MessagingError extends Error {
  override readonly name = "MessagingError";
  /** The HTTP status; 0 where there was no answer. */
  readonly code: number;

  constructor(message: string, code = 0) {
    super(message);
    this.code = code;
  }
}
