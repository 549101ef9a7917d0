// The line of Server-Sent Events, by `fetch`, which can carry a token in a header and tells the status of a refusal.

import { after } from "./clock.js";
import { asError } from "./error.js";
import { Ending, address, type Line, type Opening, type Told } from "./line.js";
import { refusal } from "./rest.js";
import { MOST_IN_ADDRESS } from "./socket.js";
import { parse } from "./wire.js";

/** The bridge sends a comment every 15 s; who hears nothing for three of them hears nobody. */
const SILENCE = 45_000;

export function openEvents(opening: Opening, told: Told): Line {
  const { timing } = opening;
  const ending = new Ending();
  const controller = new AbortController();
  let heardAt = Date.now();
  const end = (why: Parameters<Ending["end"]>[0], more?: Parameters<Ending["end"]>[1]) => {
    if (!ending.end(why, more)) return;
    stop();
    controller.abort();
  };
  // A proxy that gathers an answer before it passes it on makes a stream that never begins.
  let stop = after(timing.connect, () => end("blocked", { message: "The stream did not begin in time" }));

  const event = (data: string) => {
    const frame = parse(data);
    if (!frame || ending.over) return;
    if (frame.type === "connection_established") {
      ending.established = true;
      told.established();
    }
    if (frame.type === "resync_required") return end("resync");
    told.frame(frame);
  };
  const read = async () => {
    const subscribe = opening.threads.slice(0, MOST_IN_ADDRESS).join(",");
    const headers: Record<string, string> = { accept: "text/event-stream", authorization: `Bearer ${opening.token}` };
    const response = await opening.fetch(address(opening.url, "/api/chat/events", { cursor: opening.cursor, subscribe }), {
      headers,
      cache: "no-store",
      signal: controller.signal,
    });
    if (response.status === 401) return end("unauthorized");
    if (response.status === 403) return end("forbidden", { message: (await refusal(response)).message });
    if (!response.ok || !response.body) {
      const error = await refusal(response);
      const more = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
      return end(response.status >= 500 || response.status === 429 ? "lost" : "blocked", { message: error.message, ...more });
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const take = eventsOf(event);
    while (!ending.over) {
      const { done, value } = await reader.read();
      if (done) break;
      heardAt = Date.now();
      if (ending.established) {
        stop();
        stop = after(SILENCE, () => end("lost", { message: "The stream is silent" }));
      }
      take(decoder.decode(value, { stream: true }));
    }
    end("lost", { message: "The stream ended" });
  };
  read().catch((error: unknown) => end("lost", { message: asError(error).message }));

  return {
    way: "events",
    ended: ending.promise,
    send: () => false,
    check: () => void (Date.now() - heardAt > SILENCE / 2 && end("lost", { message: "The stream may be gone" })),
    renew: () => false,
    close: () => end("closed"),
  };
}

/** Reads a stream's text, in whatever pieces it comes, and gives the data of each event. */
export function eventsOf(event: (data: string) => void): (text: string) => void {
  let rest = "";
  let data: string[] = [];
  return (text) => {
    rest += text;
    // A carriage return at the very end may be half of a line's end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) event(data.join("\n"));
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
  };
}
