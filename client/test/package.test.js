// The package: small, complete, built from what is here, and as its consumers' compilers see it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { Typist } from "../dist/messaging/typist.js";
import { backoff } from "../dist/rowcast/clock.js";
import { Emitter } from "../dist/rowcast/emitter.js";
import { eventsOf } from "../dist/rowcast/events.js";
import { Place } from "../dist/rowcast/place.js";
import { endOf, subjectOf } from "../dist/rowcast/token.js";

const HERE = fileURLToPath(new URL("../", import.meta.url));
const SERVED = new URL("../../src/app/web/client/", import.meta.url);
const MOST = 15_000;

test("what the bridge serves is what the sources build to", () => {
  execFileSync(process.execPath, ["build.js", "check"], { cwd: HERE, stdio: ["ignore", "ignore", "inherit"] });
});

test("each client has under 15 kB, gzipped", async () => {
  for (const name of ["rowcast.js", "messaging.js"]) {
    const { length } = gzipSync(await readFile(new URL(name, SERVED)), { level: 9 });
    assert.ok(length < MOST, `${name} has ${length} bytes`);
  }
});

test("only the messaging system needs anything, and that is Socket.IO", async () => {
  const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  assert.deepEqual(Object.keys(dependencies), ["socket.io-client"]);
  assert.deepEqual(Object.keys(peerDependencies), ["react"]);
  assert.equal(peerDependenciesMeta.react.optional, true);
  const text = await readFile(new URL("rowcast.js", SERVED), "utf8");
  assert.doesNotMatch(text, /\bfrom\s*["']|\bimport\s*["']/);
  assert.match(await readFile(new URL("messaging.js", SERVED), "utf8"), /from"\.\/socket\.io\.js"/);
  const lock = await readFile(new URL("../package-lock.json", import.meta.url), "utf8");
  assert.doesNotMatch(lock, /"resolved"/);
});

test("the package has code, types, maps, licences and its manual, and nothing else", () => {
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: HERE, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const names = files.map(({ path }) => path);
  for (const name of ["README.md", "LICENSE-APACHE", "LICENSE-MIT", "dist/rowcast.js", "dist/rowcast.d.ts", "dist/rowcast.js.map", "dist/messaging.js", "dist/react.d.ts"]) {
    assert.ok(names.includes(name), name);
  }
  const { exports } = JSON.parse(readFileSync(`${HERE}package.json`, "utf8"));
  assert.deepEqual(Object.keys(exports), [".", "./messaging", "./react", "./package.json"]);
  for (const target of Object.values(exports).flatMap((entry) => (typeof entry === "string" ? entry : Object.values(entry)))) {
    assert.ok(names.includes(target.replace("./", "")), target);
    if (target.endsWith(".js")) assert.ok(names.includes(`${target}.map`.replace("./", "")), `${target} has a map`);
  }
  assert.deepEqual(names.filter((name) => !/^(dist\/|README|LICENSE|package\.json)/.test(name)), []);
});

test("a consumer's compiler knows events and their fields", async () => {
  const folder = await mkdtemp(`${HERE}node_modules/.consumer-`);
  const good = `
    import { RowcastClient, type Change, type Message } from "rowcast-client";
    import messagingSystem, { MessagingManager, messagingManager } from "rowcast-client/messaging";
    import { useRowcast, useThread } from "rowcast-client/react";
    const client = new RowcastClient({ url: "https://x.example", token: async ({ refused }) => (refused ? null : "t") });
    const off: () => void = client.on("new_message", ({ data, cursor }) => { const text: string = data.content + cursor; return void text; });
    client.on("messages_read", ({ reader_id, up_to_message_id }) => void [reader_id, up_to_message_id]);
    async function read() { for await (const change of client.changes()) { const one: Change = change; if (one.type === "message_deleted") one.message_id; } }
    addEventListener("messaging:typing", ({ detail }) => void detail.conversationId);
    const people: string[] = new MessagingManager().getTypingUsers("c");
    const sent: Promise<Message> = client.send("t", "hello");
    export { off, read, people, sent, messagingSystem, messagingManager, useRowcast, useThread };
    // @ts-expect-error there is no such event
    client.on("nonsense", () => {});
    // @ts-expect-error a message has no such field
    client.on("new_message", ({ data }) => data.nonsense);
  `;
  try {
    await writeFile(`${folder}/good.ts`, good);
    const compilerOptions = { target: "es2022", module: "nodenext", strict: true, noEmit: true, lib: ["es2023", "dom", "dom.iterable"], types: [], paths: {} };
    for (const [name, file] of [["rowcast-client", "rowcast"], ["rowcast-client/messaging", "messaging"], ["rowcast-client/react", "react"]]) {
      compilerOptions.paths[name] = [`${HERE}dist/${file}.d.ts`];
    }
    await writeFile(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, include: ["good.ts"] }));
    execFileSync(process.execPath, [`${HERE}node_modules/typescript/bin/tsc`, "-p", folder], { stdio: ["ignore", "inherit", "inherit"] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("an event stream is read in whatever pieces it comes", () => {
  const stream = ': hello\r\n\r\ndata: {"a":1}\nid: x\n\ndata:one\ndata: two\r\n\r\n:\n\ndata: last\r\r';
  for (let size = 1; size <= stream.length; size++) {
    const had = [];
    const take = eventsOf((data) => had.push(data));
    for (let at = 0; at < stream.length; at += size) take(stream.slice(at, at + size));
    take("\n");
    assert.deepEqual(had, ['{"a":1}', "one\ntwo", "last"], `pieces of ${size}`);
  }
});

test("typing is said once a second at most, and is over three seconds after the last key", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const pass = (ms) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  const said = [];
  const typist = new Typist((conversation, isTyping) => said.push([conversation, isTyping, now]));
  for (let at = 0; at <= 2_500; at += 50) {
    typist.type("c");
    if (at < 2_500) pass(50);
  }
  assert.deepEqual(said, [["c", true, 0], ["c", true, 1_000], ["c", true, 2_000]]);
  pass(2_999);
  assert.equal(said.length, 3);
  pass(1);
  assert.deepEqual(said[3], ["c", false, 5_500]);
  assert.equal(typist.timeouts.size, 0);
  typist.type("c");
  typist.type("d");
  typist.clear();
  pass(10_000);
  assert.equal(said.length, 6, "its end is not said to nobody");
});

test("back-off is jittered over its whole range and bounded", () => {
  const waits = Array.from({ length: 1_000 }, () => backoff(100, 500, 30_000));
  assert.ok(waits.every((wait) => wait >= 0 && wait <= 30_000));
  assert.ok(Math.min(...waits) < 5_000 && Math.max(...waits) > 25_000);
  assert.ok(backoff(0, 500, 30_000) <= 500);
});

test("an emitter lets go of listeners, and one that throws disturbs nobody", () => {
  const emitter = new Emitter();
  const had = [];
  const stop = new AbortController();
  emitter.on("one", (event) => had.push(event), { signal: stop.signal });
  emitter.once("one", (event) => had.push(event * 10));
  const off = emitter.on("one", () => {
    throw new Error("wanted");
  });
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  emitter.emit("one", 1);
  off();
  delete globalThis.reportError;
  assert.deepEqual(reported, ["wanted"]);
  emitter.emit("one", 2);
  stop.abort();
  emitter.emit("one", 3);
  assert.deepEqual(had, [1, 10, 2]);
  assert.equal(emitter.size, 0);
});

test("what a store holds that makes no sense is as if it were not there; a slow store gets the newest", async () => {
  for (const text of ["nonsense", "[]", "null", '{"cursor":7,"polled":{"cursor":"x"}}']) {
    const place = new Place({ get: () => text, set: () => {} });
    await place.load("key");
    assert.equal(place.pollFrom, null);
  }
  const saved = [];
  const gates = [];
  const place = new Place({ get: () => null, set: (_, text) => (saved.push(JSON.parse(text).cursor), new Promise((resolve) => gates.push(resolve))) });
  await place.load("key");
  for (const cursor of ["a", "b", "c"]) place.advance(cursor);
  gates[0]();
  while (gates.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(saved, ["a", "c"]);
});

test("when a token ends is read without trusting our clock, or the token", () => {
  const token = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  const now = 1_000_000_000;
  assert.equal(endOf(token({ exp: 1_000_600 }), now), 1_000_600_000);
  assert.equal(endOf(token({ iat: 900_000, exp: 900_600 }), now), now + 600_000, "our clock is wrong by a day");
  assert.equal(endOf(token({ exp: "soon" }), now), null);
  for (const text of ["", "nonsense", "a.b.c", token(null), token([1])]) assert.equal(endOf(text, now), null);
  assert.equal(subjectOf(token({ sub: "ä/ö", exp: 1 })).length > 0, true);
});
