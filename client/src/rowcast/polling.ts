// The line of last resort: messages by REST, again and again, exactly from where the last answer ended.

import { asError } from "./error.js";
import { pause } from "./clock.js";
import { Ending, type End, type Line, type Opening, type Told } from "./line.js";
import { type Page, request } from "./rest.js";

/** A time that is not yet: what was committed by now is not wanted, only a cursor. */
const NOT_YET = "9999-01-01T00:00:00Z";
const PAGE = 500;

export function openPolling(opening: Opening, told: Told): Line {
  const { timing } = opening;
  const ending = new Ending();
  const controller = new AbortController();
  let { token, cursor } = opening;
  let wake = () => {};
  const end = (why: End["why"], more?: Parameters<Ending["end"]>[1]) => {
    if (ending.end(why, more)) controller.abort();
  };

  const poll = async () => {
    while (!ending.over) {
      const from = cursor === null ? { last_check_time: NOT_YET, limit: "1" } : { cursor, limit: String(PAGE) };
      const page: Page = await request(opening, token, "GET", "/api/chat/offline-messages", { query: from, signal: controller.signal });
      if (ending.over) return;
      if (!ending.established) {
        ending.established = true;
        told.established();
      }
      cursor = page.cursor;
      told.frame({ type: "clock", timestamp: page.last_check_time });
      told.page(page.messages, page.cursor);
      if (page.has_more) continue;
      // Not all at the same moment, and not so often that it is a burden.
      const rest = pause(timing.poll * (0.75 + Math.random() / 2), controller.signal);
      wake = rest.wake;
      await rest.done;
    }
  };
  poll().catch((cause: unknown) => {
    const error = asError(cause);
    const whys: Record<string, End["why"]> = { unauthorized: "unauthorized", forbidden: "forbidden", resync_required: "resync" };
    const retry = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
    end(whys[error.code] ?? "lost", { message: error.message, ...retry });
  });

  return {
    way: "polling",
    ended: ending.promise,
    send: () => false,
    check: () => wake(),
    renew: (fresh) => {
      token = fresh;
      return true;
    },
    close: () => end("closed"),
  };
}
