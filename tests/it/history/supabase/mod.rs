//! Clients of the `supabase` dialect: Phoenix frames on a WebSocket, a table that follows the chat's messages, cursors or times.
//!
//! Held to: lost 0, deletions and edits too, and the changes of a row in their order. Who applies what came when its cursor
//! comes has twice 0; who applies it at once may have again what came after the last cursor of a broken connection; who goes
//! on from a `commit_timestamp` what a time may repeat.

mod life;
mod notebook;
mod verdict;
mod wire;

use serde_json::json;
use tokio::task::JoinSet;

pub(super) use self::{
    life::live,
    notebook::{How, Notebook, Wish},
    verdict::judge,
};
use super::{dice::Dice, lasting, sockets::Line, world::World};
use crate::harness::app;

/// A table for everybody's wishes, which follows the chat's messages: the chat's own tables have topics of their own.
pub(super) const TABLES: &str = "
    create table public.posts (id uuid primary key, room bigint not null, content text not null);
    alter table public.posts enable row level security;
    grant usage on schema public to anon, authenticated;
    grant select on public.posts to anon, authenticated;
    create policy all_of_them on public.posts for select to anon using (true);
    create policy own_rooms on public.posts for select to authenticated
        using (room = any (string_to_array(auth.jwt() ->> 'rooms', ',')::bigint[]));

    create function public.post() returns trigger language plpgsql as $$
    begin
        if tg_op = 'INSERT' then
            insert into public.posts select n.uuid, n.thread_id, n.content from new_rows n;
        elsif tg_op = 'UPDATE' then
            delete from public.posts p using new_rows n where p.id = n.uuid and n.deleted_at is not null;
            update public.posts p set content = n.content from new_rows n
            where p.id = n.uuid and n.deleted_at is null and p.content <> n.content;
        else
            delete from public.posts p using old_rows o where p.id = o.uuid;
        end if;
        return null;
    end $$;
    create trigger post_new after insert on chat.messages
        referencing new table as new_rows for each statement execute function public.post();
    create trigger post_edited after update on chat.messages
        referencing new table as new_rows for each statement execute function public.post();
    create trigger post_deleted after delete on chat.messages
        referencing old table as old_rows for each statement execute function public.post();
    select rowcast.watch('public.posts', identity => 'full');
    -- of long ago, for who goes on from a time that a clock set back has made one of before all this
    insert into rowcast.checkpoints values (clock_timestamp() - interval '2 days', pg_current_snapshot());
    select rowcast.checkpoint();
";

/// Starts so many clients of each kind.
pub(super) fn start(
    seed: u64,
    world: World,
    each: i64,
    line: &dyn Fn(i64) -> Line,
) -> JoinSet<Notebook> {
    let mut clients = JoinSet::new();
    for nth in 0..each {
        let user = 1 + nth % world.users;
        let rooms = world.threads_of(user);
        let one = vec![rooms[usize::try_from(nth).expect("a few") % rooms.len()]];
        let all: Vec<i64> = (1..=world.all()).collect();
        for (kind, (how, wish, rooms)) in [
            // Row security leaves a user no more than its own rooms.
            (How::Held, Wish::All, rooms.clone()),
            (How::Raw, Wish::In, rooms),
            (How::Raw, Wish::All, all),
            (How::Held, Wish::Inserts, one.clone()),
            (How::Since, Wish::In, one),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("Supabase {how:?} {wish:?} {nth}");
            let own = (kind == 0).then_some(rooms.as_slice());
            let tokens = [token(user, own, 1), token(user, own, 2)];
            let dice = Dice::new(seed, 40_000 + 100 * kind as u64 + nth.unsigned_abs());
            clients.spawn(live(line(user), tokens, Notebook::new(name, how, wish, rooms), dice));
        }
    }
    clients
}

/// A token of a user with rooms of its own, or of anybody; each edition is another token that says the same.
fn token(user: i64, rooms: Option<&[i64]>, edition: i64) -> String {
    let mut payload = lasting(json!({ "role": "anon", "edition": edition }));
    if let Some(rooms) = rooms {
        let rooms: Vec<String> = rooms.iter().map(i64::to_string).collect();
        payload["role"] = "authenticated".into();
        payload["sub"] = user.to_string().into();
        payload["rooms"] = rooms.join(",").into();
    }
    app::token_with(&payload)
}
