//! The clients of the other dialects in a run: who there is, and the line that each dialect gets in the summary.

use std::collections::HashMap;

use serde_json::json;
use tokio::task::JoinSet;

use super::{
    conversations::Conversations,
    diary::{Diary, Tongue},
    dice::Dice,
    direct::Direct,
    guests, lasting,
    longpoll::{self, By},
    record::Record,
    rooms::{self, Rooms},
    say,
    sockets::Line,
    supabase::{self, Notebook},
    tally::{Messages, Tally},
    world::{Key, World},
};
use crate::harness::app;

/// All tongues of those who keep diaries.
const TONGUES: [Tongue; 4] =
    [Tongue::Longpoll, Tongue::Rooms, Tongue::Conversations, Tongue::Direct];

/// Starts so many clients of each kind.
pub(crate) fn start(
    seed: u64,
    world: World,
    each: i64,
    line: &dyn Fn(i64) -> Line,
) -> JoinSet<Diary> {
    let mut guests = JoinSet::new();
    for nth in 0..each {
        // Not the one who writes: to its author a message is not unread.
        let user = 2 + nth % (world.users - 1);
        let threads = world.threads_of(user);
        let one = vec![threads[usize::try_from(nth).expect("a few") % threads.len()]];
        let dice = |kind: u64| Dice::new(seed, 30_000 + 100 * kind + nth.unsigned_abs());
        let diary = |tongue, kind: &str, threads: &[i64]| {
            Diary::new(tongue, format!("{tongue:?} {kind} {nth}"), user, threads.to_vec())
        };
        // In a direct thread the user writes, too, and what one wrote oneself is no update.
        let unread: Vec<i64> =
            threads.iter().copied().filter(|&thread| world.pair(thread).is_none()).collect();
        for (kind, by) in [(1, By::Messages), (2, By::Session), (3, By::Check)] {
            let threads = if by == By::Messages { &one } else { &unread };
            let diary = diary(Tongue::Longpoll, &format!("by {by:?}"), threads);
            // What was last given goes by session: each has its own.
            let line = Line { token: session(user, &diary.name), ..line(user) };
            guests.spawn(longpoll::poll(line, by, diary, dice(kind)));
        }
        guests.spawn(rooms::poll(line(user), diary(Tongue::Rooms, "poll", &one), dice(4)));
        let room = diary(Tongue::Rooms, "socket", &one);
        guests.spawn(guests::live::<Rooms>(line(user), room, dice(5)));
        let all = diary(Tongue::Conversations, "socket", &threads);
        guests.spawn(guests::live::<Conversations>(line(user), all, dice(6)));
        let user = 1 + nth % (2 * world.pairs);
        let direct = vec![world.direct_of(user)];
        let direct = Diary::new(Tongue::Direct, format!("Direct socket {nth}"), user, direct);
        guests.spawn(guests::live::<Direct>(line(user), direct, dice(7)));
    }
    guests
}

/// Judges what they heard, and prints a line for each dialect.
pub(crate) fn judge(
    diaries: &[Diary],
    notebooks: &[Notebook],
    record: &Record,
    acked: &HashMap<Key, i64>,
) -> Vec<Tally> {
    let messages = Messages::of(record, acked);
    let judged = TONGUES.map(|tongue| (tongue, messages.tally(diaries, tongue)));
    let subscribers = (Tongue::Supabase, supabase::judge(notebooks, record, acked));
    let judged = judged.into_iter().chain([subscribers]);
    judged
        .map(|(tongue, tally)| {
            say(&tally.line(tongue));
            tally
        })
        .collect()
}

fn session(user: i64, name: &str) -> String {
    app::token_with(&lasting(json!({ "sub": user.to_string(), "jti": name })))
}
