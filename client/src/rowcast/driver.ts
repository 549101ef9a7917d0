// The loop that keeps a line to the bridge: back-off outside, one line's life inside, and what was missed before what is new.

import { after, backoff, pause } from "./clock.js";
import { RowcastError, asError } from "./error.js";
import { openEvents } from "./events.js";
import type { End, Line, Opening, Timing, Told, Way } from "./line.js";
import { Place, type Store } from "./place.js";
import { openPolling } from "./polling.js";
import { type Asked, type Page, request } from "./rest.js";
import { openSocket, probeSocket } from "./socket.js";
import { Tokens, type TokenSource, subjectOf } from "./token.js";
import { onWake } from "./wake.js";
import { type Change, type Frame, isChange } from "./wire.js";

const OPEN = { socket: openSocket, events: openEvents, polling: openPolling };
/** A line that lasted so long was a good one. */
const STEADY = 5_000;
/** Patience with a network that is said to be gone. */
const GONE = 2_000;
/** Messages on a page of what was missed. */
const PAGE = 1_000;

/** What the driver works with. */
export interface Gear {
  url: string;
  token: TokenSource;
  ways: Way[];
  store: Store | null;
  storeKey: string | null;
  since: string | null;
  timing: Timing;
  fetch: typeof fetch;
  WebSocket: typeof WebSocket | undefined;
}

/** Whom the driver tells. */
export interface Rider {
  /** The threads whose every event is wanted. */
  threads(): string[];
  connecting(): void;
  established(way: Way): void;
  offline(retryInMs: number, reason: string): void;
  /** The end, for this reason. */
  finished(error: RowcastError): void;
  change(change: Change): void;
  frame(frame: Frame): void;
  resync(reason: string): void;
  expiring(endsAt: Date): void;
  failed(error: RowcastError): void;
}

export class Driver {
  readonly #gear: Gear;
  readonly #rider: Rider;
  readonly #tokens: Tokens;
  readonly #place: Place;
  readonly #stopping = new AbortController();
  readonly #unwatch: () => void;
  #line: Line | null = null;
  #established = false;
  #wake = () => {};
  /** Fetched from this time on, before the next line. */
  #from: string | null = null;
  #loaded = false;
  /** The socket gets through again. */
  #unblocked = false;
  /** The bridge did not take a fresh token. */
  #refused = false;
  #movedAt = Date.now();
  /** The ways that have worked. */
  readonly #worked = new Set<Way>();

  constructor(gear: Gear, rider: Rider) {
    this.#gear = gear;
    this.#rider = rider;
    this.#tokens = new Tokens(gear.token);
    this.#place = new Place(gear.store);
    this.#unwatch = onWake((gone) => this.wake(gone));
    void this.#run();
  }

  /** The way that works now. */
  get way(): Way | null {
    return this.#established ? (this.#line?.way ?? null) : null;
  }

  get cursor(): string | null {
    return this.#place.pollFrom;
  }

  send(frame: object): boolean {
    return this.#established && (this.#line?.send(frame) ?? false);
  }

