// Writers: plain SQL by any service, in transactions of every kind.

import pg from "pg";

import { Dice } from "./dice.js";
import { ROOMS, USERS } from "./world.js";

const INSERT = (table) => `insert into public.${table} (room, owner, body) values ($1, $2, $3) returning id`;
const UPDATE = (table) =>
  `update public.${table} set version = version + 1, room = $2, body = $3 where id = $1 returning id`;
const DELETE = (table) => `delete from public.${table} where id = $1`;
const BULK = (table) =>
  `insert into public.${table} (room, owner, body) select $1 + n % $2, $3, 'bulk ' || n from generate_series(1, $4) n returning id`;

/** One writer; it does one transaction after another until it is told to stop. */
export class Writer {
  #client;
  #dice;
  #number;
  #act = 0;
  #rows;
  #longest;

  /** `rows` are the ids that all writers share: {notes: [], tasks: []}. */
  constructor(database, seed, number, rows, longest) {
    this.#client = new pg.Client({ connectionString: database });
    this.#dice = new Dice(seed, 100 + number);
    this.#number = number;
    this.#rows = rows;
    this.#longest = longest;
  }

  async run(goesOn) {
    await this.#client.connect();
    while (goesOn()) {
      await this.#transaction(this.#dice.pick(KINDS));
      await new Promise((resolve) => setTimeout(resolve, this.#dice.between(0, 60)));
    }
  }

  /** Something for everybody, so that all have a last thing to wait for. */
  async last(word) {
    await this.#begin();
    for (const table of ["notes", "tasks"]) {
      for (let room = 0; room < ROOMS; room++) {
        for (const owner of USERS) await this.#client.query(INSERT(table), [room, owner, word]);
      }
    }
    await this.#client.query("commit");
  }

  end() {
    return this.#client.end();
  }

  async #begin() {
    await this.#client.query("begin");
    const stamp = "select set_config('test.writer', $1, false), set_config('test.act', $2, false)";
    await this.#client.query(stamp, [String(this.#number), String(++this.#act)]);
  }

  async #transaction(kind) {
    const mine = [];
    await this.#begin();
    try {
      if (kind === "bulk") await this.#bulk(mine);
      else await this.#few(kind, mine);
      await this.#client.query(kind === "rolled back" ? "rollback" : "commit");
    } catch (error) {
      // Two that touch the same rows in opposite order: one of them has to go, and has then done nothing.
      if (error.code !== "40P01") throw error;
      await this.#client.query("rollback");
      return;
    }
    if (kind !== "rolled back") for (const [table, id] of mine) this.#rows[table].push(id);
  }

  async #few(kind, mine) {
    const statements = kind === "short" ? 1 : this.#dice.between(2, 6);
    for (let n = 0; n < statements; n++) {
      const undone = kind === "savepoint" && this.#dice.chance(50);
      const wrote = [];
      if (undone) await this.#client.query("savepoint here");
      await this.#statement(wrote);
      if (undone) await this.#client.query("rollback to here");
      else mine.push(...wrote);
      if (kind === "long") await this.#client.query("select pg_sleep($1)", [this.#dice.between(20, this.#longest) / 1000 / statements]);
    }
  }

  async #statement(mine) {
    const dice = this.#dice;
    const table = dice.pick(["notes", "tasks"]);
    const rows = this.#rows[table];
    const body = `by ${this.#number} in ${this.#act}`;
    if (rows.length < 20 || dice.chance(45)) {
      const { rows: [row] } = await this.#client.query(INSERT(table), [dice.below(ROOMS), dice.pick(USERS), body]);
      mine.push([table, row.id]);
    } else if (dice.chance(75)) {
      await this.#client.query(UPDATE(table), [dice.pick(rows), dice.below(ROOMS), body]);
    } else {
      await this.#client.query(DELETE(table), rows.splice(dice.below(rows.length), 1));
    }
  }

  async #bulk(mine) {
    const table = this.#dice.pick(["notes", "tasks"]);
    const { rows } = await this.#client.query(BULK(table), [0, ROOMS, this.#dice.pick(USERS), this.#dice.between(50, 400)]);
    if (this.#dice.chance(30)) await this.#client.query(`delete from public.${table} where id = any($1)`, [rows.map((row) => row.id)]);
    else mine.push(...rows.slice(0, 20).map((row) => [table, row.id]));
  }
}

const KINDS = [...Array(10).fill("short"), "several", "several", "several", "long", "long", "savepoint", "rolled back", "bulk"];
