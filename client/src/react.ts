// React hooks: a client as long as a component lives, and one thread as a component shows it.

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { type Message, type Options, RowcastClient, RowcastError, type Status } from "./rowcast.js";

/** A client that connects while the component is there. It is made anew when `url` or a token given as text changes. */
export function useRowcast(options: Options): { client: RowcastClient | null; status: Status; error: RowcastError | null } {
  const latest = useRef(options);
  latest.current = options;
  const [client, setClient] = useState<RowcastClient | null>(null);
  const [error, setError] = useState<RowcastError | null>(null);
  const url = options.url === undefined ? undefined : String(options.url);
  const token = typeof options.token === "string" ? options.token : null;
  useEffect(() => {
    const { token: source } = latest.current;
    // A callback is always the latest one: it may close over what has changed.
    const current: Options["token"] = (why) => {
      const { token: now } = latest.current;
      return typeof now === "function" ? now(why) : now;
    };
    const made = new RowcastClient({ ...latest.current, token: typeof source === "function" ? current : source });
    made.on("error", setError);
    made.on("status", ({ status }) => status === "online" && setError(null));
    made.connect();
    setClient(made);
    return () => {
      made.close();
      setClient(null);
    };
  }, [url, token]);
  return { client, status: useStatus(client), error };
}

const IDLE: Status = { status: "idle", way: null };

/** How a client's connection fares. */
export function useStatus(client: RowcastClient | null): Status {
  const subscribe = useCallback((told: () => void) => client?.on("status", told) ?? (() => {}), [client]);
  const snapshot = () => client?.status ?? IDLE;
  return useSyncExternalStore(subscribe, snapshot, () => IDLE);
}

/** What `useThread` gives. */
export interface ThreadView {
  /** Ascending, each once. */
  messages: Message[];
  /** Whether there are older ones; `loadOlder` fetches a page of them. */
  hasOlder: boolean;
  loading: boolean;
  error: RowcastError | null;
  /** Ids of those who are typing. */
  typing: string[];
  loadOlder: () => Promise<void>;
  send: (content: string) => Promise<Message>;
  markRead: () => Promise<number>;
  setTyping: (isTyping: boolean) => void;
}

const IGNORED = () => {};

/** A thread's messages, kept in step, with who is typing there. */
export function useThread(client: RowcastClient | null, threadId: string): ThreadView {
  const [messages, setMessages] = useState<Message[]>([]);
  const [hasOlder, setHasOlder] = useState(false);
  const [loading, setLoading] = useState(true);
  const [error, setError] = useState<RowcastError | null>(null);
  const [typing, setTyping] = useState<string[]>([]);

  useEffect(() => {
    if (!client) return;
    const stop = new AbortController();
    const { signal } = stop;
    const here = (message: Message) => message.thread_id === threadId;
    const gone = new Set<string>();
    let arrived: Message[] = [];
    const load = async () => {
      setLoading(true);
      arrived = [];
      try {
        const page = await client.messages(threadId, { signal });
        if (signal.aborted) return;
        // What came by itself meanwhile is newer than the page, or in it.
        setMessages(merged(page.messages, arrived).filter(({ id }) => !gone.has(id)));
        setHasOlder(page.has_more);
        setError(null);
      } catch (cause) {
        if (!signal.aborted) setError(cause as RowcastError);
      } finally {
        if (!signal.aborted) setLoading(false);
      }
    };
    const put = ({ data }: { data: Message }) => {
      if (!here(data)) return;
      arrived.push(data);
      setMessages((known) => merged(known, [data]));
    };
    client.on("new_message", put, { signal });
    client.on("message_updated", put, { signal });
    client.on(
      "message_deleted",
      ({ message_id }) => {
        gone.add(message_id);
        setMessages((known) => known.filter(({ id }) => id !== message_id));
      },
      { signal },
    );
    client.on(
      "typing",
      ({ thread_id, user_id, is_typing }) => {
        if (thread_id !== threadId) return;
        setTyping((known) => [...known.filter((id) => id !== user_id), ...(is_typing ? [user_id] : [])]);
      },
      { signal },
    );
    client.on("status", ({ status }) => status !== "online" && setTyping([]), { signal });
    client.on("resync", () => void load(), { signal });
    client.subscribe(threadId).catch(IGNORED);
    void load();
    return () => {
      stop.abort();
      client.unsubscribe(threadId);
      setMessages([]);
      setTyping([]);
    };
  }, [client, threadId]);

  const oldest = messages[0]?.id;
  return useMemo(() => {
    const need = (): RowcastClient => {
      if (!client) throw new RowcastError("closed", "There is no client yet");
      return client;
    };
    return {
      messages,
      hasOlder,
      loading,
      error,
      typing,
      loadOlder: async () => {
        const page = await need().messages(threadId, oldest === undefined ? {} : { before: oldest });
        setMessages((known) => merged(page.messages, known));
        setHasOlder(page.has_more);
      },
      send: async (content) => need().send(threadId, content),
      markRead: async () => need().markRead(threadId),
      setTyping: (isTyping) => client?.typing(threadId, isTyping),
    };
  }, [client, threadId, messages, hasOlder, loading, error, typing, oldest]);
}

/** Each message once, the later version, in the place of the earlier one. */
function merged(one: Message[], other: Message[]): Message[] {
  const all = new Map(one.map((message) => [message.id, message]));
  for (const message of other) all.set(message.id, message);
  return [...all.values()];
}
