// The history checker for supabase-js: writers, clients, trouble; then each history is held against what was committed.
//
// ROWCAST_SEED plays a schedule again, ROWCAST_LONG=1 plays a long one.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Client } from "./history/clients.js";
import { Dice } from "./history/dice.js";
import { due, judge, missed, repeats } from "./history/verdict.js";
import { committed, createWorld, ROOMS, SECRET, token, userToken, USERS } from "./history/world.js";
import { Writer } from "./history/writers.js";
import { Rowcast } from "./rowcast.js";

const LONG = process.env.ROWCAST_LONG === "1";
const SIZE = LONG
  ? { writers: 12, copies: 3, seconds: 150, kills: 12, listeners: 25, cuts: 60, longest: 4_000 }
  : { writers: 8, copies: 1, seconds: 9, kills: 2, listeners: 3, cuts: 10, longest: 1_500 };
const SEED = Number(process.env.ROWCAST_SEED ?? Date.now() % 1_000_000);
const PATIENCE = 60_000;

const anything = () => true;
const notes = (event, filter, matches) => ({ event, schema: "public", table: "notes", filter, matches });
const tasks = (event, matches, filter) => ({ event, schema: "public", table: "tasks", filter, matches });
// The log has the key of a deleted note and nothing else, so no filter on anything else finds it.
const inRoom = (...rooms) => ({ op, room }) => op !== "DELETE" && rooms.includes(room);

describe("histories of supabase-js clients", { timeout: LONG ? 900_000 : 240_000 }, () => {
  let rowcast;
  const clients = [];
  const writers = [];

  before(async () => {
    process.env.ROWCAST_JWT_SECRET = SECRET;
    rowcast = await Rowcast.start();
    await createWorld(rowcast);
  });

  after(async () => {
    await Promise.allSettled([...clients.map((client) => client.stop()), ...writers.map((writer) => writer.end())]);
    await rowcast?.stop();
  });

  test("Rowcast and the listener killed, sockets cut: nothing lost, nothing twice", async (t) => {
    t.diagnostic(`seed ${SEED}`);
    clients.push(...cast().map((one) => new Client(one)));
    const late = clients.filter((_, nth) => nth % 7 === 3);
    await Promise.all(clients.filter((client) => !late.includes(client)).map(start));

    const rows = { notes: [], tasks: [] };
    for (let n = 1; n <= SIZE.writers; n++) writers.push(new Writer(rowcast.database, SEED, n, rows, SIZE.longest));
    const end = Date.now() + SIZE.seconds * 1_000;
    const writing = Promise.all(writers.map((writer) => writer.run(() => Date.now() < end)));
    await Promise.all([writing, ...late.map(start), trouble(new Dice(SEED, 1), end)]);

    // What comes after the last thing shows that nothing more was on its way.
    for (const word of ["the last", "the very last"]) {
      await writers[0].last(word);
      const all = await committed(rowcast);
      await Promise.all(clients.map((client) => has(client, all)));
    }
    report(t, await committed(rowcast));
  });

  const start = (client) => client.start(rowcast, () => client.waiting?.());

  /** Who takes part. */
  function cast() {
    const anon = token({ role: "anon" });
    const service = token({ role: "service_role" });
    const all = [];
    const add = (how, bearer, wishes, vsn = "2.0.0") => all.push({ name: `${how} ${all.length}`, how, bearer, wishes, vsn });
    for (let copy = 0; copy < SIZE.copies; copy++) {
      add("held", anon, [notes("*", undefined, anything)]);
      add("raw", anon, [notes("*", undefined, anything)]);
      add("held", anon, [notes("*", "room=eq.1", inRoom(1))]);
      add("held", anon, [notes("UPDATE", "room=in.(2,3)", inRoom(2, 3))]);
      add("held", anon, [notes("*", "room=gte.2,room=lt.4", inRoom(2, 3))]);
      add("held", anon, [notes("INSERT", "body=not.like.bulk%", ({ body }) => !body.startsWith("bulk"))], "1.0.0");
      add("held", anon, [notes("INSERT", "room=eq.0", inRoom(0)), notes("DELETE", undefined, anything)]);
      for (const [nth, sub] of USERS.entries()) {
        add(nth < 3 ? "held" : "raw", userToken(sub), [tasks("*", ({ owner }) => owner === sub)]);
      }
      add("held", userToken(USERS[0]), [tasks("*", ({ owner, room }) => owner === USERS[0] && room === 4, "room=eq.4")]);
      add("held", userToken(USERS[1]), [notes("*", "room=eq.4", inRoom(4)), tasks("*", ({ owner }) => owner === USERS[1])]);
      add("held", service, [tasks("*", anything)]);
      add("since", anon, [notes("*", undefined, anything)]);
      add("since", userToken(USERS[2]), [tasks("*", ({ owner }) => owner === USERS[2])]);
      add("plain", anon, [notes("*", undefined, anything)]);
      add("plain", anon, [notes("*", "room=eq.2", inRoom(2))], "1.0.0");
      add("plain", service, [tasks("*", anything)]);
    }
    return all;
  }

  /** Kills and cuts, spread over the time until the end. */
  async function trouble(dice, end) {
    const faults = [
      ...Array(SIZE.kills).fill(kill),
      ...Array(SIZE.listeners).fill(silence),
      ...Array(SIZE.cuts).fill(() => dice.pick(clients).cut()),
    ];
    const pause = (end - Date.now()) / (faults.length + 1);
    while (faults.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, dice.between(0, pause)));
      const [fault] = faults.splice(dice.below(faults.length), 1);
      await fault();
    }
  }

  async function kill() {
    await rowcast.kill();
    await rowcast.start();
  }

  /** Ends the backend that the feed reads and listens on. */
  const silence = () =>
    rowcast.sql(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'rowcast' and (query like '%listen rowcast%'
        or query ilike '%left join lateral%rowcast.changes%' and query not like '%limit $8%')`);

  /** Waits until a client has all that is due. */
  async function has(client, all) {
    let wanted = due(client, all).filter((change) => client.how !== "plain" || change.body.startsWith("the"));
    const done = () => (wanted = wanted.filter((change) => !client.has(change.key))).length === 0;
    await new Promise((resolve) => {
      const late = setTimeout(resolve, PATIENCE);
      client.waiting = () => done() && (clearTimeout(late), resolve());
      client.waiting();
    });
  }

  function report(t, all) {
    const complaints = clients.flatMap((client) => judge(client, all));
    const deliveries = clients.reduce((sum, client) => sum + client.applied.length, 0);
    const visits = clients.reduce((sum, client) => sum + client.visits.length, 0);
    t.diagnostic(`${all.length} changes of ${writers.length} writers; ${clients.length} clients, ${visits} visits, ${deliveries} deliveries`);
    for (const how of ["held", "raw", "since", "plain"]) {
      const some = clients.filter((client) => client.how === how);
      const sum = (count) => some.reduce((sum, client) => sum + count(client), 0);
      t.diagnostic(`${how}: ${some.length} clients, ${sum(repeats)} repeats, ${sum((client) => missed(client, all))} missed`);
    }
    assert.deepEqual(complaints.slice(0, 20), [], `${complaints.length} complaints with seed ${SEED}`);
  }
});
