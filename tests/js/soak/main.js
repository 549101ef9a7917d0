// The soak: a real bridge under steady traffic, with clients that come and go, and a sample of what it takes each second.
//
// node main.js MINUTES FOLDER; writes samples.csv, plot.svg and verdict.txt there, and ends with 1 when something is wrong.

import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import { join } from "node:path";

import { Rowcast } from "../rowcast.js";
import { Count, poll, socket, socketIo, stream } from "./clients.js";
import { plot } from "./plot.js";

const RATE = Number(process.env.SOAK_RATE ?? 4);
const SOCKETS = 14;
const STREAMS = 4;
const POLLS = 3;
/** Short, so that an hour sees the log and the messages at their full size for most of its time. */
const RETENTION = "3m";
const KEPT = "3 minutes";
/** Flat: what it grows by in an hour, by the line through the samples after warming up, is less than this part of its mean. */
const GROWTH = { rss_mib: 0.05, fds: 0.05, tasks: 0.05, connections: 0.15, database_mib: 0.1 };

const minutes = Number(process.argv[2] ?? 60);
const folder = process.argv[3] ?? "target/soak";
const ends = Date.now() + minutes * 60_000;
await mkdir(folder, { recursive: true });

const rowcast = await Rowcast.start(`--retention=${RETENTION}`);
const users = Object.values(await rowcast.users());
const thread = await rowcast.thread(users[0], "Mathematics");
const members = users.filter((user) => user);
let stopped = false;
const isOver = () => stopped;
const held = new Count();
const heard = new Count();
const living = [];
for (let nth = 0; nth < SOCKETS; nth++) living.push(socket(rowcast, members[nth % members.length], held, isOver));
for (let nth = 0; nth < STREAMS; nth++) living.push(stream(rowcast, members[nth % members.length], held, isOver));
for (let nth = 0; nth < POLLS; nth++) living.push(poll(rowcast, members[nth % members.length], held, isOver));
for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  living.push(socketIo(rowcast, members[0], heard, isOver, transports));
}

let written = 0;
const write = async () => {
  while (!stopped) {
    written += 1;
    await rowcast.say(thread.id, members[0].user_id, `soak ${written} ${Date.now()}`);
    if (written % (RATE * 10) === 0) {
      await rowcast.sql("delete from chat.messages where created_at < now() - $1::interval", KEPT);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000 / RATE));
  }
};
const writing = write();

const samples = [];
const csv = createWriteStream(join(folder, "samples.csv"));
csv.write("second,rss_mib,fds,tasks,connections,topics,database_mib,log_rows,delay_ms,feed_lag_ms,written,delivered\n");
const began = Date.now();
while (Date.now() < ends) {
  const sample = await taken();
  samples.push(sample);
  csv.write(`${Object.values(sample).join(",")}\n`);
  if (samples.length % 300 === 0) console.log(JSON.stringify(sample));
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + samples.length * 1_000 - Date.now())));
}
stopped = true;
await Promise.race([Promise.allSettled([...living, writing]), new Promise((resolve) => setTimeout(resolve, 70_000))]);
const cpu = await cpuSeconds();
await rowcast.stop();
csv.end();
await report();

