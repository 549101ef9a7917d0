// When to look at once instead of when a timer says so: the network is back, or the tab wakes up.

/** Calls back then; returns how to stop. Where there is no page there is nothing to listen to. */
export function onWake(wake: () => void): () => void {
  const { document } = globalThis;
  const seen = () => {
    if (!document || document.visibilityState === "visible") wake();
  };
  const places: [EventTarget | undefined, string][] = [
    [typeof globalThis.addEventListener === "function" ? globalThis : undefined, "online"],
    [typeof globalThis.addEventListener === "function" ? globalThis : undefined, "pageshow"],
    [document, "visibilitychange"],
    [document, "resume"],
  ];
  for (const [target, name] of places) target?.addEventListener(name, seen);
  return () => {
    for (const [target, name] of places) target?.removeEventListener(name, seen);
  };
}
