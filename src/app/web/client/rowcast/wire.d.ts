/** Who wrote a message. */
export interface Person {
    full_name: string | null;
    role: string | null;
}
/** A message. Its content is text, whatever it looks like. */
export interface Message {
    id: string;
    thread_id: string;
    /** Null when the system speaks. */
    sender_id: string | null;
    content: string;
    message_type: string;
    /** RFC 3339 in UTC, to the microsecond. */
    created_at: string;
    sender: Person | null;
    edited_at?: string;
    attachments?: unknown[];
}
/** A thread in the list. */
export interface Thread {
    id: string;
    kind: string;
    name: string | null;
    unread_count: number;
    last_message: Message | null;
    updated_at: string;
    members: Member[];
}
/** Who is in a thread, and how far messages have got with them. */
export interface Member {
    user_id: string;
    full_name: string | null;
    role: string | null;
    username: string;
    /** The last message that they have read, and that has reached one of their devices; null: none. */
    read_up_to_message_id: string | null;
    delivered_up_to_message_id: string | null;
}
export interface NewMessage {
    type: "new_message";
    data: Message;
    cursor: string;
}
export interface MessageUpdated {
    type: "message_updated";
    data: Message;
    cursor: string;
}
export interface MessageDeleted {
    type: "message_deleted";
    thread_id: string;
    message_id: string;
    cursor: string;
}
export interface MessagesRead {
    type: "messages_read";
    thread_id: string;
    reader_id: string;
    up_to_message_id: string | null;
    count: number;
    read_at: string | null;
    cursor: string;
}
export interface MessageDelivered {
    type: "message_delivered";
    thread_id: string;
    user_id: string;
    up_to_message_id: string | null;
    delivered_at: string | null;
    cursor: string;
}
export interface ThreadJoined {
    type: "thread_joined";
    thread_id: string;
    user_id: string;
    cursor: string;
}
export interface ThreadLeft {
    type: "thread_left";
    thread_id: string;
    user_id: string;
    cursor: string;
}
/** What a committed row caused: it comes once, in order, however the connection fared. */
export type Change = NewMessage | MessageUpdated | MessageDeleted | MessagesRead | MessageDelivered | ThreadJoined | ThreadLeft;
/** Somebody types, or stopped. Said, not stored: it is not caught up on. */
export interface Typing {
    type: "typing";
    thread_id: string;
    user_id: string;
    is_typing: boolean;
}
export interface Presence {
    type: "presence";
    user_id: string;
    status: "online" | "away" | "offline";
    last_seen: string | null;
}
/** Any frame, before it is known which. */
export interface Frame {
    type: string;
    ref?: unknown;
    cursor?: string;
    [field: string]: unknown;
}
/** Whether a frame tells of a row. */
export declare const isChange: (frame: object) => frame is Change;
/** Reads a frame; null for what is none. */
export declare function parse(text: string): Frame | null;
