// Clients that come and go for as long as the soak lasts, each by its dialect's own library or protocol.

import { once } from "node:events";

import { io } from "socket.io-client";
import WebSocket from "ws";

const pause = (least, most) => new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)));

/** What all of them count: messages that came, one that was missing, one that came again; and how long each took. */
export class Count {
  visits = 0;
  delivered = 0;
  lost = 0;
  twice = 0;
  errors = 0;
  delays = [];

  /** Takes a message's content, "soak <number> <written at>"; returns its number, or none for somebody else's. */
  take(content) {
    const [, number, at] = /^soak (\d+) (\d+)$/.exec(content ?? "") ?? [];
    if (!number) return undefined;
    this.delivered += 1;
    this.delays.push(Date.now() - Number(at));
    return Number(number);
  }

  /** Holds the numbers of one client, which come one after the other, against the last that it had; returns the new last. */
  follow(last, number) {
    if (last !== undefined && number <= last) this.twice += 1;
    if (last !== undefined && number > last + 1) this.lost += number - last - 1;
    return Math.max(number, last ?? 0);
  }
}

/** Native WebSocket, back by its cursor. */
export async function socket(rowcast, user, count, stopped) {
  let cursor, last;
  while (!stopped()) {
    const query = cursor ? `&cursor=${cursor}` : "";
    const ws = new WebSocket(`${rowcast.http.replace("http", "ws")}/ws?token=${user.token}${query}`);
    ws.on("error", () => (count.errors += 1));
    ws.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.type === "resync_required") count.lost += 1;
      if (frame.type === "new_message") {
        const number = count.take(frame.data.content);
        if (number !== undefined) last = count.follow(last, number);
      }
      cursor = frame.type === "connection_established" ? (cursor ?? frame.cursor) : (frame.cursor ?? cursor);
    });
    count.visits += 1;
    await pause(2_000, 60_000);
    const closed = once(ws, "close");
    // Half of them vanish as a phone in a tunnel does.
    if (Math.random() < 0.5) ws.close();
    else ws.terminate();
    await closed;
    await pause(0, 3_000);
  }
}

/** Server-Sent Events, back by Last-Event-ID. */
export async function stream(rowcast, user, count, stopped) {
  let cursor, last;
  while (!stopped()) {
    const leaving = new AbortController();
    const stay = setTimeout(() => leaving.abort(), 2_000 + Math.random() * 60_000);
    count.visits += 1;
    try {
      const headers = { authorization: `Bearer ${user.token}`, ...(cursor && { "last-event-id": cursor }) };
      const answer = await fetch(`${rowcast.http}/api/chat/events`, { headers, signal: leaving.signal });
      let text = "";
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          const frame = data && JSON.parse(data);
          if (frame?.type === "new_message") {
            const number = count.take(frame.data.content);
            if (number !== undefined) last = count.follow(last, number);
          }
          cursor = /^id: ?(.*)$/m.exec(event)?.[1] ?? cursor;
        }
      }
    } catch (error) {
      if (!leaving.signal.aborted) count.errors += 1;
    }
    clearTimeout(stay);
    await pause(0, 3_000);
  }
}

/** Socket.IO, as `conversations` and `direct` clients are: no cursor, so that only what comes is counted. */
export async function socketIo(rowcast, user, count, stopped, transports) {
  while (!stopped()) {
    const client = io(rowcast.http, { transports, auth: { token: user.token }, reconnection: false, forceNew: true });
    client.on("connect_error", () => (count.errors += 1));
    client.onAny((event, payload) => event === "new_message" && count.take(payload?.message?.content ?? payload?.content));
    count.visits += 1;
    await pause(2_000, 40_000);
    client.disconnect();
    await pause(0, 3_000);
  }
}

/** Polls that wait. */
export async function poll(rowcast, user, count, stopped) {
  let cursor = new Date().toISOString();
  let name = "last_check_time";
  let last;
  while (!stopped()) {
    const query = new URLSearchParams({ [name]: cursor, limit: "200" });
    const answer = await fetch(`${rowcast.http}/api/chat/offline-messages?${query}`, { headers: { authorization: `Bearer ${user.token}` } });
    count.visits += 1;
    if (answer.ok) {
      const { data } = await answer.json();
      for (const message of data.messages) {
        const number = count.take(message.content);
        // The first answer goes by a time, which may repeat.
        if (number !== undefined) last = name === "cursor" ? count.follow(last, number) : number;
      }
      [name, cursor] = ["cursor", data.cursor];
    } else {
      count.errors += 1;
      await answer.arrayBuffer();
    }
    await pause(1_000, 5_000);
  }
}
