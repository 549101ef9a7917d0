// What can be set.

import type { ToastKind } from "./page.js";

export interface MessagingOptions {
  /** The bridge's address; the page's own origin by default. */
  url?: string;
  /** A token, or what gives a fresh one. Without it the session's cookie speaks. */
  token?: string | ((why: { refused: boolean }) => string | null | Promise<string | null>);
  /** Shows a toast in another way; null shows none. */
  toast?: ((text: string, kind: ToastKind) => void) | null;
  /** Shows new messages by the browser's notifications while the page is hidden and they are permitted. */
  notifications?: boolean;
  /** Milliseconds between two polls while the socket is down (30,000). */
  pollInterval?: number;
  /** Where DOM events go; `window` by default. */
  target?: EventTarget;
}
