import { type Socket } from "socket.io-client";
/** Makes it; it is not connected yet. */
export declare function openSocket(url: string, byToken: boolean): Socket;
/** Asks, and waits for the answer. */
export declare function ask<T>(socket: Socket | null, event: string, data: object): Promise<T>;