async function taken() {
  const status = await readFile(`/proc/${rowcast.pid}/status`, "utf8");
  const fds = (await readdir(`/proc/${rowcast.pid}/fd`)).length;
  const text = await (await fetch(`${rowcast.admin}/metrics`)).text();
  const metric = (name) => [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
  const size = "select pg_database_size(current_database()) as bytes, (select count(*) from rowcast.changes) as rows";
  const [{ bytes, rows }] = await rowcast.sql(size);
  const delays = held.delays.splice(0);
  heard.delays.length = 0;
  return {
    second: Math.round((Date.now() - began) / 1_000),
    rss_mib: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1_024,
    fds,
    tasks: metric("rowcast_tasks"),
    connections: metric("rowcast_connections"),
    topics: metric("rowcast_topics"),
    database_mib: Number(bytes) / 2 ** 20,
    log_rows: Number(rows),
    // What a returning client catches up with is old for good reason: the quickest delivery of the second tells how far behind the bridge is.
    delay_ms: delays.length ? Math.min(...delays) : 0,
    feed_lag_ms: metric("rowcast_feed_lag_seconds") * 1_000,
    written,
    delivered: held.delivered + heard.delivered,
  };
}

async function cpuSeconds() {
  const fields = (await readFile(`/proc/${rowcast.pid}/stat`, "utf8")).split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function report() {
  const seconds = samples.map(({ second }) => second);
  const warm = Math.max(Math.min(600, seconds.at(-1) * 0.25), 1);
  const settled = samples.filter(({ second }) => second >= warm);
  const lines = [];
  let flat = true;
  for (const [name, part] of Object.entries(GROWTH)) {
    const { mean, perHour } = line(settled, name);
    // One more of something is no growth.
    const allowed = Math.max(part * mean, name === "database_mib" || name === "rss_mib" ? 2 : 1.5);
    const fine = perHour < allowed;
    flat &&= fine;
    lines.push(`${name}: mean ${mean.toFixed(1)}, ${signed(perHour)} in an hour (${signed((100 * perHour) / mean)} %; allowed +${allowed.toFixed(1)}): ${fine ? "flat" : "GROWS"}`);
  }
  const delays = settled.map(({ delay_ms }) => delay_ms).sort((a, b) => a - b);
  const at = (share) => delays[Math.floor((delays.length - 1) * share)];
  const length = seconds.at(-1);
  const good = flat && held.lost === 0 && held.twice === 0;
  const text = [
    `soak: ${(length / 60).toFixed(1)} minutes, the verdict from minute ${(warm / 60).toFixed(1)} on; ${written} messages written, ${held.delivered + heard.delivered} delivered over ${held.visits + heard.visits} connections and polls`,
    `clients with a cursor: lost ${held.lost}, twice ${held.twice}, errors ${held.errors}; Socket.IO: errors ${heard.errors}`,
    ...lines,
    `quickest delivery of each second: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, largest ${at(1)} ms; CPU ${(100 * cpu / length).toFixed(1)} % of a core`,
    good ? "verdict: flat" : "verdict: NOT flat, or something was lost or came twice",
  ].join("\n");
  console.log(text);
  await writeFile(join(folder, "verdict.txt"), `${text}\n`);
  const of = (name) => ({ name, values: samples.map((sample) => sample[name]) });
  const panels = [
    { title: "resident memory, MiB", lines: [of("rss_mib")] },
    { title: "file descriptors, tasks, connections, topics", lines: ["fds", "tasks", "connections", "topics"].map(of) },
    { title: "database, MiB", lines: [of("database_mib")] },
    { title: "rows of the log", lines: [of("log_rows")] },
    { title: "quickest delivery and the feed's lag of each second, ms", lines: [of("delay_ms"), of("feed_lag_ms")] },
  ];
  const heading = `Rowcast under steady traffic for ${(length / 60).toFixed(0)} minutes (grey: warming up)`;
  await writeFile(join(folder, "plot.svg"), plot({ heading, seconds, warm, panels }));
  process.exit(good ? 0 : 1);
}

/** The mean of a column, and how much the line through it rises in an hour. */
function line(rows, name) {
  const count = rows.length;
  const meanX = rows.reduce((sum, { second }) => sum + second, 0) / count;
  const mean = rows.reduce((sum, row) => sum + row[name], 0) / count;
  const above = rows.reduce((sum, row) => sum + (row.second - meanX) * (row[name] - mean), 0);
  const below = rows.reduce((sum, row) => sum + (row.second - meanX) ** 2, 0);
  return { mean, perHour: below ? (above / below) * 3_600 : 0 };
}

function signed(value) {
  return `${value < 0 ? "" : "+"}${value.toFixed(1)}`;
}
