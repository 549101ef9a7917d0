// A Phoenix client of version 2 that hides nothing: what it sends and gets are the frames.

import { once } from "node:events";

import WebSocket from "ws";

import { Inbox } from "./rowcast.js";

export class Phoenix {
  /** Every frame: {joinRef, ref, topic, event, payload, text}. */
  inbox = new Inbox();
  #socket;
  #ref = 0;

  /** Connects with a key or token. */
  static async connect(rowcast, key) {
    const client = new Phoenix();
    const url = `${rowcast.http.replace("http", "ws")}/realtime/v1/websocket?vsn=2.0.0&apikey=${encodeURIComponent(key)}`;
    client.#socket = new WebSocket(url);
    client.#socket.on("message", (data, isBinary) => client.#take(data, isBinary));
    client.#socket.on("close", (code) => client.inbox.put({ event: "closed", code, text: "" }));
    client.#socket.on("error", () => {});
    await once(client.#socket, "open");
    return client;
  }

  #take(data, isBinary) {
    if (isBinary) return this.inbox.put({ event: "binary", text: String(data) });
    const text = String(data);
    const [joinRef, ref, topic, event, payload] = JSON.parse(text);
    return this.inbox.put({ joinRef, ref, topic, event, payload, text });
  }

  /** Sends whatever it is. */
  raw(frame) {
    this.#socket.send(frame);
  }

  /** Sends a push and returns its ref. */
  push(topic, event, payload) {
    const ref = String(++this.#ref);
    this.raw(JSON.stringify(["1", ref, topic, event, payload]));
    return ref;
  }

  /** Sends a push and waits for the payload of its reply. */
  async ask(topic, event, payload, within) {
    const ref = this.push(topic, event, payload);
    const reply = await this.inbox.find((frame) => frame.event === "phx_reply" && frame.ref === ref, within);
    return reply.payload;
  }

  /** Joins a channel that asks for changes. */
  join(name, wishes, { token, options, ...config } = {}) {
    const postgres = { postgres_changes: wishes, postgres_changes_options: options };
    return this.ask(`realtime:${name}`, "phx_join", { config: { ...postgres, ...config }, access_token: token });
  }

  /** Joins, and waits until changes come, or until it is told why not: the `system` message. */
  async follow(name, wishes, options) {
    const reply = await this.join(name, wishes, options);
    if (reply.status !== "ok") throw new Error(JSON.stringify(reply));
    return this.system(name, ({ extension, message }) => extension === "postgres_changes" && message !== "Cursor");
  }

  /** The first `system` message of a channel that fits. */
  async system(name, fits, within) {
    const found = ({ event, topic, payload }) => event === "system" && topic === `realtime:${name}` && fits(payload);
    return (await this.inbox.find(found, within)).payload;
  }

  /** The changes that a channel got, in their order. */
  changes(name) {
    const of = ({ event, topic }) => event === "postgres_changes" && topic === `realtime:${name}`;
    return this.inbox.all.filter(of).map(({ payload }) => payload.data);
  }

  /** The first change of a channel that fits. */
  async change(name, fits, within) {
    const found = ({ event, topic, payload }) => event === "postgres_changes" && topic === `realtime:${name}` && fits(payload.data);
    return (await this.inbox.find(found, within)).payload.data;
  }

  /** Shows that all that was on its way before has come. */
  async settled() {
    const reply = await this.ask("phoenix", "heartbeat", {});
    return reply.status;
  }

  /** All text that it ever got. */
  get text() {
    return this.inbox.all.map(({ text }) => text).join("\n");
  }

  /** Waits until the bridge has ended it. */
  closed() {
    return this.inbox.find(({ event }) => event === "closed");
  }

  /** Ends without a word. */
  close() {
    this.#socket.terminate();
  }
}
