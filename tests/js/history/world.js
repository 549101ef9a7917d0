// The world of a run: an open table and one with row security, who may see what, and an audit that is not ours.

import { createHmac } from "node:crypto";

/** What the bridge of these tests is started with, and what tokens are signed with. */
export const SECRET = "a secret of the tests, long enough for HS256";

export const ROOMS = 5;
export const USERS = Array.from({ length: 5 }, (_, n) => `00000000-0000-4000-8000-0000000000e${n}`);

const TABLES = `
  create table public.notes (
    id bigint generated always as identity primary key,
    room int not null,
    owner uuid,
    version int not null default 1,
    body text not null);
  create table public.tasks (like public.notes including all);
  alter table public.tasks enable row level security;
  create policy own on public.tasks for select to authenticated using (owner = auth.uid());
  create policy everything on public.tasks for select to service_role using (true);
  grant usage on schema public to anon, authenticated, service_role;
  grant select on public.notes to anon, authenticated, service_role;
  grant select on public.tasks to anon, authenticated, service_role;

  create table public.audit (
    nth bigint generated always as identity,
    "table" text not null,
    op text not null,
    id bigint not null,
    version int not null,
    room int not null,
    owner uuid,
    body text not null,
    at timestamptz not null default clock_timestamp(),
    writer int not null default current_setting('test.writer')::int,
    act int not null default current_setting('test.act')::int);
  create function public.audit() returns trigger language plpgsql as $$
  begin
    insert into public.audit ("table", op, id, version, room, owner, body)
    select tg_table_name, tg_op, r.id, r.version, r.room, r.owner, r.body
    from (select (case tg_op when 'DELETE' then old else new end).*) r;
    return null;
  end $$;
  create trigger audit after insert or update or delete on public.notes for each row execute function public.audit();
  create trigger audit after insert or update or delete on public.tasks for each row execute function public.audit();

  select rowcast.watch('public.notes'), rowcast.watch('public.tasks', identity => 'full');`;

export const createWorld = (rowcast) => rowcast.sql(TABLES);

/** A token as an identity provider would sign it. */
export function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1000) + 3_600, ...claims })}`;
  return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
}

export const userToken = (sub) => token({ role: "authenticated", sub });

/** All that was committed: {key, row, op, table, room, owner, body, at, writer, act}, each row's in its order. */
export async function committed(rowcast) {
  const rows = await rowcast.sql(`select "table", op, id, version, room, owner, body, writer, act,
    (extract(epoch from at) * 1000)::float8 as at from public.audit order by nth`);
  return rows.map((row) => ({ ...row, key: keyOf(row.table, row.op, row.id, row.version), row: `${row.table} ${row.id}` }));
}

/** A change's name, the same in the audit and in what clients get; a row is deleted once. */
export const keyOf = (table, op, id, version) => `${table} ${op} ${id}${op === "DELETE" ? "" : ` v${version}`}`;
