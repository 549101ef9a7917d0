// The little that is drawn: toasts and DOM events. Text goes in as text, never as HTML.

const TOAST_LASTS = 5_000;
const MOST_TOASTS = 3;

export type ToastKind = "info" | "success" | "error";

const COLOURS: Record<ToastKind, string> = { info: "#1f2937", success: "#166534", error: "#991b1b" };

/** The page's document, where there is a page. */
export const page = (): Document | null => globalThis.document ?? null;

/** Where DOM events go; nowhere outside a page. */
export const pageTarget = (): EventTarget | null => (globalThis.window as EventTarget | undefined) ?? null;

/** Tells the page. */
export function tell(target: EventTarget | null, name: string, detail: object): void {
  target?.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Calls everybody; one that throws disturbs nobody else. */
export function callAll<T>(callbacks: Iterable<(value: T) => void>, value: T): void {
  for (const callback of [...callbacks]) {
    try {
      callback(value);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }
}

/** A notification of the browser's, where the page is hidden and they are permitted. */
export function notify(title: string, body: string, tag: string): void {
  if (!page()?.hidden || globalThis.Notification?.permission !== "granted") return;
  new Notification(title, { body, tag });
}

/** Toasts in a corner; each goes by itself. */
export class Toasts {
  readonly #timers = new Map<HTMLElement, ReturnType<typeof setTimeout>>();
  #box: HTMLElement | null = null;

  show(text: string, kind: ToastKind): void {
    const document = page();
    if (!document?.body) return;
    this.#box ??= box(document);
    if (!this.#box.isConnected) document.body.append(this.#box);
    const toast = document.createElement("div");
    toast.className = `messaging-toast messaging-toast-${kind}`;
    toast.textContent = text;
    toast.style.cssText = `background:${COLOURS[kind]};color:#fff;padding:10px 14px;border-radius:6px;margin-top:8px;box-shadow:0 2px 8px #0004;font:14px system-ui,sans-serif`;
    this.#box.append(toast);
    this.#timers.set(toast, setTimeout(() => this.#remove(toast), TOAST_LASTS));
    const [oldest] = this.#timers.keys();
    if (oldest && this.#timers.size > MOST_TOASTS) this.#remove(oldest);
  }

  clear(): void {
    for (const toast of [...this.#timers.keys()]) this.#remove(toast);
    this.#box?.remove();
    this.#box = null;
  }

  #remove(toast: HTMLElement): void {
    clearTimeout(this.#timers.get(toast));
    this.#timers.delete(toast);
    toast.remove();
  }
}

function box(document: Document): HTMLElement {
  const element = document.createElement("div");
  element.id = "messaging-toasts";
  element.setAttribute("role", "status");
  element.setAttribute("aria-live", "polite");
  element.style.cssText = "position:fixed;right:16px;bottom:16px;z-index:10000;max-width:min(360px,calc(100vw - 32px))";
  return element;
}

/** Escapes text for a page that builds HTML itself; `textContent` is the better way. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}
