// Clients: unmodified supabase-js, each with its wire, and a memory of all that came.

import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

import { Inbox } from "../rowcast.js";
import { keyOf, token } from "./world.js";
import { Wire } from "./wire.js";

const SOON = [100, 200, 500];

/**
 * One client. `how` is what its application does about gaps:
 * - `held`: keeps a cursor, and applies changes when the cursor that covers them has come;
 * - `raw`: keeps a cursor, and applies changes as they come;
 * - `since`: keeps the latest commit_timestamp;
 * - `plain`: nothing.
 */
export class Client {
  /** What the application has applied: {key, row, visit, at}. */
  applied = [];
  /** Times between a SUBSCRIBED and the loss of it: {from, until, held}. */
  visits = [];
  /** What it was told to be wrong. */
  errors = [];
  /** When it knew where it stands: what is written after that is due. */
  since = Infinity;
  #seen = new Set();
  #held = [];
  #statuses = new Inbox();
  #wire;
  #supabase;
  #options;
  #stopped = false;

  constructor({ name, how, bearer, wishes, vsn }) {
    Object.assign(this, { name, how, bearer, wishes, vsn });
  }

  async start(rowcast, changed) {
    this.#wire = await Wire.open(rowcast);
    if (this.#stopped) return;
    this.changed = changed;
    const bearer = this.bearer;
    this.#supabase = createClient(this.#wire.url, token({ role: "anon" }), {
      accessToken: async () => bearer,
      // Node's own WebSocket never closes when it could not connect, and then the library does not try again.
      realtime: { transport: WebSocket, vsn: this.vsn, reconnectAfterMs: (tries) => SOON[tries - 1] ?? 1_000, timeout: 30_000 },
    });
    // Without this the first join may go out before the token is known.
    await this.#supabase.realtime.setAuth();
    this.#options = { held: { wait: true, cursor: null }, raw: { wait: true, cursor: null }, since: { wait: true, since: Date.now() } }[this.how];
    if (this.how === "since") this.since = this.#options.since;
    const channel = this.#supabase.channel(this.name, { config: { postgres_changes_options: this.#options } });
    for (const { matches, ...wish } of this.wishes) {
      channel.on("postgres_changes", wish, (change) => this.#change(change));
    }
    channel.on("system", {}, (system) => this.#system(system));
    channel.subscribe((status) => this.#status(status));
    await this.#statuses.find((status) => status === "SUBSCRIBED", 60_000);
    if (this.#options && "cursor" in this.#options) await this.#statuses.find((status) => status === "Cursor", 60_000);
  }

  #status(status) {
    const visit = this.visits.at(-1);
    if (status === "SUBSCRIBED") {
      this.#held = [];
      this.visits.push({ from: Date.now(), until: Infinity, fresh: new Set() });
      if (this.how === "plain") this.since = Math.min(this.since, Date.now());
    } else if (visit) {
      visit.until = Math.min(visit.until, Date.now());
    }
    this.#statuses.put(status);
  }

  #system({ extension, status, message, cursor }) {
    if (status !== "ok") this.errors.push(`${extension}: ${message}`);
    if (message !== "Cursor") return;
    this.#options.cursor = cursor;
    this.since = Math.min(this.since, Date.now());
    const held = this.#held.splice(0);
    if (this.how === "held") held.forEach((change) => this.#apply(change));
    // What came since the last cursor may come again after this; before it, nothing may.
    this.visits.at(-1)?.fresh.clear();
    this.#statuses.put("Cursor");
  }

  #change(change) {
    if (change.errors) this.errors.push(JSON.stringify(change.errors));
    const row = change.eventType === "DELETE" ? change.old : change.new;
    const key = keyOf(change.table, change.eventType, row.id, row.version);
    const got = { key, row: `${change.table} ${row.id}`, visit: this.visits.length, at: Date.now(), change };
    if (this.how === "since") this.#options.since = later(this.#options.since, change.commit_timestamp);
    if (this.how === "held") this.#held.push(got);
    else this.#apply(got);
    this.visits.at(-1)?.fresh.add(key);
  }

  #apply(got) {
    // What came after the last cursor of an earlier visit may come once more.
    got.young = this.visits.slice(0, -1).some((visit) => visit.fresh.delete(got.key));
    this.applied.push(got);
    this.#seen.add(got.key);
    this.changed();
  }

  has(key) {
    return this.#seen.has(key);
  }

  /** Whether a committed change is for it. */
  wants(change) {
    return this.wishes.some(({ event, table, matches }) => table === change.table && (event === "*" || event === change.op) && matches(change));
  }

  cut() {
    this.#wire.cut();
  }

  async stop() {
    this.#stopped = true;
    await this.#supabase?.removeAllChannels();
    await this.#wire?.close();
  }
}

/** The later of a time in milliseconds or as text, and a text. */
const later = (time, text) => (new Date(time) > new Date(text) ? time : text);
