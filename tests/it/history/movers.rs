//! Movers: users who come into threads and leave them again while everything else goes on.

use std::time::Duration;

use rowcast::db::Target;
use tokio_postgres::Client;

use super::{dice::Dice, ground::now, world::Stay, writers::Desk};

/// Comes and goes until there is enough; ends inside every second thread.
pub(crate) async fn wander(desk: Desk, user: i64) {
    let mut dice = Dice::new(desk.seed, 2_000 + user.unsigned_abs());
    let mut client = None;
    let mut within: Vec<Option<Stay>> = desk.world.moving().map(|_| None).collect();
    while !*desk.enough.borrow() {
        let nth = dice.index(within.len());
        step(&desk, user, nth, &mut within, &mut client).await;
        // Sometimes out and in again at once, which is where a subscription may get lost.
        if !dice.chance(40) {
            tokio::time::sleep(dice.millis(20, 600)).await;
        }
    }
    for nth in 0..within.len() {
        if within[nth].is_some() != nth.is_multiple_of(2) {
            step(&desk, user, nth, &mut within, &mut client).await;
        }
    }
    desk.ledger.stays.lock().expect("whole").extend(within.into_iter().flatten());
}

/// Comes in where the user is out, leaves where it is in.
async fn step(
    desk: &Desk,
    user: i64,
    nth: usize,
    within: &mut [Option<Stay>],
    client: &mut Option<Client>,
) {
    let thread = desk.world.moving().nth(nth).expect("a thread");
    let asked = now();
    if let Some(mut stay) = within[nth].take() {
        make_so(desk, user, thread, false, client).await;
        (stay.leaving, stay.left) = (Some(asked), Some(now()));
        desk.ledger.stays.lock().expect("whole").push(stay);
    } else {
        make_so(desk, user, thread, true, client).await;
        let joined = now();
        within[nth] = Some(Stay { user, thread, asked, joined, leaving: None, left: None });
    }
}

/// Tries until the database says that it is so.
async fn make_so(desk: &Desk, user: i64, thread: i64, inside: bool, slot: &mut Option<Client>) {
    let sql = if inside {
        "insert into chat.members (thread_id, user_id) values ($1, $2) on conflict do nothing"
    } else {
        "delete from chat.members where thread_id = $1 and user_id = $2"
    };
    loop {
        if slot.as_ref().is_none_or(Client::is_closed) {
            let target = Target::parse(&desk.url).expect("a URL");
            *slot = target.client(&desk.lifecycle).await.ok();
        }
        match slot {
            Some(client) if client.execute(sql, &[&thread, &user]).await.is_ok() => return,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
