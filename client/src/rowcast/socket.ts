// The WebSocket line: one connection's life, with a sign of life asked for when it is silent.

import { after } from "./clock.js";
import { Ending, address, type Line, type Opening, type Told } from "./line.js";
import { parse } from "./wire.js";

/** Threads in the address; more are subscribed to by frames. */
export const MOST_IN_ADDRESS = 100;
const UNAUTHENTICATED = 4401;
const DEACTIVATED = 4403;
const RATE_LIMITED = 4429;
const RATE_LIMIT_PAUSE = 5_000;

export function openSocket(opening: Opening, told: Told): Line {
  const { timing, WebSocket } = opening;
  const ending = new Ending();
  const threads = opening.threads.slice(0, MOST_IN_ADDRESS).join(",");
  const query = { token: opening.token, cursor: opening.cursor, subscribe: threads };
  let stop = () => {};
  let socket: WebSocket | null = null;

  const end = (why: Parameters<Ending["end"]>[0], more?: Parameters<Ending["end"]>[1]) => {
    if (!ending.end(why, more)) return;
    stop();
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    // Some tell of an error when they are closed early; nobody wants to know.
    socket.onerror = () => {};
    socket.close();
    socket = null;
  };
  const send = (frame: object) => {
    if (socket?.readyState !== 1) return false;
    socket.send(JSON.stringify(frame));
    return true;
  };
  const check = (within = timing.pong) => {
    if (!ending.established) return;
    if (!send({ type: "ping" })) return end("lost");
    stop();
    stop = after(within, () => end("lost", { message: "The bridge gave no sign of life" }));
  };
  const heard = () => {
    stop();
    stop = after(timing.ping, check);
  };

  if (!WebSocket) {
    end("blocked", { message: "There is no WebSocket here" });
  } else {
    stop = after(timing.connect, () => end("lost", { message: "The socket did not open in time" }));
    try {
      socket = new WebSocket(address(opening.url.replace(/^http/, "ws"), "/ws", query));
      socket.onmessage = ({ data }) => {
        const frame = parse(String(data));
        if (!frame || ending.over) return;
        heard();
        if (frame.type === "connection_established") {
          ending.established = true;
          for (const thread of opening.threads.slice(MOST_IN_ADDRESS)) {
            send({ type: "subscribe_thread", thread_id: thread, ref: thread });
          }
          told.established();
        }
        if (frame.type === "resync_required") return end("resync");
        told.frame(frame);
      };
      socket.onclose = ({ code, reason }) => {
        if (code === UNAUTHENTICATED) end("unauthorized", { message: reason });
        else if (code === DEACTIVATED) end("forbidden", { message: reason });
        else if (code === RATE_LIMITED) end("lost", { message: reason, retryAfterMs: RATE_LIMIT_PAUSE });
        else end("lost", { message: reason || `The socket was closed (${code})` });
      };
      // A closing follows and says as much as a page may know.
      socket.onerror = () => {};
    } catch (error) {
      end("blocked", { message: String(error) });
    }
  }
  return {
    way: "socket",
    ended: ending.promise,
    send,
    check: (within) => check(within),
    renew: (token) => send({ type: "authenticate", token, ref: "token" }),
    close: () => end("closed"),
  };
}

/** Whether sockets get through just now: opens one and closes it when the bridge has greeted it. */
export function probeSocket(opening: Opening, found: () => void): Line {
  const line = openSocket({ ...opening, cursor: null, threads: [] }, {
    established: () => {
      line.close();
      found();
    },
    frame: () => {},
    page: () => {},
  });
  return line;
}
