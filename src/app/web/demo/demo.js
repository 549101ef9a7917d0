// The demo page: sign in, read and write, stay up to date. It does what any client of the native dialect would.

import { Api, demoUsers } from "./api.js";
import { $ } from "./dom.js";
import { Live } from "./live.js";
import { Store } from "./store.js";
import * as view from "./view.js";

/** A typing signal holds for five seconds; it is said again before that. */
const TYPING_EVERY = 3_000;
/** How long the page waits for more before it asks for the exact unread counts. */
const RECOUNT_AFTER = 300;
/** How long the page waits for more before it says that all is read. */
const READ_AFTER = 100;
/** A burst of changes is drawn at once; a frame of the screen is as long. */
const DRAW_AFTER = 16;
const KEPT = "rowcast-demo";

let api = null;
let live = null;
let store = new Store();
let typedAt = 0;
let recount = null;
/** What is to be drawn. */
const due = new Set();
/** Threads read, and not yet said so. */
const read = new Set();
let countdown = null;
/** Whether the newest message is to stay in view. */
let atEnd = true;

start();

async function start() {
  wire();
  const kept = sessionStorage.getItem(KEPT);
  if (kept) signIn(JSON.parse(kept));
  else await askWho();
}

async function askWho(message) {
  view.showScreen("sign-in");
  view.showError("sign-in-error", message);
  view.showPeople(await demoUsers(), signIn);
}

function signIn({ token, name }) {
  api = new Api(token);
  store = new Store();
  live = new Live(token);
  live.addEventListener("status", ({ detail }) => status(detail));
  live.addEventListener("frame", ({ detail }) => receive(detail));
  live.addEventListener("refused", ({ detail }) => signOut(detail.reason || "This token is no longer accepted"));
  sessionStorage.setItem(KEPT, JSON.stringify({ token, name }));
  view.showError("sign-in-error");
  view.showScreen("chat");
  $("me").textContent = name ?? "";
  drawThreads();
  view.showHead(store);
  live.connect();
}

function signOut(message) {
  live?.end();
  live = null;
  sessionStorage.removeItem(KEPT);
  clearInterval(countdown);
  history.replaceState(null, "", location.pathname);
  askWho(message);
}

async function status(now) {
  clearInterval(countdown);
  view.showStatus(now);
  if (now.status !== "offline") return;
  const at = Date.now() + now.retryIn;
  countdown = setInterval(() => view.showStatus({ ...now, retryIn: at - Date.now() }), 1_000);
  if (!now.failed) return;
  // A browser is not told why a handshake failed: ask where the answer can be read.
  const refused = await api.unread().then(() => null, (error) => ([401, 403].includes(error.status) ? error : null));
  if (refused) signOut(refused.message);
}

function receive(frame) {
  switch (frame.type) {
    case "connection_established":
      store.me = frame.user_id;
      return attempt(refresh);
    case "resync_required":
      store.forgetMessages();
      return attempt(refresh);
    case "new_message":
      return newMessage(frame.data);
    case "message_updated":
      store.update(frame.data);
      return redraw(frame.data.thread_id);
    case "message_deleted":
      store.remove(frame.thread_id, frame.message_id);
      countAgain();
      return redraw(frame.thread_id);
    case "messages_read":
      store.seen(frame.thread_id, frame.reader_id, frame.up_to_message_id);
      if (frame.reader_id === store.me) countAgain();
      soon(drawThreads);
      return view.showSeen(store);
    case "typing":
      store.typing(frame.thread_id, frame.user_id, frame.is_typing);
      soon(drawThreads);
      return view.showTyping(store);
    case "presence":
      store.online.set(frame.user_id, frame.status);
      soon(drawThreads);
      return view.showHead(store);
    case "thread_joined":
    case "thread_left":
      return attempt(refresh);
    case "error":
      return view.showError("send-error", frame.message);
  }
}

/** Fetches the threads, subscribes to all that happens in them, and shows the one that is selected. */
async function refresh() {
  const selected = store.selected ?? location.hash.slice(1);
  store.setThreads(await api.threads());
  $("me").textContent ||= store.name({ members: [...store.threads.values()].flatMap((thread) => thread.members) }, store.me);
  for (const id of store.threads.keys()) live?.send({ type: "subscribe_thread", thread_id: id });
  await show(store.threads.has(selected) ? selected : null);
}

function newMessage(message) {
  if (!store.threads.has(message.thread_id)) return attempt(refresh);
  if (!store.add(message)) return;
  if (message.thread_id === store.selected) {
    if (message.sender_id === store.me) atEnd = true;
    soon(drawNew);
  }
  countAgain();
  soon(drawThreads);
}

function redraw(threadId) {
  if (threadId === store.selected) soon(drawAll);
  soon(drawThreads);
}

