// Small helpers for elements. Data only ever becomes text.

/** Makes an element; strings among the children become text, null ones nothing. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** A copy of one of the page's templates. */
export const template = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** One of the page's drawings. */
export function icon(name) {
  const drawing = document.getElementById(`icon-${name}`).cloneNode(true);
  drawing.removeAttribute("id");
  return drawing;
}

/** Words for screen readers only. */
export const unseen = (text) => h("span", { class: "unseen" }, text);

/** Sets a text only where it differs, so that nobody is told it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a fault, or takes it away. */
export function complain(element, text) {
  say(element, text ?? "");
  element.hidden = !text;
}

/**
 * Makes a list's children those of `items`, with as little change as can be: what is there and still looks the same stays.
 * An item is `{key, look, make}`; `look` is a text that differs when the item has to be made again.
 */
export function keep(list, items) {
  const there = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
  let place = list.firstElementChild;
  for (const { key, look, make } of items) {
    let child = there.get(key);
    there.delete(key);
    if (child?.look !== look) {
      const made = make();
      made.dataset.key = key;
      made.look = look;
      if (child === place && child) place = child.nextElementSibling;
      child?.remove();
      child = made;
    }
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const child of there.values()) child.remove();
  if (focused && !list.contains(document.activeElement)) {
    const child = [...list.children].find((one) => one.dataset.key === focused);
    (child?.matches("button") ? child : child?.querySelector("button"))?.focus();
  }
}

/** A disc with initials; the colour follows from the name. */
export function avatar(name) {
  const words = name.trim().split(/\s+/);
  const initials = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "").join("");
  const hue = [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 6;
  return h("span", { class: `avatar hue-${hue}`, "aria-hidden": "true" }, initials.toUpperCase());
}
