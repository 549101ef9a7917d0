// MessagingManager of guide 002: who is typing, read receipts, and the indicator of the connection, for the page.

import { page, pageTarget, tell } from "./page.js";
import type { ConnectionStatus, MessageRead, TypingStatus } from "./wire.js";

/** A typist who is not heard of again has stopped: the end may have been said while we were offline. */
const TYPING_LASTS = 6_000;
/** The good news goes away by itself. */
const ONLINE_SHOWN = 3_000;

const LOOK = "position:fixed;top:16px;right:16px;z-index:10000;padding:6px 12px;border-radius:999px;color:#fff;font:13px system-ui,sans-serif";

/** One manager for each target of DOM events: two would tell everything twice. */
const managers = new WeakMap<EventTarget, MessagingManager>();

export class MessagingManager {
  /** Who is typing, by conversation. */
  readonly typingUsers = new Map<string, Set<string>>();
  /** The indicator, once there was something to say. */
  connectionStatusElement: HTMLElement | null = null;

  readonly #target: EventTarget | null = null;
  readonly #ends = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #listeners: [string, EventListener][] = [];
  #hiding: ReturnType<typeof setTimeout> | undefined;

  /** The manager of a page's events; made again it is the same one, until it is destroyed. */
  constructor(target: EventTarget | null = pageTarget()) {
    const known = target && managers.get(target);
    if (known) return known;
    this.#target = target;
    if (!target) return;
    managers.set(target, this);
    this.#listen<TypingStatus>("messaging:typing", (detail) => this.handleTypingStatus(detail));
    this.#listen<MessageRead>("messaging:read", (detail) => this.handleReadReceipt(detail));
    this.#listen<ConnectionStatus>("messaging:connection", (detail) => this.handleConnectionStatus(detail));
  }

  handleTypingStatus({ conversationId, userId, isTyping }: TypingStatus): void {
    const key = JSON.stringify([conversationId, userId]);
    clearTimeout(this.#ends.get(key));
    this.#ends.delete(key);
    const users = this.typingUsers.get(conversationId) ?? new Set();
    if (isTyping) {
      users.add(userId);
      this.#ends.set(key, setTimeout(() => this.handleTypingStatus({ conversationId, userId, isTyping: false }), TYPING_LASTS));
    } else if (!users.delete(userId)) {
      return;
    }
    if (users.size > 0) this.typingUsers.set(conversationId, users);
    else this.typingUsers.delete(conversationId);
    const typingUserIds = this.getTypingUsers(conversationId);
    tell(this.#target, "messagingManager:typingUpdate", { conversationId, typingUserIds, isTyping: typingUserIds.length > 0 });
  }

  handleReadReceipt({ conversationId, messageId, userId }: MessageRead): void {
    tell(this.#target, "messagingManager:readReceipt", { conversationId, messageId, userId });
  }

  handleConnectionStatus({ status }: Pick<ConnectionStatus, "status">): void {
    this.updateConnectionIndicator(status);
    if (status === "offline") this.#forgetTypists();
  }

  /** Shows how the connection fares, in a corner of the page. */
  updateConnectionIndicator(status: "online" | "offline"): void {
    const document = page();
    clearTimeout(this.#hiding);
    if (!document?.body) return;
    // The first good news is none.
    if (status === "online" && !this.connectionStatusElement) return;
    const element = (this.connectionStatusElement ??= document.createElement("div"));
    element.id = "messaging-connection-status";
    element.className = `connection-status connection-status-${status}`;
    element.dataset["status"] = status;
    element.setAttribute("role", "status");
    element.textContent = status === "online" ? "Connected" : "Connection lost";
    element.style.cssText = `${LOOK};background:${status === "online" ? "#166534" : "#991b1b"}`;
    if (!element.isConnected) document.body.append(element);
    if (status === "online") this.#hiding = setTimeout(() => element.remove(), ONLINE_SHOWN);
  }

  getTypingUsers(conversationId: string): string[] {
    return [...(this.typingUsers.get(conversationId) ?? [])];
  }

  /** Whether anyone is typing. */
  isTyping(conversationId: string): boolean {
    return this.typingUsers.has(conversationId);
  }

  /** Makes a hidden typing indicator in a container (an element, or a selector); null where that is not there. */
  createTypingIndicator(container: string | Element): HTMLElement | null {
    const place = typeof container === "string" ? page()?.querySelector(container) : container;
    if (!place) return null;
    const indicator = place.ownerDocument.createElement("div");
    indicator.className = "typing-indicator";
    indicator.setAttribute("role", "status");
    indicator.setAttribute("aria-live", "polite");
    indicator.hidden = true;
    place.append(indicator);
    return indicator;
  }

  showTypingIndicator(indicator: HTMLElement | null, name?: string): void {
    if (!indicator) return;
    indicator.textContent = name ? `${name} is typing…` : "Typing…";
    indicator.hidden = false;
  }

  hideTypingIndicator(indicator: HTMLElement | null): void {
    if (!indicator) return;
    indicator.hidden = true;
    indicator.textContent = "";
  }

  /** Stops listening and takes away what was drawn. */
  destroy(): void {
    for (const [name, listener] of this.#listeners.splice(0)) this.#target?.removeEventListener(name, listener);
    if (this.#target && managers.get(this.#target) === this) managers.delete(this.#target);
    for (const end of this.#ends.values()) clearTimeout(end);
    this.#ends.clear();
    this.typingUsers.clear();
    clearTimeout(this.#hiding);
    this.connectionStatusElement?.remove();
    this.connectionStatusElement = null;
  }

  /** While we hear nothing nobody can be said to be typing. */
  #forgetTypists(): void {
    for (const [conversationId, users] of [...this.typingUsers]) {
      for (const userId of [...users]) this.handleTypingStatus({ conversationId, userId, isTyping: false });
    }
  }

  #listen<Detail>(name: string, heard: (detail: Detail) => void): void {
    const listener: EventListener = (event) => heard((event as CustomEvent<Detail>).detail);
    this.#listeners.push([name, listener]);
    this.#target?.addEventListener(name, listener);
  }
}
