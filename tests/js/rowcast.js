// Runs `rowcast dev` for a test file: its own folder, free ports, and a client of its database.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import pg from "pg";

const BINARY = process.env.ROWCAST_BINARY ?? fileURLToPath(new URL("../../target/debug/rowcast", import.meta.url));
const READY_WITHIN = 60_000;

/** A running bridge; `kill` and `start` again keep its data and its ports. */
export class Rowcast {
  #folder;
  #flags = [];
  #process = null;
  #pool = null;
  #output = "";
  port = 0;
  adminPort = 0;

  /** Starts one with a folder of its own; `flags` go to `rowcast dev` each time that it starts. */
  static async start(...flags) {
    const rowcast = new Rowcast();
    rowcast.#flags = flags;
    rowcast.#folder = await mkdtemp(join(tmpdir(), "rowcast-js-"));
    await rowcast.start();
    return rowcast;
  }

  async start() {
    const ports = ["--port", String(this.port), "--admin-port", String(this.adminPort), "--database-port", "0"];
    this.#process = spawn(BINARY, ["dev", "--data-dir", this.#folder, ...ports, ...this.#flags], { stdio: ["ignore", "pipe", "pipe"] });
    const keep = (chunk) => (this.#output = (this.#output + chunk).slice(-20_000));
    this.#process.stdout.on("data", keep);
    this.#process.stderr.on("data", keep);
    const line = await this.#ready();
    const fields = Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));
    this.http = fields.http;
    this.admin = fields.admin;
    this.database = fields.database;
    [this.console] = this.#output.match(/http:\S+\/admin\/#token=\S+/) ?? [];
    this.port = Number(new URL(this.http).port);
    this.adminPort = Number(new URL(this.admin).port);
    await this.#pool?.end();
    this.#pool = new pg.Pool({ connectionString: fields.database, max: 4 });
    // Its Postgres may be stopped under an idle connection.
    this.#pool.on("error", () => {});
  }

  async #ready() {
    const signal = AbortSignal.timeout(READY_WITHIN);
    const lines = createInterface({ input: this.#process.stdout });
    const line = new Promise((resolve) => lines.on("line", (text) => text.startsWith("ready ") && resolve(text)));
    const ended = once(this.#process, "exit").then(([code]) => {
      throw new Error(`rowcast dev ended with ${code}:\n${this.#output}`);
    });
    const late = once(signal, "abort").then(() => {
      throw new Error(`rowcast dev was not ready in time:\n${this.#output}`);
    });
    ended.catch(() => {});
    late.catch(() => {});
    return Promise.race([line, ended, late]);
  }

  /** The process's number. */
  get pid() {
    return this.#process.pid;
  }

  /** Rows of a statement, as the owner of the schemas. */
  async sql(text, ...values) {
    const { rows } = await this.#pool.query(text, values);
    return rows;
  }

  /** Where the superuser of its Postgres makes databases and roles. */
  async superuser(database = "postgres") {
    const url = new URL(this.database);
    [url.username, url.password] = ["postgres", (await readFile(join(this.#folder, "superuser-password"), "utf8")).trim()];
    url.pathname = `/${database}`;
    return url.href;
  }

  /** Inserts a message as any service would and returns its uuid. */
  async say(thread, sender, content) {
    const insert = `insert into chat.messages (thread_id, sender_id, content)
      values (chat.thread($1), chat.user($2), $3) returning uuid`;
    const [{ uuid }] = await this.sql(insert, thread, sender, content);
    return uuid;
  }

  /** The demo's users by their first names: {name, user_id, token}. */
  async users() {
    const response = await fetch(`${this.http}/demo/users`);
    const users = await response.json();
    return Object.fromEntries(users.map((user) => [user.name.split(" ")[0].toLowerCase(), user]));
  }

  /** An answer of the native API: {status, body}. */
  async call(user, method, path, body) {
    const headers = { authorization: `Bearer ${user.token}`, "content-type": "application/json" };
    const response = await fetch(this.http + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: response.status, body: await response.json() };
  }

  /** The thread of a user that has this name. */
  async thread(user, name) {
    const { body } = await this.call(user, "GET", "/api/chat/threads");
    return body.data.threads.find((thread) => thread.name === name);
  }

  /** Ends the bridge at once, as a crash does. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Stops everything and leaves nothing behind. */
  async stop() {
    await this.#pool?.end().catch(() => {});
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** What arrived, to wait for instead of sleeping. */
export class Inbox {
  #items = [];
  #waiting = new Set();

  put(item) {
    this.#items.push(item);
    for (const check of this.#waiting) check();
  }

  get all() {
    return [...this.#items];
  }

  /** The first item, of those there and those to come, that fits. */
  find(fits, within = 30_000) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = this.#items.find(fits);
        if (found === undefined) return;
        this.#waiting.delete(check);
        clearTimeout(late);
        resolve(found);
      };
      const late = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`nothing fitted ${fits} among ${JSON.stringify(this.#items)}`));
      }, within);
      this.#waiting.add(check);
      check();
    });
  }
}
