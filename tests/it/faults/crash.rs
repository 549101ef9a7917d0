//! Crashes of Postgres: transaction numbers that had not reached the disk are given out again.

use std::time::Duration;

use rowcast::cursor::{HistoryId, Position};

use super::{PAIR, messages, open, say};
use crate::history::ground::{Clock, Ground, Terrain, until};

/// Nothing is flushed but by commits that wait for it.
const LAZY: &[(&str, &str)] = &[("wal_writer_delay", "10s")];
const NUMBERS: u64 = 300;
const RISKED: usize = 3;

#[tokio::test]
async fn a_client_that_saw_what_a_crash_undid_gets_what_came_instead() {
    let ground = Ground::start_with(PAIR, &[], LAZY).await;
    let (mut live, _) = open(&ground, 1, None).await;
    for attempt in 0..5 {
        let client = ground.client().await;
        // A sequence logs its numbers by the dozen: up to where the next ones are not on the disk.
        let ahead = "select log_cnt from rowcast.changes_id_seq";
        let mut kept = 0;
        while client.query_one(ahead, &[]).await.expect("done").get::<_, i64>(0) != 0 {
            client.batch_execute(&say(format!("{attempt}, kept {kept}"))).await.expect("done");
            kept += 1;
        }
        // A writer that does not wait for the disk: seen by everybody, and then it never was.
        client.batch_execute("set synchronous_commit = off").await.expect("done");
        for nth in 0..RISKED {
            client.batch_execute(&say(format!("{attempt}, at risk {nth}"))).await.expect("done");
        }
        let (_, cursor) = messages(&mut live, kept + RISKED).await;
        ground.postgres.kill();
        ground.postgres.restart().await;

        let client = ground.client().await;
        let there =
            format!("select count(*) from chat.messages where content like '{attempt}, at%'");
        let row = client.query_one(&there, &[]).await.expect("done");
        let said: Vec<String> = (0..12).map(|nth| format!("{attempt}, after {nth}")).collect();
        for content in &said {
            client.batch_execute(&say(content)).await.expect("done");
        }
        assert_eq!(messages(&mut live, said.len()).await.0, said);
        let (mut late, _) = open(&ground, 1, Some(&cursor)).await;
        assert_eq!(messages(&mut late, said.len()).await.0, said);
        if row.get::<_, i64>(0) < RISKED as i64 {
            return;
        }
    }
    panic!("five crashes undid nothing");
}

#[tokio::test]
async fn changes_under_numbers_that_a_crash_gave_out_twice_are_delivered() {
    numbers_given_out_twice(Terrain::Plain, 0).await;
}

#[tokio::test]
async fn they_are_delivered_too_when_the_clock_was_set_forward_before_the_crash() {
    numbers_given_out_twice(Terrain::Clocks, 3_600).await;
}

#[tokio::test]
async fn clients_are_told_when_it_was_set_back_before_the_crash() {
    numbers_given_out_twice(Terrain::Clocks, -600).await;
}

async fn numbers_given_out_twice(terrain: Terrain, set: i64) {
    if terrain == Terrain::Clocks && !Clock::can_be_made() {
        return crate::history::say("SKIPPED: no clock can be set here");
    }
    for _ in 0..5 {
        if are_given_out_twice(terrain, set).await {
            return;
        }
    }
    panic!("five crashes gave no number out twice");
}

/// Plays a crash, with the clock set before it; false when all numbers had reached the disk by chance.
async fn are_given_out_twice(terrain: Terrain, set: i64) -> bool {
    let ground = Ground::start_on(terrain, PAIR, &[], LAZY).await;
    let (mut live, start) = open(&ground, 1, None).await;
    ground.sql(&say("before")).await;
    assert_eq!(messages(&mut live, 1).await.0, ["before"]);

    // Numbers that are finished for the feed and unknown to the disk.
    let client = ground.client().await;
    let mut last = 0;
    for _ in 0..NUMBERS {
        client.batch_execute("begin").await.expect("done");
        let row = client.query_one("select pg_current_xact_id()::text", &[]).await.expect("done");
        last = row.get::<_, String>(0).parse().expect("done");
        client.batch_execute("rollback").await.expect("done");
    }
    let history = client.query_one("select rowcast.history()", &[]).await.expect("done");
    let history = HistoryId::of(history.get(0));
    until("past the numbers", Duration::from_secs(20), || async {
        let (_, cursor) = open(&ground, 1, None).await;
        let position = Position::decode(&cursor, history).expect("done").expect("ours");
        position.base.snapshot.xmax() > last
    })
    .await;
    let (_, crashed) = open(&ground, 1, None).await;
    if set != 0 {
        ground.postgres.step_clock(set);
    }
    ground.postgres.kill();
    ground.postgres.restart().await;

    let client = ground.client().await;
    let row = client.query_one("select pg_current_xact_id()::text", &[]).await.expect("done");
    let again: u64 = row.get::<_, String>(0).parse().expect("done");
    if again >= last {
        return false;
    }
    let said: Vec<String> = (0..40).map(|nth| format!("after {nth}")).collect();
    for content in &said {
        client.batch_execute(&say(content)).await.expect("done");
    }
    if set < 0 {
        // Nothing tells these from what there was before: all begin anew, once.
        live.until("resync_required").await;
        let (mut late, _) = open(&ground, 1, Some(&crashed)).await;
        late.until("resync_required").await;
        ground.sql(&say("at last")).await;
        // What is behind that place in the log comes as ever.
        for socket in [&mut live, &mut late] {
            while messages(socket, 1).await.0 != ["at last"] {}
        }
        return true;
    }
    assert_eq!(messages(&mut live, said.len()).await.0, said);
    let (mut late, _) = open(&ground, 1, Some(&crashed)).await;
    assert_eq!(messages(&mut late, said.len()).await.0, said);
    let (mut all, _) = open(&ground, 1, Some(&start)).await;
    assert_eq!(messages(&mut all, 1 + said.len()).await.0[1..], said);

    // And live again, for all of them, under numbers that are still those of before.
    client.batch_execute(&say("at last")).await.expect("done");
    for socket in [&mut live, &mut late, &mut all] {
        assert_eq!(messages(socket, 1).await.0, ["at last"]);
    }
    true
}
