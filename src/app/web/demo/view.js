// Puts what the store knows on the page.

import { $, avatar, day, h, time } from "./dom.js";

/** A run of messages by one person breaks after this many milliseconds. */
const RUN = 5 * 60_000;

export function showPeople(people, choose) {
  $("people-part").hidden = people.length === 0;
  $("token-part").open = people.length === 0;
  const person = (one) =>
    h("li", {}, h("button", { type: "button", on: { click: () => choose(one) } }, avatar(one.name), h("span", {}, one.name)));
  $("people").replaceChildren(...people.map(person));
}

export function showScreen(name) {
  $("sign-in").hidden = name !== "sign-in";
  $("chat").hidden = name !== "chat";
}

export function showError(id, message) {
  $(id).textContent = message ?? "";
  $(id).hidden = !message;
}

export function showStatus({ status, again, retryIn }) {
  const seconds = Math.max(1, Math.round((retryIn ?? 0) / 1000));
  const words = { connecting: again ? "Reconnecting…" : "Connecting…", online: "Online", offline: "Offline" };
  // The seconds are not part of what a screen reader announces.
  $("next").textContent = status === "offline" ? `next try in ${seconds} s` : "";
  const pill = $("status");
  pill.dataset.status = status;
  if (pill.textContent !== words[status]) pill.textContent = words[status];
  $("retry").hidden = status !== "offline";
  $("compose").querySelector("button").disabled = status !== "online";
}

export function showThreads(store, choose) {
  const threads = store.inOrder();
  const focused = document.activeElement?.closest?.("#threads button")?.dataset.thread;
  $("threads").replaceChildren(...threads.map((thread) => threadRow(store, thread, choose)));
  $("no-threads").hidden = threads.length > 0;
  if (focused) document.querySelector(`#threads button[data-thread="${CSS.escape(focused)}"]`)?.focus();
  document.title = store.unread > 0 ? `(${store.unread}) Rowcast demo` : "Rowcast demo";
}

function threadRow(store, thread, choose) {
  const people = thread.members.filter((member) => member.user_id !== store.me);
  const online = people.length === 1 && store.online.get(people[0].user_id) === "online";
  const badge = h("span", { class: "badge" }, String(thread.unread), h("span", { class: "unseen" }, " unread"));
  const button = h(
    "button",
    {
      type: "button",
      class: thread.unread > 0 ? "unread" : "",
      data: { thread: thread.id },
      "aria-current": thread.id === store.selected && "true",
      on: { click: () => choose(thread.id) },
    },
    h("span", { class: online ? "who online" : "who" }, avatar(thread.name), online ? h("span", { class: "unseen" }, "online") : null),
    h("span", { class: "about" },
      h("span", { class: "title" }, thread.name),
      h("span", { class: "last muted small" }, preview(store, thread))),
    h("span", { class: "aside" },
      h("time", { class: "muted small", datetime: thread.updatedAt }, time(thread.updatedAt)),
      thread.unread > 0 ? badge : null),
  );
  return h("li", {}, button);
}

function preview(store, thread) {
  if (thread.typing.size > 0) return "typing…";
  if (!thread.last) return "No messages yet";
  const mine = thread.last.sender_id === store.me;
  return mine ? `You: ${thread.last.content}` : thread.last.content;
}

export function showHead(store) {
  const thread = store.current;
  $("nothing").hidden = thread !== null;
  $("thread").hidden = thread === null;
  $("chat").dataset.open = thread ? "thread" : "list";
  if (!thread) return;
  $("thread-name").textContent = thread.name;
  const people = thread.members.map((member) => {
    const name = member.user_id === store.me ? "You" : member.full_name ?? member.username;
    return store.online.get(member.user_id) === "online" ? `${name} (online)` : name;
  });
  $("thread-people").textContent = people.join(", ");
  const sender = thread.members.find((member) => member.user_id !== store.me) ?? thread.members[0];
  $("sql").textContent = sender
    ? `insert into chat.messages (thread_id, sender_id, content)\nvalues (chat.thread('${thread.id}'),\n        chat.user('${sender.user_id}'), 'Hello from psql');`
    : "";
}

export function showTyping(store) {
  const thread = store.current;
  const names = thread ? [...thread.typing].map((user) => store.name(thread, user)) : [];
  const words = { 0: "", 1: `${names[0]} is typing…`, 2: `${names[0]} and ${names[1]} are typing…` };
  $("typing").textContent = words[names.length] ?? "Several people are typing…";
}

/** Shows the messages of the selected thread; `added` says that there are only new ones at the end. */
export function showMessages(store, added = false) {
  const thread = store.current;
  if (!thread) return;
  const list = $("messages");
  $("earlier").hidden = !thread.hasMore;
  const shown = added ? list.querySelectorAll("li.message").length : 0;
  if (!added) list.replaceChildren();
  thread.messages.slice(shown).forEach((message, offset) => {
    list.append(...row(store, thread, message, thread.messages[shown + offset - 1]));
  });
  showSeen(store);
}

function row(store, thread, message, before) {
  const today = day(message.created_at);
  const separator = !before || day(before.created_at) !== today ? h("li", { class: "day muted small" }, today) : null;
  if (message.sender_id === null) {
    return [separator, h("li", { class: "message system muted small", data: { message: message.id } }, h("p", {}, message.content))].filter(Boolean);
  }
  const mine = message.sender_id === store.me;
  const goesOn = !separator && before.sender_id === message.sender_id && Date.parse(message.created_at) - Date.parse(before.created_at) < RUN;
  const name = message.sender?.full_name ?? store.name(thread, message.sender_id);
  const head = h("p", { class: goesOn || mine ? "unseen" : "from small muted" }, mine ? "You" : name);
  const foot = h("p", { class: "when small muted" }, h("time", { datetime: message.created_at }, time(message.created_at)), message.edited_at ? " · edited" : "");
  const item = h(
    "li",
    { class: `message ${mine ? "mine" : "theirs"}${goesOn ? " run" : ""}`, data: { message: message.id } },
    mine ? null : avatar(name),
    h("div", { class: "bubble" }, head, h("p", { class: "content" }, message.content), foot),
  );
  return [separator, item].filter(Boolean);
}

/** Under the last of one's own messages that others have read: who they are. */
export function showSeen(store) {
  const thread = store.current;
  document.querySelectorAll("#messages .seen").forEach((element) => element.remove());
  if (!thread) return;
  const readers = new Map();
  for (const [reader, upto] of thread.seen) {
    const end = thread.messages.findIndex((message) => message.id === upto);
    const last = thread.messages.slice(0, end + 1).findLast((message) => message.sender_id === store.me);
    if (last) readers.set(last.id, [...(readers.get(last.id) ?? []), store.name(thread, reader)]);
  }
  for (const [message, names] of readers) {
    const bubble = document.querySelector(`#messages li[data-message="${CSS.escape(message)}"] .bubble`);
    bubble?.append(h("p", { class: "seen small muted" }, `Seen by ${names.join(", ")}`));
  }
}
