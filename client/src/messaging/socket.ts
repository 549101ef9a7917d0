// The Socket.IO connection, and questions that it answers.

import { type Socket, io } from "socket.io-client";

import { MessagingError } from "./wire.js";

/** An answer comes within this. */
const ACK_WITHIN = 10_000;

/** Makes it; it is not connected yet. */
export function openSocket(url: string, byToken: boolean): Socket {
  return io(url, {
    // A cookie says by itself who we are, so the dialect has to be said, too; the event `auth` says both.
    ...(byToken ? {} : { query: { dialect: "conversations" }, withCredentials: true }),
    autoConnect: false,
    // Each system has a connection of its own, which ends with it.
    forceNew: true,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 1_000,
    reconnectionDelayMax: 30_000,
    randomizationFactor: 0.5,
  });
}

/** Asks, and waits for the answer. */
export async function ask<T>(socket: Socket | null, event: string, data: object): Promise<T> {
  if (!socket) throw new MessagingError("There is no connection");
  const answer = (await socket
    .timeout(ACK_WITHIN)
    .emitWithAck(event, data)
    .catch(() => {
      throw new MessagingError("There was no answer in time");
    })) as T & { error?: string; code?: number };
  if (answer.error !== undefined) throw new MessagingError(answer.error, answer.code);
  return answer;
}
