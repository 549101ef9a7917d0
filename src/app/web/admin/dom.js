// Small helpers for elements. Data only ever becomes text.

export const $ = (id) => document.getElementById(id);

/** Makes an element; strings among the children become text, null is left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text where it is another one: what is not news is not announced. */
export function say(element, text, state) {
  if (element.textContent !== text) element.textContent = text;
  if (state !== undefined && element.dataset.state !== state) element.dataset.state = state;
  element.hidden = text === "";
}

/** Calls `then` a moment after the last call. */
export function soon(then, wait = 250) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(then, wait);
  };
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const count = (number) => whole.format(Math.round(number));
export const rate = (number) => (number >= 100 ? count(number) : short.format(number));
export const time = (instant) => clock.format(new Date(instant));

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return `${short.format(value * 1e6)} µs`;
  if (value < 1) return `${short.format(value * 1e3)} ms`;
  return `${short.format(value)} s`;
}

/** How long something lasts, roughly. */
export function span(value) {
  if (value < 1) return "now";
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const [name, size] = units.find(([, size]) => value >= size);
  return `${Math.floor(value / size)} ${name}`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${short.format(value)} ${units[unit]}`;
}
