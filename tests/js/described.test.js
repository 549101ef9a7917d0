// The descriptions of routes and messages: valid for those who read them, complete, and true of the real bridge.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { Parser } from "@asyncapi/parser";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { io } from "socket.io-client";
import WebSocket from "ws";

import { Inbox, Rowcast } from "./rowcast.js";

const ROOT = new URL("../../", import.meta.url);
const read = async (path) => JSON.parse(await readFile(new URL(path, ROOT), "utf8"));
const openapi = await read("docs/api/openapi.json");
const asyncapi = await read("docs/api/asyncapi.json");

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: "openapi", ...openapi });
ajv.addSchema({ $id: "asyncapi", ...asyncapi });

const pointer = (...names) => names.map((name) => name.replaceAll("~", "~0").replaceAll("/", "~1")).map(encodeURIComponent).join("/");

/** Holds a value against the schema at a place of a description. */
function check(description, place, value, what) {
  const valid = ajv.compile({ $ref: `${description}#/${place}` });
  assert.ok(valid(value), `${what}: ${ajv.errorsText(valid.errors)} in ${JSON.stringify(value)}`);
}

let rowcast;
let users;
let fill;

before(async () => {
  rowcast = await Rowcast.start();
  users = await rowcast.users();
  const maths = await rowcast.thread(users.ada, "Mathematics");
  fill = (text) => text.replaceAll("{thread}", maths.id).replaceAll("{other}", users.grace.user_id);
});
after(() => rowcast.stop());

function* operations() {
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const [method, operation] of Object.entries(methods)) yield { path, method, operation };
  }
}

/** The address of an operation, by its parameters' examples. */
function address({ path, operation }) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, in: where, example } of operation.parameters ?? []) {
    if (example === undefined) continue;
    const value = fill(String(example));
    if (where === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value));
    if (where === "query") query.set(name, value);
  }
  return `${filled}?${query}`;
}

async function ask(one, token) {
  const { operation, method } = one;
  const headers = { "content-type": "application/json" };
  if (token && operation.security === undefined) headers.authorization = `Bearer ${token}`;
  const example = operation.requestBody?.content["application/json"].example;
  const body = example && fill(JSON.stringify(example));
  const signal = AbortSignal.timeout(30_000);
  return fetch(rowcast.http + address(one), { method: method.toUpperCase(), headers, body, redirect: "manual", signal });
}

/** Opens a socket at an operation's address; the status of the answer. */
function shake(one, token) {
  const key = token && one.operation.tags.includes("supabase") ? `&apikey=${token}` : "";
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(rowcast.http.replace("http", "ws") + address(one) + key, { headers: token ? { authorization: `Bearer ${token}` } : {} });
    socket.on("upgrade", (response) => resolve([response.statusCode, null]));
    socket.on("open", () => socket.close());
    socket.on("error", reject);
    socket.on("unexpected-response", async (_, response) => {
      let text = "";
      for await (const part of response) text += part;
      resolve([response.statusCode, text]);
    });
  });
}

/** Holds an answer against what is said of it. */
function told(one, status, text) {
  const { path, method, operation } = one;
  const what = `${method} ${path} → ${status} ${text}`;
  let place = ["paths", path, method, "responses", String(status)];
  let response = operation.responses[String(status)];
  assert.ok(response, `${what} is not described`);
  if (response.$ref) {
    place = response.$ref.slice(2).split("/");
    response = openapi.components.responses[place.at(-1)];
  }
  if (response.content?.["application/json"]) {
    check("openapi", pointer(...place, "content", "application/json", "schema"), JSON.parse(text), what);
  }
}

test("the descriptions are what their standards say, and are served", async () => {
  for (const [path, wanted] of [["/openapi.json", openapi], ["/asyncapi.json", asyncapi]]) {
    const response = await fetch(rowcast.http + path);
    assert.match(response.headers.get("content-type"), /^application\/json/);
    assert.deepEqual(await response.json(), wanted);
  }
  const validator = new Validator();
  const result = await validator.validate(structuredClone(openapi));
  assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
  assert.equal(validator.version, "3.1");
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapi));
  const errors = diagnostics.filter(({ severity }) => severity === 0);
  assert.deepEqual(errors, []);
  assert.ok(document);
});

