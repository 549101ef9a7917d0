// When to look at once instead of when a timer says so: the network is back, or gone, or the tab wakes up.

/** Calls back then, with whether the network is said to be gone; returns how to stop. Where there is no page there is nothing to listen to. */
export function onWake(wake: (gone: boolean) => void): () => void {
  const { document } = globalThis;
  const seen = (event: Event) => {
    if (!document || document.visibilityState === "visible") wake(event.type === "offline");
  };
  const places: [EventTarget | undefined, string][] = [
    [typeof globalThis.addEventListener === "function" ? globalThis : undefined, "online"],
    [typeof globalThis.addEventListener === "function" ? globalThis : undefined, "offline"],
    [typeof globalThis.addEventListener === "function" ? globalThis : undefined, "pageshow"],
    [document, "visibilitychange"],
    [document, "resume"],
  ];
  for (const [target, name] of places) target?.addEventListener(name, seen);
  return () => {
    for (const [target, name] of places) target?.removeEventListener(name, seen);
  };
}
