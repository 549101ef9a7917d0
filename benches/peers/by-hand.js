// The bridge that most teams write by hand: LISTEN on a connection of `pg`, and `ws` for the browsers.
// Arguments: the folder of Postgres's socket. Prints its port.

import { createServer } from "node:http";

import pg from "pg";
import { WebSocketServer } from "ws";

const sockets = new Map();
const server = createServer();
const wss = new WebSocketServer({ server, perMessageDeflate: false });

wss.on("connection", (socket, request) => {
  const topic = new URL(request.url, "http://bench").searchParams.get("topic");
  if (!sockets.has(topic)) sockets.set(topic, new Set());
  sockets.get(topic).add(socket);
  socket.on("close", () => sockets.get(topic).delete(socket));
  socket.on("error", () => socket.terminate());
  socket.send("ready");
});

const client = new pg.Client({ host: process.argv[2], user: "bench", database: "bench" });
await client.connect();
client.on("notification", ({ payload }) => {
  const { topic } = JSON.parse(payload);
  for (const socket of sockets.get(topic) ?? []) socket.send(payload);
});
await client.query("listen posts_by_hand");

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(server.address().port));
