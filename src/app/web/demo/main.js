// The demo page: signs in, and shows one person's chat, or two side by side with the rows between them.

import { Panel } from "./panel.js";
import { showSideBySide } from "./side-by-side.js";
import { showSignIn } from "./sign-in.js";

const KEPT = "rowcast-demo";
const stage = document.getElementById("stage");
const mode = document.getElementById("mode");
let panel = null;

start();

async function start() {
  const both = new URLSearchParams(location.search).has("side-by-side");
  mode.textContent = both ? "One person" : "Side by side";
  mode.href = both ? "./" : "?side-by-side";
  document.body.dataset.mode = both ? "both" : "one";
  const kept = sessionStorage.getItem(KEPT);
  if (both) {
    mode.hidden = false;
    if (await showSideBySide(stage)) return;
    return askWho("Two people side by side need the ready-made people of `rowcast dev`, and this bridge has none");
  }
  if (kept) signIn(JSON.parse(kept));
  else askWho();
}

function askWho(reason) {
  document.body.dataset.at = "sign-in";
  showSignIn(stage, { reason, choose: signIn });
}

function signIn({ token, name }) {
  sessionStorage.setItem(KEPT, JSON.stringify({ token, name }));
  panel?.end();
  panel = new Panel({ token, name }, {
    sql: true,
    wanted: () => location.hash.slice(1) || null,
    // The address names the thread, so that the browser's way back is the way back to the list.
    selected: (id) => location.hash.slice(1) !== (id ?? "") && history.pushState(null, "", id ? `#${id}` : location.pathname),
    left: () => signOut(),
    ended: (reason) => signOut(reason),
    drawn: title,
  });
  document.body.dataset.at = "chat";
  mode.hidden = false;
  stage.replaceChildren(panel.element);
  panel.start();
}

function signOut(reason) {
  panel?.end();
  panel = null;
  sessionStorage.removeItem(KEPT);
  history.replaceState(null, "", location.pathname);
  title();
  askWho(reason);
}

function title() {
  const unread = panel?.session.book.unread ?? 0;
  document.title = unread > 0 ? `(${unread}) Rowcast demo` : "Rowcast demo";
  document.body.dataset.open = panel?.session.book.selected ? "thread" : "list";
}

addEventListener("popstate", () => panel?.open(location.hash.slice(1) || null));