test("every route of the README and of the transcripts is described", async () => {
  const known = [...operations()].map(({ path, method }) => {
    const shape = path.replace(/\/$/, "").replace(/[.]/g, "\\.").replace(/\{[^}]+\}/g, "[^/]+");
    return { method, fits: new RegExp(`^${shape}/?$`) };
  });
  const isKnown = (method, path) => known.some((one) => one.method === method.toLowerCase() && one.fits.test(path));
  const found = new Set();
  const readme = await readFile(new URL("README.md", ROOT), "utf8");
  for (const [, methods, path] of readme.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE)) (\/[^\s`?]*)/g)) found.add(`${methods} ${path}`);
  const golden = new URL("tests/golden/", ROOT);
  for (const folder of await readdir(golden, { withFileTypes: true })) {
    if (!folder.isDirectory()) continue;
    for (const file of await readdir(new URL(`${folder.name}/`, golden))) {
      const lines = (await readFile(new URL(`${folder.name}/${file}`, golden), "utf8")).split("\n");
      lines.forEach((line, at) => {
        const [, method, path] = /^\? \S+ ([A-Z]+) ([^\s?]+)/.exec(line) ?? [];
        if (method && /^= 2/.test(lines[at + 1] ?? "")) found.add(`${method} ${path}`);
      });
    }
  }
  assert.ok(found.size > 40, String(found.size));
  const missing = [...found].filter((one) => !isKnown(...one.split(" ")));
  assert.deepEqual(missing, []);
});

/** Holds a message of a dialect against its schema. */
function said(dialect, name, payload) {
  const key = `${dialect}.${name}`;
  assert.ok(asyncapi.components.messages[key], `${key} is not described: ${JSON.stringify(payload)}`);
  check("asyncapi", pointer("components", "messages", key, "payload"), payload, key);
}

async function socket(path, token, protocols = []) {
  const inbox = new Inbox();
  const stream = new WebSocket(rowcast.http.replace("http", "ws") + path, protocols, { headers: { authorization: `Bearer ${token}` } });
  stream.on("message", (data) => inbox.put(JSON.parse(data)));
  await new Promise((resolve, reject) => stream.on("open", resolve).on("error", reject));
  return { inbox, say: (frame) => stream.send(JSON.stringify(frame)), close: () => stream.close() };
}

test("what real sockets of native and rooms say is described", async () => {
  const thread = fill("{thread}");
  const ada = await socket("/ws", users.ada.token);
  const grace = await socket("/ws", users.grace.token);
  const ask = (who, frame) => {
    said("native", `request.${frame.type}`, frame);
    who.say(frame);
  };
  for (const who of [ada, grace]) {
    ask(who, { type: "subscribe_thread", thread_id: thread, ref: "s" });
    await who.inbox.find(({ type }) => type === "thread_subscribed");
  }
  ask(grace, { type: "typing", thread_id: thread, is_typing: true });
  await ada.inbox.find(({ type }) => type === "typing");
  ask(grace, { type: "send_message", thread_id: thread, content: "Good morning", ref: 1 });
  const { data } = await ada.inbox.find(({ type }) => type === "new_message");
  await grace.inbox.find(({ type }) => type === "message_sent");
  ask(ada, { type: "mark_delivered", thread_id: thread, message_id: data.id });
  ask(ada, { type: "mark_read", thread_id: thread });
  await grace.inbox.find(({ type }) => type === "messages_read");
  await grace.inbox.find(({ type }) => type === "message_delivered");
  await rowcast.sql("update chat.messages set content = 'Good evening' where uuid = $1", data.id);
  const { cursor } = await ada.inbox.find(({ type }) => type === "message_updated");
  await rowcast.sql("update chat.messages set deleted_at = now() where uuid = $1", data.id);
  await ada.inbox.find(({ type }) => type === "message_deleted");
  ask(ada, { type: "authenticate", token: users.ada.token });
  await ada.inbox.find(({ type }) => type === "authenticated");
  ask(ada, { type: "resume", cursor, ref: "r" });
  await ada.inbox.find(({ type }) => type === "resumed");
  ask(ada, { type: "ping" });
  await ada.inbox.find(({ type }) => type === "pong");
  ada.say({ type: "nonsense" });
  await ada.inbox.find(({ type }) => type === "error");
  ask(ada, { type: "unsubscribe_thread", thread_id: thread });
  await ada.inbox.find(({ type }) => type === "thread_unsubscribed");
  for (const frame of [...ada.inbox.all, ...grace.inbox.all]) said("native", frame.type, frame);

  const room = await socket(`/ws/chat/${thread}/`, users.ada.token);
  const other = await socket(`/ws/chat/${thread}/`, users.grace.token);
  for (const frame of [{ type: "message", content: "Hi" }, { type: "typing", is_typing: true }, { type: "ping" }]) {
    said("rooms", `request.${frame.type}`, frame);
    room.say(frame);
  }
  room.say({ type: "message" });
  for (const kind of ["message", "pong", "error"]) await room.inbox.find(({ type }) => type === kind);
  await other.inbox.find(({ type }) => type === "typing");
  for (const frame of [...room.inbox.all, ...other.inbox.all]) said("rooms", frame.type, frame);
  for (const one of [ada, grace, room, other]) one.close();
});

function client(dialect, token) {
  const inbox = new Inbox();
  const socket = io(rowcast.http, { auth: { token }, query: { dialect }, transports: ["websocket"], forceNew: true });
  socket.onAny((event, payload) => inbox.put({ event, payload }));
  const emit = async (event, payload) => {
    said(dialect, `request.${event}`, payload);
    return socket.timeout(20_000).emitWithAck(event, payload);
  };
  return { inbox, socket, emit };
}

test("what Socket.IO says in direct and conversations is described", async () => {
  const [thread, other] = [fill("{thread}"), users.grace.user_id];
  const ada = client("direct", users.ada.token);
  const grace = client("direct", users.grace.token);
  const event = (name) => (item) => item.event === name;
  await grace.emit("join_conversation", { other_user_id: users.ada.user_id });
  const { room_id } = await ada.emit("join_conversation", { other_user_id: other });
  await ada.emit("typing", { receiver_id: other });
  await ada.emit("stop_typing", { receiver_id: other });
  const { message_id } = await ada.emit("send_message_realtime", { receiver_id: other, content: "Hi" });
  await grace.inbox.find(event("new_message"));
  await grace.emit("mark_delivered", { message_id });
  await grace.emit("mark_read_realtime", { other_user_id: users.ada.user_id });
  for (const name of ["message_delivered", "messages_read"]) await ada.inbox.find(event(name));
  await grace.inbox.find(event("user_stopped_typing"));
  await ada.emit("leave_conversation", { room_id });
  for (const { event, payload } of [...ada.inbox.all, ...grace.inbox.all]) said("direct", event, payload);

  const linus = client("conversations", users.linus.token);
  const late = client("conversations", users.ada.token);
  for (const one of [linus, late]) await one.emit("subscribe_conversation", { conversationId: thread });
  await linus.emit("typing", { conversationId: thread, isTyping: true });
  await late.inbox.find(event("typing:status"));
  await linus.emit("message:send", { conversationId: thread, content: "Hello" });
  await late.inbox.find(event("new_message"));
  await late.emit("conversation:read", { conversationId: thread });
  await linus.inbox.find(event("message:read"));
  await linus.inbox.find(event("conversation:updated"));
  await late.emit("unsubscribe_conversation", { conversationId: thread });
  for (const { event, payload } of [...linus.inbox.all, ...late.inbox.all]) said("conversations", event, payload);
  for (const { socket } of [ada, grace, linus, late]) socket.disconnect();
});

test("what Phoenix channels say is described", async () => {
  const one = await socket(`/realtime/v1/websocket?vsn=2.0.0&apikey=${users.ada.token}`, users.ada.token);
  const push = (frame) => {
    said("supabase", "request.frame", frame);
    one.say(frame);
  };
  push(["1", "1", "realtime:room", "phx_join", { config: { broadcast: { self: true, ack: true }, presence: { enabled: true, key: "a" }, postgres_changes: [] } }]);
  await one.inbox.find((frame) => frame[1] === "1");
  push(["1", "2", "realtime:room", "broadcast", { type: "broadcast", event: "said", payload: { text: "Hi" } }]);
  push(["1", "3", "realtime:room", "presence", { type: "presence", event: "track", payload: { at: "here" } }]);
  push([null, "4", "phoenix", "heartbeat", {}]);
  await one.inbox.find((frame) => frame[3] === "broadcast");
  await one.inbox.find((frame) => frame[3] === "presence_diff");
  await one.inbox.find((frame) => frame[1] === "4");
  push(["1", "5", "realtime:room", "phx_leave", {}]);
  await one.inbox.find((frame) => frame[3] === "phx_close" || frame[1] === "5");
  for (const frame of one.inbox.all) said("supabase", "frame", frame);
  one.close();
});

// Last, for it ends a token.
test("every operation answers as it is described, with a token and without", async (t) => {
  // Who logs out comes last.
  const all = [...operations()].sort((a, b) => (a.operation.operationId === "logout") - (b.operation.operationId === "logout"));
  for (const one of all) {
    const { operation } = one;
    await t.test(operation.operationId, async () => {
      const success = Number(Object.keys(operation.responses).find((status) => status < 400));
      const open = operation.security !== undefined;
      if (success === 101) {
        const [status] = await shake(one, users.ada.token);
        assert.equal(status, 101);
        const [refused, text] = await shake(one, null);
        assert.ok(refused === 401 || refused === 403, String(refused));
        told(one, refused, text);
        return;
      }
      const answer = await ask(one, users.ada.token);
      const stream = answer.headers.get("content-type")?.startsWith("text/event-stream");
      const text = stream ? "" : await answer.text();
      if (stream) await answer.body.cancel();
      assert.equal(answer.status, success, text);
      told(one, answer.status, text);
      if (open) return;
      const refused = await ask(one, null);
      assert.equal(refused.status, 401);
      told(one, 401, await refused.text());
    });
  }
});
