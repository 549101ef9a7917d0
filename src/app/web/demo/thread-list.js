// The list of chats: who, what was said last, when, how much is unread, who is here.

import { avatar, h, keep, unseen } from "./dom.js";
import { timeOrDay } from "./times.js";

/** Draws the list; `open(id)` is called for the one that is chosen. */
export function drawThreads(list, book, open) {
  keep(list, book.inOrder().map((thread) => {
    const view = viewOf(book, thread);
    return { key: thread.id, look: JSON.stringify(view), make: () => row(thread.id, view, open) };
  }));
}

/** Up and down go from chat to chat, as in any list. */
export function walk(list, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const buttons = [...list.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** Whether the other one of two people is here, empty where that is not known; null where there are more. */
export function statusOf(book, thread) {
  const others = book.others(thread);
  if (others.length !== 1) return null;
  return book.hears ? (book.presence.get(others[0].user_id) ?? "offline") : "";
}

function viewOf(book, thread) {
  const { name, unread, last, updatedAt } = thread;
  const typing = [...thread.typing].map((user) => book.name(thread, user).split(" ")[0]);
  return { name, unread, typing: typing.length > 0, last: words(book, thread, last, typing), when: timeOrDay(updatedAt), updatedAt,
    selected: thread.id === book.selected, status: statusOf(book, thread) };
}

function words(book, thread, last, typing) {
  if (typing.length > 0) return book.others(thread).length > 1 ? `${typing.join(", ")} typing…` : "typing…";
  if (!last) return "No messages yet";
  if (last.sender_id === book.me) return `You: ${last.content}`;
  const several = last.sender_id !== null && book.others(thread).length > 1;
  return several ? `${book.name(thread, last.sender_id).split(" ")[0]}: ${last.content}` : last.content;
}

function row(id, { name, unread, typing, last, when, updatedAt, selected, status }, open) {
  const here = status === "online" || status === "away";
  return h("li", {}, h(
    "button",
    { type: "button", class: unread > 0 ? "row unread" : "row", "aria-current": selected && "true", data: { thread: id }, on: { click: () => open(id) } },
    h("span", { class: `disc ${here ? status : ""}` }, avatar(name), here ? unseen(`${status}, `) : null),
    h("span", { class: "about" },
      h("span", { class: "top" }, h("span", { class: "title" }, name), h("time", { class: "small muted", datetime: updatedAt }, when)),
      h("span", { class: "top" },
        h("span", { class: `last small ${typing ? "typing-now" : "muted"}` }, last),
        unread > 0 ? h("span", { class: "badge" }, unread > 99 ? "99+" : String(unread), unseen(" unread")) : null)),
  ));
}