/** Draws in a moment, once for all that came until then. */
function soon(draw) {
  if (due.size === 0) setTimeout(drawDue, DRAW_AFTER);
  due.add(draw);
}

function drawDue() {
  const draws = [...due];
  due.clear();
  for (const draw of draws) draw();
}

function drawNew() {
  view.showMessages(store, true);
  view.showTyping(store);
  if (atEnd) toEnd();
  else $("newer").hidden = false;
  markRead();
}

function drawAll() {
  view.showMessages(store);
  if (atEnd) toEnd();
}

function drawThreads() {
  view.showThreads(store, open);
}

/** Goes to a thread by the address, so that the browser's back button works. */
function open(id) {
  if (id === store.selected) return;
  location.hash = id ?? "";
}

async function show(id) {
  const changed = store.selected !== id;
  store.selected = id;
  const thread = store.current;
  if (changed) {
    view.showError("send-error");
    $("newer").hidden = true;
    $("copied").textContent = "";
  }
  view.showHead(store);
  drawThreads();
  view.showTyping(store);
  view.showMessages(store);
  if (!thread) return;
  if (!thread.loaded) {
    store.addHistory(thread, await api.messages(id), true);
    if (store.selected !== id) return;
    view.showMessages(store);
    toEnd();
  } else if (changed) toEnd();
  if (changed && matchMedia("(min-width: 45rem)").matches) $("content").focus();
  markRead();
}

async function earlier() {
  const thread = store.current;
  const page = await api.messages(thread.id, thread.messages[0]?.id);
  store.addHistory(thread, page, false);
  if (thread !== store.current) return;
  const box = $("scroll");
  const fromEnd = box.scrollHeight - box.scrollTop;
  view.showMessages(store);
  box.scrollTop = box.scrollHeight - fromEnd;
}

/** What is on a visible page has been read; a burst of messages is read at once. */
function markRead() {
  const thread = store.current;
  if (!thread || thread.unread === 0 || document.visibilityState !== "visible") return;
  thread.unread = 0;
  drawThreads();
  if (read.size === 0) setTimeout(tellRead, READ_AFTER);
  read.add(thread.id);
}

function tellRead() {
  for (const id of read) live?.send({ type: "mark_read", thread_id: id });
  read.clear();
}

/** Counts by messages are a guess where several devices read: the server's are exact. */
function countAgain() {
  clearTimeout(recount);
  recount = setTimeout(() => attempt(async () => {
    const { threads } = await api.unread();
    store.setUnread(threads);
    markRead();
    drawThreads();
  }), RECOUNT_AFTER);
}

async function send(event) {
  event.preventDefault();
  const field = $("content");
  const content = field.value;
  const thread = store.selected;
  if (!content.trim() || !thread || $("compose").querySelector("button").disabled) return;
  field.value = "";
  fit();
  typedAt = 0;
  view.showError("send-error");
  // It appears when it comes back as a committed row, like everybody else's.
  await api.send(thread, content).catch((error) => {
    if (store.selected === thread && !field.value) field.value = content;
    view.showError("send-error", error.message);
  });
}

function typing() {
  fit();
  const now = Date.now();
  const isTyping = $("content").value !== "";
  if (isTyping && now - typedAt < TYPING_EVERY) return;
  if (!isTyping && typedAt === 0) return;
  typedAt = isTyping ? now : 0;
  live?.send({ type: "typing", thread_id: store.selected, is_typing: isTyping });
}

/** What failed because the connection did is done again after the next one; anything else is shown. */
async function attempt(action) {
  await action().catch((error) => {
    if (error.status && error.status < 500) view.showError("send-error", error.message);
  });
}

function scrolled() {
  const box = $("scroll");
  atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  if (atEnd) $("newer").hidden = true;
}

function toEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  scrolled();
}

/** The field grows with what is written, up to its largest height. */
function fit() {
  const field = $("content");
  field.rows = Math.min(6, field.value.split("\n").length);
}

function wire() {
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn({ token: $("token").value.trim() });
    $("token").value = "";
  });
  $("sign-out").addEventListener("click", () => signOut());
  $("retry").addEventListener("click", () => live?.connect());
  $("back").addEventListener("click", () => open(null));
  $("compose").addEventListener("submit", send);
  $("content").addEventListener("input", typing);
  $("content").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  });
  $("earlier").addEventListener("click", () => attempt(earlier));
  $("newer").addEventListener("click", toEnd);
  $("scroll").addEventListener("scroll", scrolled, { passive: true });
  new ResizeObserver(() => atEnd && toEnd()).observe($("scroll"));
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("sql").textContent);
    $("copied").textContent = "Copied";
  });
  addEventListener("hashchange", () => live && attempt(() => {
    const id = location.hash.slice(1);
    return show(store.threads.has(id) ? id : null);
  }));
  addEventListener("online", () => live?.connect());
  document.addEventListener("visibilitychange", markRead);
}
