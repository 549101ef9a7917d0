// The console's calls. The token goes in a header, and nowhere else.

const KEY = "rowcast-admin-token";

/** A refusal, with the server's own words. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The token of this tab: from the link's fragment at first, which is then taken out of the address. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
  takeFromAddress() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!given) return;
    this.set(given);
    history.replaceState(null, "", "#/overview");
  },
};

async function call(path, options = {}) {
  const headers = { authorization: `Bearer ${token.get() ?? ""}`, ...(options.body && { "content-type": "application/json" }) };
  const response = await fetch(`api/${path}`, { cache: "no-store", credentials: "omit", ...options, headers }).catch((error) => {
    if (options.signal?.aborted) throw error;
    throw new Refusal(0, "The bridge does not answer");
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  throw new Refusal(response.status, answer?.message ?? `The bridge answered ${response.status}`);
}

export async function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== false);
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  return (await call(path + search)).json();
}

export async function post(path, body) {
  return (await call(path, { method: "POST", body: JSON.stringify(body) })).json();
}

/** Follows a stream until it ends or is aborted; `tell` gets the name and the data of each event. */
export async function follow(path, { body, signal }, tell) {
  const options = body ? { method: "POST", body: JSON.stringify(body), signal } : { signal };
  const response = await call(path, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (signal.aborted) throw error;
      throw new Refusal(0, "The stream broke off");
    });
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
      const [event] = field("event");
      if (event) tell(event, JSON.parse(field("data").join("\n")));
    }
  }
}
