// The bridge that most teams write by hand: LISTEN on a connection of `pg`, `ws` for the browsers, and a few queries over HTTP
// for what was missed. It checks no token and no membership, which costs it nothing here.
// Arguments: the folder of Postgres's socket. Prints its port.

import { createServer } from "node:http";

import pg from "pg";
import { WebSocketServer } from "ws";

const database = { host: process.argv[2], user: "bench", database: "bench" };
const pool = new pg.Pool(database);
const sockets = new Map();

const queries = {
  "GET /unread": (query) =>
    pool.query(
      `select mb.talk_id, count(m.created_at) as unread
       from talk_members mb
       left join talk_messages m on m.talk_id = mb.talk_id and m.created_at > mb.last_read_at
       where mb.user_id = $1
       group by mb.talk_id`,
      [query.get("user")],
    ),
  "GET /missed": (query) =>
    pool.query(
      `select m.*
       from talk_messages m
       join talk_members mb on mb.talk_id = m.talk_id
       where mb.user_id = $1 and m.created_at > $2
       order by m.created_at
       limit $3`,
      [query.get("user"), query.get("since"), query.get("limit")],
    ),
  "GET /posts": (query) =>
    pool.query("select * from posts_by_hand where topic = $1 order by created_at desc limit $2", [query.get("topic"), query.get("limit")]),
  "POST /posts": (_, { topic, body }) => pool.query("insert into posts_by_hand (topic, body) values ($1, $2) returning *", [topic, body]),
};

const server = createServer(async (request, response) => {
  try {
    const { pathname, searchParams } = new URL(request.url, "http://bench");
    let text = "";
    for await (const part of request) text += part;
    const { rows } = await queries[`${request.method} ${pathname}`](searchParams, text && JSON.parse(text));
    const answer = Buffer.from(JSON.stringify(rows));
    response.writeHead(200, { "content-type": "application/json", "content-length": answer.length }).end(answer);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
const wss = new WebSocketServer({ server, perMessageDeflate: false });

wss.on("connection", async (socket, request) => {
  const query = new URL(request.url, "http://bench").searchParams;
  const topic = query.get("topic");
  if (!sockets.has(topic)) sockets.set(topic, new Set());
  sockets.get(topic).add(socket);
  socket.on("close", () => sockets.get(topic).delete(socket));
  socket.on("error", () => socket.terminate());
  if (query.has("since")) {
    const missed = await pool.query(
      "select row_to_json(p)::text as row from posts_by_hand p where topic = $1 and created_at > $2 order by created_at",
      [topic, query.get("since")],
    );
    for (const { row } of missed.rows) socket.send(row);
  }
  socket.send("ready");
});

const client = new pg.Client(database);
await client.connect();
client.on("notification", ({ payload }) => {
  const { topic } = JSON.parse(payload);
  for (const socket of sockets.get(topic) ?? []) socket.send(payload);
});
await client.query("listen posts_by_hand");

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(server.address().port));
