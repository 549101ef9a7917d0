// The last ten minutes, a point a second: what the page keeps, and what it works out of it. No DOM.

const KEPT = 600;
/** Latency is looked at over so many seconds: one alone has too few deliveries to speak of. */
const WINDOW = 10;

const total = (by) => Object.values(by).reduce((sum, value) => sum + value, 0);

export class History {
  points = [];

  /** Takes an overview; a bridge that was started again counts from nothing. */
  add(overview) {
    const before = this.last;
    if (before && overview.uptime_seconds < before.uptime_seconds) this.points = [];
    this.points.push(overview);
    if (this.points.length > KEPT) this.points.shift();
  }

  get last() {
    return this.points.at(-1);
  }

  /** The point `seconds` before the last, or the oldest. */
  ago(seconds, from = this.points.length - 1) {
    return this.points[Math.max(0, from - seconds)];
  }

  /** The dialects that were ever spoken, in order. */
  get dialects() {
    const names = new Set(this.points.flatMap((point) => [...Object.keys(point.connections), ...Object.keys(point.deliveries)]));
    return [...names].sort();
  }

  times() {
    return this.points.map((point) => point.at / 1000);
  }

  values(read) {
    return this.points.map(read);
  }

  /** Per second, between each point and the one before. */
  rates(read) {
    return this.points.map((point, index) => (index === 0 ? null : perSecond(this.points[index - 1], point, read)));
  }

  /** Per second over the last few seconds. */
  rate(read, over = WINDOW) {
    return this.points.length < 2 ? 0 : perSecond(this.ago(over), this.last, read);
  }

  /** How much it grew in the last minute. */
  inLastMinute(read) {
    return this.points.length < 2 ? 0 : Math.max(0, read(this.last) - read(this.ago(60)));
  }

  /** A quantile of commit to socket at each point, over the window before it; null where nothing was delivered. */
  latencies(share, dialect) {
    return this.points.map((point, index) => quantile(buckets(point, dialect), buckets(this.ago(WINDOW, index), dialect), share));
  }

  latency(share, dialect) {
    if (this.points.length < 2) return null;
    return quantile(buckets(this.last, dialect), buckets(this.ago(WINDOW), dialect), share);
  }
}

export const read = {
  connections: (point) => total(point.connections),
  deliveries: (point) => total(point.deliveries),
  slow: (point) => total(point.slow),
  lagged: (point) => point.lagged,
};

function perSecond(from, to, read) {
  const seconds = (to.at - from.at) / 1000;
  return seconds > 0 ? Math.max(0, (read(to) - read(from)) / seconds) : null;
}

/** The counts of one dialect, or of all together: `[[bound, count up to it], …]`. */
function buckets(point, dialect) {
  const all = dialect ? [point.latency[dialect] ?? []] : Object.values(point.latency);
  const [first = []] = all;
  return first.map(([bound], index) => [bound, all.reduce((sum, one) => sum + (one[index]?.[1] ?? 0), 0)]);
}

/** Between the bounds of its bucket the quantile is where a ruler would put it. */
export function quantile(now, before, share) {
  const grown = now.map(([bound, count], index) => [bound, count - (before[index]?.[1] ?? 0)]);
  const all = grown.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const wanted = all * share;
  let [lower, below] = [0, 0];
  for (const [bound, count] of grown) {
    if (count >= wanted) return bound === null ? lower : lower + ((bound - lower) * (wanted - below)) / (count - below);
    [lower, below] = [bound ?? lower, count];
  }
  return lower;
}
