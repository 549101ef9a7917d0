// What the client's tests stand on: clients of the real bridge, tokens, and a proxy that stands in the way as some networks do.

import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";

import { WebSocket } from "ws";

import { RowcastClient } from "../dist/rowcast.js";
import { Inbox, Rowcast } from "../../tests/js/rowcast.js";

export { Inbox, Rowcast };

const SECRET = "a secret of thirty-two characters and more";
/** As the app would have them, but quick. */
export const QUICK = { connect: 5_000, backoff: 50, longestBackoff: 500, poll: 150, probe: 300 };

/** A bridge whose tokens we can make, for as many connections as a test likes. */
export function startBridge() {
  Object.assign(process.env, { ROWCAST_JWT_SECRET: SECRET, ROWCAST_RATE_JOINS: "100000/100000", ROWCAST_RATE_REST: "100000/100000" });
  return Rowcast.start();
}

/** A token of a user that lives so many seconds. */
export function mint(user, seconds, more = {}) {
  const now = Math.floor(Date.now() / 1_000);
  const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user.user_id, role: "authenticated", iat: Math.min(now, now + seconds) - 1, exp: now + seconds, jti: randomUUID(), ...more };
  const open = `${text({ alg: "HS256", typ: "JWT" })}.${text(claims)}`;
  return `${open}.${createHmac("sha256", SECRET).update(open).digest("base64url")}`;
}

/** Waits until something is so. */
export async function until(so, within = 30_000) {
  const end = Date.now() + within;
  while (!(await so())) {
    if (Date.now() > end) throw new Error(`still not so: ${so}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A store in memory, as an app may give one. */
export function memory(kept = new Map()) {
  return { kept, get: (key) => kept.get(key), set: (key, value) => void kept.set(key, value) };
}

/** A client, connected, with all that it tells. */
export function open(url, user, options = {}) {
  const { timing, ...more } = options;
  const client = new RowcastClient({ url, token: user.token, store: null, WebSocket, timing: { ...QUICK, ...timing }, ...more });
  const inbox = new Inbox();
  const changes = new Inbox();
  for (const name of ["status", "typing", "presence", "resync", "error", "token_expiring"]) {
    client.on(name, (event) => inbox.put({ ...event, name, error: name === "error" ? event : undefined }));
  }
  client.on("change", (change) => changes.put(change));
  client.connect();
  const online = (way) => inbox.find((event) => event.name === "status" && event.status === "online" && (!way || event.way === way), 30_000);
  /** Waits for a message; returns it. */
  const message = (id) => changes.find((change) => change.type === "new_message" && change.data.id === id, 30_000);
  const messages = () => changes.all.filter(({ type }) => type === "new_message").map(({ data }) => data.id);
  return { client, inbox, changes, online, message, messages };
}

/** What a thread has after a message, in its order. */
export async function committed(rowcast, thread, first) {
  const sql = `select m.uuid from chat.messages m
    where m.thread_id = chat.thread($1) and m.seq >= (select f.seq from chat.messages f where f.uuid = $2)
    order by m.seq`;
  return (await rowcast.sql(sql, thread, first)).map(({ uuid }) => uuid);
}

/** An HTTP proxy. `sockets`: pass, refuse or hang; `streams`: pass, hold back or cut; `socketIo`: whether that path is let through. */
export class Proxy {
  sockets = "pass";
  streams = "pass";
  socketIo = true;
  #open = new Set();

  static async to(url) {
    const proxy = new Proxy();
    await proxy.#listen(new URL(url));
    return proxy;
  }

  async #listen(target) {
    this.server = createServer((ask, answer) => {
      if (!this.socketIo && ask.url.startsWith("/socket.io")) return void answer.writeHead(403).end();
      const { method, url: path, headers } = ask;
      const onward = request({ host: target.hostname, port: target.port, method, path, headers }, (response) => {
        if (this.streams === "cut" && path.startsWith("/api/chat/events")) return void (onward.destroy(), answer.destroy());
        if (this.streams === "hold" && path.startsWith("/api/chat/events")) return void response.resume();
        answer.writeHead(response.statusCode, response.headers);
        response.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      answer.on("close", () => onward.destroy());
      ask.pipe(onward);
    });
    this.server.on("connection", (socket) => this.#keep(socket));
    this.server.on("upgrade", (ask, socket, head) => {
      if (this.sockets === "hang") return;
      if (this.sockets === "refuse" || (!this.socketIo && ask.url.startsWith("/socket.io"))) {
        return void socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      }
      const onward = this.#keep(connect(Number(target.port), target.hostname));
      const lines = Object.entries(ask.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      onward.write(`GET ${ask.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
      socket.on("close", () => onward.destroy());
      onward.on("close", () => socket.destroy());
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  #keep(socket) {
    this.#open.add(socket);
    socket.on("close", () => this.#open.delete(socket));
    socket.on("error", () => {});
    return socket;
  }

  /** Breaks every connection, as a change of networks does. */
  cut() {
    for (const socket of this.#open) socket.destroy();
  }

  async close() {
    this.server.close();
    this.cut();
  }
}
