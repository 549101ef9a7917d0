// Times as people say them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const long = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

const isToday = (date) => date.toDateString() === new Date().toDateString();

export const time = (instant) => clock.format(new Date(instant));

/** The day, for the line between days. */
export function day(instant) {
  const date = new Date(instant);
  return isToday(date) ? "Today" : long.format(date);
}

/** The time of today, or else the day. */
export function timeOrDay(instant) {
  const date = new Date(instant);
  return isToday(date) ? clock.format(date) : short.format(date);
}