  /** A new line of the same kind, at once. */
  reopen(): void {
    if (this.#established) this.#line?.close();
  }

  /** Looks at once whether the bridge is there; with less patience where the network is said to be gone. */
  wake(gone = false): void {
    this.#wake();
    const { pong } = this.#gear.timing;
    this.#line?.check(gone ? Math.min(pong, GONE) : pong);
  }

  stop(): void {
    this.#stopping.abort();
    this.#unwatch();
    this.#tokens.close();
    this.#line?.close();
  }

  /** One request; a token that is refused is exchanged once. */
  async call<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
    const token = await this.#tokens.get();
    try {
      return await request<T>(this.#gear, token, method, path, asked);
    } catch (error) {
      if (asError(error).code !== "unauthorized" || !this.#tokens.renewable) throw error;
      return request<T>(this.#gear, await this.#tokens.renew(true), method, path, asked);
    }
  }

  async #run(): Promise<void> {
    // Whoever makes a driver has it before it tells anything.
    await null;
    const { ways, timing } = this.#gear;
    const { signal } = this.#stopping;
    let way = 0;
    let failures = 0;
    let blocked = 0;
    let refusals = 0;
    while (!signal.aborted) {
      const began = Date.now();
      const end = await this.#life(ways[way] ?? "polling").catch(endOf);
      if (signal.aborted) return;
      let { why } = end;
      // A line that is cut as soon as it is there is no success: coming back at once each time would be a burden.
      if (end.established && Date.now() - began >= STEADY) failures = blocked = refusals = 0;
      if (why === "lost" && !end.established) {
        // Nobody says why a socket did not open, or a stream broke off; an ordinary request tells whether the bridge is there.
        if (ways[way] !== "polling" && end.retryAfterMs === undefined) {
          const found = await this.#diagnose();
          if (signal.aborted) return;
          why = found.why;
          end.message = found.message ?? end.message ?? "";
          if (found.retryAfterMs !== undefined) end.retryAfterMs = found.retryAfterMs;
        }
        if (why === "lost") way = 0;
      }
      const forward = way;
      switch (why) {
        case "closed":
          if (this.#unblocked) [way, this.#unblocked] = [0, false];
          continue;
        case "forbidden":
          return this.#finish(new RowcastError("forbidden", end.message || "This account may not connect"));
        case "unauthorized":
          if (!this.#tokens.renewable || end.message === SIGNED_OUT) {
            return this.#finish(new RowcastError("unauthorized", end.message || "The token is not accepted"));
          }
          this.#refused = true;
          if (refusals++ === 0) continue;
          break;
        case "resync":
          this.#lose();
          if (failures++ === 0) continue;
          break;
        case "blocked":
          // Once may be a bridge that has just come back.
          if (++blocked >= (this.#worked.has(ways[way] ?? "socket") ? 2 : 1)) way = (way + 1) % ways.length;
          if (way > forward) {
            blocked = 0;
            continue;
          }
          break;
        case "lost":
      }
      const wait = Math.max(backoff(failures++, timing.backoff, timing.longestBackoff), end.retryAfterMs ?? 0);
      this.#rider.offline(wait, end.message ?? "");
      const { done, wake } = pause(wait, signal);
      this.#wake = wake;
      await done;
      this.#wake = () => {};
    }
  }

  /** One line's life, and before it what it takes. */
  async #life(way: Way): Promise<End> {
    if (!this.#established) this.#rider.connecting();
    const token = await (this.#refused ? this.#tokens.renew(true) : this.#tokens.get());
    this.#refused = false;
    if (!this.#loaded) {
      await this.#place.load(this.#gear.storeKey ?? `rowcast:${this.#gear.url}:${subjectOf(token)}`);
      this.#loaded = true;
      if (this.#place.pollFrom === null) this.#from = this.#gear.since;
    }
    if (this.#from !== null) await this.#fetchFrom(token, this.#from);
    if (this.#stopping.signal.aborted) return { why: "closed", established: false };

    const { url, timing, fetch, WebSocket } = this.#gear;
    const cursor = way === "polling" ? this.#place.pollFrom : this.#place.cursor;
    const opening: Opening = { url, token, cursor, threads: this.#rider.threads(), timing, fetch, WebSocket };
    const line = OPEN[way](opening, this.#told(way));
    this.#line = line;
    this.#watchToken();
    const stopLooking = way !== "socket" && this.#gear.ways.includes("socket") ? this.#look(opening, line) : () => {};
    const stopRefreshing = way === "socket" ? this.#refresh(line) : () => {};
    const end = await line.ended;
    stopLooking();
    stopRefreshing();
    this.#line = null;
    // A line that we exchange for another one is no interruption.
    if (end.why !== "closed") this.#established = false;
    if (end.why === "closed" && this.#refused) return { ...end, why: "unauthorized" };
    return end;
  }

  #told(way: Way): Told {
    return {
      established: () => {
        this.#established = true;
        this.#worked.add(way);
        this.#rider.established(way);
      },
      frame: (frame) => this.#hear(frame),
      page: (messages, cursor) => {
        const fresh = messages.filter(({ id }) => this.#place.tell(id));
        for (const data of fresh) this.#rider.change({ type: "new_message", data, cursor });
        const ids = fresh.map(({ id }) => id);
        if (!this.#place.poll(ids, cursor)) this.#rider.resync("Polling went on for so long that edits and deletions may be missing");
      },
    };
  }

  #hear(frame: Frame): void {
    if (isChange(frame)) {
      this.#movedAt = Date.now();
      if (frame.type !== "new_message" || this.#place.tell(frame.data.id)) this.#rider.change(frame);
      this.#place.advance(frame.cursor);
      return;
    }
    if (frame.type === "connection_established" || frame.type === "clock") this.#place.clock(frame["timestamp"]);
    if (frame.type === "connection_established" && this.#place.cursor === null && frame.cursor) {
      this.#place.advance(frame.cursor);
    }
    if (frame.type === "resumed" && frame.cursor) {
      this.#movedAt = Date.now();
      this.#place.settle();
      this.#place.advance(frame.cursor);
    }
    if (frame.type === "token_expiring") this.#renew(new Date());
    if (frame.type === "error" && frame.ref === "token") {
      this.#refused = true;
      this.#line?.close();
      return;
    }
    this.#rider.frame(frame);
  }

  #watchToken(): void {
    this.#tokens.watch((endsAt) => this.#renew(endsAt));
  }

  #renew(endsAt: Date): void {
    this.#rider.expiring(endsAt);
    if (!this.#tokens.renewable) return;
    this.#tokens.renew(false).then(
      (token) => {
        if (this.#stopping.signal.aborted) return;
        this.#watchToken();
        if (this.#line && !this.#line.renew(token)) this.#line.close();
      },
      (error: unknown) => this.#rider.failed(asError(error)),
    );
  }

  /** Looks from time to time whether sockets get through again. */
  #look(opening: Opening, line: Line): () => void {
    let stop = () => {};
    const later = () => {
      stop = after(opening.timing.probe, () => {
        const found = () => {
          this.#unblocked = true;
          line.close();
        };
        const probe = probeSocket(opening, found);
        stop = probe.close;
        void probe.ended.then((end) => end.why !== "closed" && later());
      });
    };
    later();
    return () => stop();
  }

  /** Exchanges a cursor that does not move, because nothing happens, for a younger one. */
  #refresh(line: Line): () => void {
    const { refresh } = this.#gear.timing;
    const timer = setInterval(() => {
      const cursor = this.#place.cursor;
      if (cursor && Date.now() - this.#movedAt >= refresh) line.send({ type: "resume", cursor });
    }, refresh);
    return () => clearInterval(timer);
  }

  /** The cursor is too old, or of another history: goes on from the time until when all was had. */
  #lose(): void {
    this.#from = this.#place.at;
    this.#place.cursor = null;
    this.#place.settle();
    this.#rider.resync("The cursor was too old: messages are fetched by time, other changes may be missing");
  }

  async #fetchFrom(token: string, since: string): Promise<void> {
    const { signal } = this.#stopping;
    const path = "/api/chat/offline-messages";
    let query: Record<string, string> = { last_check_time: since, limit: String(PAGE) };
    for (;;) {
      const page = await request<Page>(this.#gear, token, "GET", path, { query, signal });
      for (const data of page.messages) {
        if (this.#place.tell(data.id)) this.#rider.change({ type: "new_message", data, cursor: page.cursor });
      }
      if (!page.has_more) {
        this.#from = null;
        this.#place.clock(page.last_check_time);
        return this.#place.restart(page.cursor);
      }
      query = { cursor: page.cursor, limit: String(PAGE) };
    }
  }

  /** Whether the bridge answers where its socket does not. */
  async #diagnose(): Promise<End> {
    try {
      const token = await this.#tokens.get();
      await request(this.#gear, token, "GET", "/api/chat/unread-count", { signal: this.#stopping.signal });
      return { why: "blocked", established: false };
    } catch (error) {
      return endOf(error);
    }
  }

  #finish(error: RowcastError): void {
    this.stop();
    this.#rider.finished(error);
  }
}

/** What a token source says that has none. */
const SIGNED_OUT = "There is no token: nobody is signed in";

function endOf(cause: unknown): End {
  const error = asError(cause);
  const why: End["why"] = error.code === "unauthorized" || error.code === "forbidden" ? (error.code as End["why"]) : "lost";
  const retry = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
  return { why, established: false, message: error.message, ...retry };
}
