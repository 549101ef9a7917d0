// The verdict: what each client applied, held against what was committed.

/** Every complaint about a client, as a sentence each. */
export function judge(client, all, { cursorless = client.how === "plain" } = {}) {
  const wanted = all.filter((change) => client.wants(change));
  const complaints = client.errors.map((error) => `was told: ${error}`);
  complaints.push(...strangers(client, wanted), ...twice(client), ...disorder(client, wanted));
  complaints.push(...(cursorless ? gaps(client, wanted) : lost(client, wanted)));
  return complaints.map((complaint) => `${client.name} ${complaint}`);
}

/** What it got without being meant. */
function strangers(client, wanted) {
  const keys = new Set(wanted.map((change) => change.key));
  return client.applied.filter(({ key }) => !keys.has(key)).map(({ key }) => `got ${key}, which is not for it`);
}

/** What is due: all that was written since it knew where it stood. */
export const due = (client, all) => all.filter((change) => client.wants(change) && change.at > client.since);

function lost(client, wanted) {
  return due(client, wanted)
    .filter((change) => !client.has(change.key))
    .map((change) => `lost ${change.key} of ${new Date(change.at).toISOString()}`);
}

/** What it applied twice, and how each kind of client may. */
function twice(client) {
  const last = new Map();
  const complaints = [];
  for (const { key, visit, young } of client.applied) {
    const before = last.get(key);
    last.set(key, visit);
    if (before === undefined) continue;
    const allowed = before !== visit && ((client.how === "raw" && young) || client.how === "since");
    if (!allowed) complaints.push(`got ${key} twice, in visits ${before} and ${visit}`);
  }
  return complaints;
}

/** How often it got something again that it may get again. */
export const repeats = (client) => client.applied.length - new Set(client.applied.map(({ key }) => key)).size;

/** The order of each row's changes: versions rise, and nothing follows a deletion. */
function disorder(client, wanted) {
  const place = new Map(wanted.map((change, nth) => [change.key, nth]));
  const reached = new Map();
  const complaints = [];
  const first = new Set();
  for (const { key, row } of client.applied) {
    // A repetition starts again from further back.
    if (first.has(key)) continue;
    first.add(key);
    const before = reached.get(row);
    if (before !== undefined && place.get(before) > place.get(key)) complaints.push(`got ${key} after ${before}`);
    reached.set(row, key);
  }
  return complaints;
}

/**
 * A client that keeps no place misses what is committed while it is away, and nothing else: during one visit it has, of
 * each writer, all transactions from the first that began after it was subscribed up to the last that it got any of.
 */
function gaps(client, wanted) {
  const complaints = [];
  client.visits.forEach(({ from }, nth) => {
    const isLast = nth === client.visits.length - 1;
    const got = new Set(client.applied.filter(({ visit }) => visit === nth + 1).map(({ key }) => key));
    for (const [writer, changes] of Map.groupBy(wanted, (change) => change.writer)) {
      const began = new Map();
      for (const { act, at } of changes) began.set(act, Math.min(began.get(act) ?? Infinity, at));
      const acts = changes.filter((change) => got.has(change.key)).map((change) => change.act);
      const last = isLast ? Infinity : Math.max(...acts) - 1;
      const missed = changes.filter((change) => change.act <= last && began.get(change.act) > from && !got.has(change.key));
      complaints.push(...missed.map(({ key, act }) => `missed ${key} of act ${act} of writer ${writer} during visit ${nth + 1}`));
    }
  });
  return complaints;
}

/** How much passed it by while it was away. */
export const missed = (client, all) => due(client, all).filter((change) => !client.has(change.key)).length;
