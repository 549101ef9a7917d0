// A node of Socket.IO with its Postgres adapter: what another process emitted comes by NOTIFY.
// Arguments: the folder of Postgres's socket. Prints its port.

import { createServer } from "node:http";

import { createAdapter } from "@socket.io/postgres-adapter";
import pg from "pg";
import { Server } from "socket.io";

const pool = new pg.Pool({ host: process.argv[2], user: "bench", database: "bench" });
await pool.query("create table if not exists socket_io_attachments (id bigserial unique, created_at timestamptz default now(), payload bytea)");

const server = createServer();
// Pings would be measured instead of the work.
const io = new Server(server, { transports: ["websocket"], pingInterval: 1_800_000, pingTimeout: 1_800_000 });
io.adapter(createAdapter(pool));
io.on("connection", (socket) => {
  socket.join(socket.handshake.query.topic);
  socket.emit("ready");
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(server.address().port));
