// The client of the native dialect: everything that a thread says, once and in order, however the network fares.

export { RowcastClient, type Events, type Options, type State, type Status } from "./rowcast/client.js";
export type { Changes } from "./rowcast/changes.js";
export type { Off } from "./rowcast/emitter.js";
export { RowcastError, type ErrorCode } from "./rowcast/error.js";
export type { Timing, Way } from "./rowcast/line.js";
export type { Store } from "./rowcast/place.js";
export type { TokenSource } from "./rowcast/token.js";
export type {
  Change,
  Member,
  Message,
  MessageDeleted,
  MessageDelivered,
  MessagesRead,
  MessageUpdated,
  NewMessage,
  Person,
  Presence,
  Thread,
  ThreadJoined,
  ThreadLeft,
  Typing,
} from "./rowcast/wire.js";
