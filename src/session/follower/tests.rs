//! What the hub and a follower make of links that come one upon the other.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    change::{Batch, Change, Op},
    config::Secret,
    cursor::Snapshot,
    db::Target,
    lifecycle::Lifecycle,
};

fn mark(text: &str, at: i64) -> Mark {
    Mark { snapshot: Snapshot::parse(text).expect("legal"), at }
}

fn batch() -> Arc<Batch> {
    Arc::new(Batch { from: mark("10:10:", 0), upto: mark("20:20:", 100), history: HistoryId(1) })
}

fn change(id: i64, topic: &str, link: Option<&str>) -> Arc<Delivery> {
    let change = Change {
        id,
        xid: 10,
        at: 50,
        topic: Topic::parse(topic).expect("legal"),
        relation: "chat.members".into(),
        op: Op::Insert,
        key: None,
        record: None,
        old_record: None,
        link: link.and_then(Link::parse),
    };
    Arc::new(Delivery::new(change, batch()))
}

/// A message of thread 42 by a transaction of its own.
fn of(id: i64, xid: u64, batch: &Arc<Batch>) -> Arc<Delivery> {
    let mut change = change(id, "thread:42", None).change.clone();
    change.xid = xid;
    Arc::new(Delivery::new(change, Arc::clone(batch)))
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("legal")
}

/// A follower of user 7 in thread 42, which knows what `asked` had seen; its pool leads nowhere.
fn follower(hub: &Hub, asked: Mark) -> Follower {
    hub.start_at(mark("10:10:", 0), HistoryId(1));
    follower_at(hub, asked)
}

/// The same where the hub stands already.
fn follower_at(hub: &Hub, asked: Mark) -> Follower {
    let target = Target::parse(&Secret::new("postgres://nobody@127.0.0.1:1/none")).expect("a URL");
    let pool = Pool::new(&target, 1, Duration::from_secs(1), &Lifecycle::new());
    let mut follower = Follower::open(hub, pool, 100, &[topic("user:7")]).expect("started");
    follower.come_in(&[topic("thread:42")], asked);
    follower
}

fn ids(out: &[Next]) -> Vec<i64> {
    out.iter()
        .map(|next| match next {
            Next::Change(delivery, _) | Next::Heed(delivery) => delivery.change.id,
            Next::Signal(_) | Next::Resync | Next::Lagged => -1,
        })
        .collect()
}

#[tokio::test]
async fn a_joining_that_the_hub_was_ahead_with_reads_the_log() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let (mut out, batch) = (Vec::new(), batch());
    hub.publish(&batch, &[change(1, "user:7", Some("-thread:42"))]);
    assert_eq!(follower.mailbox.take(&mut follower.items).await, Taken::Items);
    // The client is in again before its session has looked at its having left.
    hub.publish(&batch, &[change(2, "user:7", Some("+thread:42"))]);
    follower.live(&mut out);
    hub.publish(&batch, &[change(3, "thread:42", None)]);
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [1, 2]);
    assert!(follower.is_replaying(), "change 3 passed by");
    assert!(!follower.position.has(10, 3, 50));
    // From here on it comes as it should.
    follower.replay = None;
    hub.publish(&batch, &[change(4, "thread:42", None)]);
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [1, 2, 4]);
}

#[tokio::test]
async fn a_joining_that_the_hub_has_delivered_for_needs_no_log() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let mut out = Vec::new();
    let links = [
        change(1, "user:7", Some("+thread:43")),
        change(2, "thread:43", None),
        change(3, "user:7", Some("-thread:42")),
        change(4, "thread:42", None),
    ];
    hub.publish(&batch(), &links);
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [1, 2, 3]);
    assert!(!follower.is_replaying() && !follower.holds(&topic("thread:42")));
}

#[tokio::test]
async fn a_leaving_that_the_answer_had_seen_takes_nothing_away() {
    let hub = Hub::new();
    // The answer knows of the leaving and of the coming back; the hub is behind with both.
    let mut follower = follower(&hub, mark("20:20:", 100));
    let (mut out, batch) = (Vec::new(), batch());
    hub.publish(&batch, &[change(1, "user:7", Some("-thread:42"))]);
    follower.next(&mut out).await.expect("live");
    assert!(out.is_empty(), "the answer had it");
    assert!(follower.is_replaying() && follower.holds(&topic("thread:42")));
    follower.replay = None;
    let later = Arc::new(Batch {
        from: mark("20:20:", 100),
        upto: mark("30:30:", 200),
        history: HistoryId(1),
    });
    hub.publish(&later, &[of(2, 22, &later)]);
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [2]);
}

#[tokio::test]
async fn a_joining_that_the_log_gave_before_a_leaving_brings_nothing_back() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let (mut out, batch) = (Vec::new(), batch());
    // The log was read ahead of the hub, to the end: out, in and out again.
    follower.topics.remove(&topic("thread:42"));
    follower.position = Position::at(mark("20:20:", 100));
    hub.publish(&batch, &[change(1, "user:7", Some("-thread:42"))]);
    hub.publish(&batch, &[change(2, "user:7", Some("+thread:42")), change(3, "thread:42", None)]);
    follower.next(&mut out).await.expect("live");
    assert!(ids(&out).is_empty() && !follower.is_replaying());
    assert!(!follower.holds(&topic("thread:42")));
    hub.publish(&batch, &[change(4, "user:7", Some("-thread:42")), change(5, "thread:42", None)]);
    follower.next(&mut out).await.expect("live");
    assert!(ids(&out).is_empty() && !follower.holds(&topic("thread:42")));
}

#[tokio::test]
async fn what_came_while_the_client_was_let_in_is_read_again_when_its_mailbox_overflows() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let mut out = Vec::new();
    // The answer is of before, the client's place after the first change.
    hub.publish(&batch(), &[change(1, "user:7", Some("-thread:42"))]);
    follower.come_in(&[topic("thread:42")], mark("10:10:", 0));
    let links: Vec<_> = (2..200).map(|id| change(id, "user:7", None)).collect();
    hub.publish(&batch(), &links);
    follower.next(&mut out).await.expect("lagged");
    let replay = follower.replay.clone().expect("the log is read");
    assert!(!replay.from.has(10, 1, 50), "the leaving is looked at again");
    assert!(replay.had.is_some_and(|(_, upto)| upto.has(10, 1, 50)), "and not told");
}

#[tokio::test]
async fn a_cursor_ahead_of_the_answer_does_not_pass_a_leaving_by() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let ahead = Position::at(mark("90:90:", 900)).encode(HistoryId(1));
    assert!(matches!(follower.resume(&ahead), Ok(Some(()))));
    let replay = follower.replay.clone().expect("the log is read");
    assert_eq!(replay.from, Position::at(mark("10:10:", 0)));
    assert!(replay.had.is_some_and(|(_, upto)| upto.has(50, 1, 500)));
}

#[tokio::test]
async fn a_client_that_got_little_reads_on_from_what_was_dropped() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    let mut out = Vec::new();
    // Others' changes for a long time; the log has none of them any more.
    let later = |from, upto| {
        Arc::new(Batch { from: mark(from, 0), upto: mark(upto, 100), history: HistoryId(1) })
    };
    hub.finish(&later("10:10:", "5000:5000:"));
    let batch = later("5000:5000:", "6000:6000:");
    let change = |id| {
        let mut change = change(id, "user:7", None).change.clone();
        change.xid = 5_000;
        Arc::new(Delivery::new(change, Arc::clone(&batch)))
    };
    hub.publish(&batch, &(7..200).map(change).collect::<Vec<_>>());
    follower.next(&mut out).await.expect("lagged");
    let replay = follower.replay.take().expect("the log is read");
    assert!(!replay.from.has(5_000, 7, 50) && replay.from.has(5_000, 6, 50));
    assert!(replay.from.base.snapshot.xmin() >= 5_000, "not from where the client came in");
}

#[tokio::test]
async fn a_client_that_got_nothing_keeps_up_with_the_hub() {
    let hub = Hub::new();
    let mut follower = follower(&hub, mark("10:10:", 0));
    hub.publish(&batch(), &[change(1, "user:7", None)]);
    follower.keep_up();
    assert!(!follower.position.has(10, 1, 50), "there is something to take");
    follower.next(&mut Vec::new()).await.expect("live");
    hub.finish(&batch());
    follower.keep_up();
    assert_eq!(follower.position, Position::at(mark("20:20:", 100)));
}

#[tokio::test]
async fn what_the_answer_had_seen_is_not_told_and_what_was_open_then_is() {
    let hub = Hub::new();
    // The database is ahead of the hub; of its transactions 15 is open, and 25 has not begun.
    let mut follower = follower(&hub, mark("15:20:15", 100));
    let batch = Arc::new(Batch {
        from: mark("10:10:", 0),
        upto: mark("30:30:", 200),
        history: HistoryId(1),
    });
    hub.publish(
        &batch,
        &[of(1, 12, &batch), of(2, 15, &batch), of(3, 18, &batch), of(4, 25, &batch)],
    );
    let mut out = Vec::new();
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [2, 4]);
    let Some(Next::Change(_, cursor)) = out.last() else { panic!("a change") };
    let cursor = Position::decode(cursor.as_str(), HistoryId(1)).expect("ours").expect("of now");
    assert!([(12, 1), (15, 2), (18, 3), (25, 4)].iter().all(|&(xid, id)| cursor.has(xid, id, 50)));
    assert!(!cursor.has(25, 5, 50));
}

#[tokio::test]
async fn a_client_that_comes_in_amid_a_batch_gets_no_more_than_its_rest_after_the_answer() {
    let hub = Hub::new();
    hub.start_at(mark("10:10:", 0), HistoryId(1));
    let batch = batch();
    hub.publish(&batch, &[of(1, 12, &batch), of(2, 16, &batch)]);
    let mut follower = follower_at(&hub, mark("15:15:", 60));
    hub.publish(&batch, &[of(3, 13, &batch), of(4, 17, &batch)]);
    let mut out = Vec::new();
    follower.next(&mut out).await.expect("live");
    assert_eq!(ids(&out), [4]);
}

#[tokio::test]
async fn a_clock_that_contradicts_the_numbers_has_the_log_read() {
    let hub = Hub::new();
    hub.start_at(mark("10:10:", 0), HistoryId(1));
    hub.finish(&batch());
    let mut follower = follower_at(&hub, mark("18:18:", 500));
    assert!(follower.is_replaying() && !follower.position.has(19, 1, 50));
    // The feed goes on after the crash: what the log gave is not read again.
    (follower.replay, follower.arriving) = (None, false);
    follower.position = Position::at(mark("19:19:", 600));
    hub.go_on_from(mark("19:19:", 700), HistoryId(1));
    follower.next(&mut Vec::new()).await.expect("lagged");
    assert_eq!(follower.replay.expect("the log is read").from, follower.position);
}

#[tokio::test]
async fn a_leaving_counts_when_a_joining_before_it_did_whatever_a_clock_says_that_was_set_back() {
    let hub = Hub::new();
    // The answer has seen both, and its clock was set back after the joining.
    let mut follower = follower(&hub, mark("20:20:", 60));
    let link = |id, at, link| {
        let mut change = change(id, "user:7", Some(link)).change.clone();
        change.at = at;
        Arc::new(Delivery::new(change, batch()))
    };
    let mut out = Vec::new();
    let mut turn = |from, deliveries| {
        let page = Page { deliveries, position: Position::at(mark("20:20:", 100)), more: false };
        follower.turn(Replay { from, had: None }, Ok(page), &mut out).expect("a page");
        (follower.replay.clone().map(|replay| replay.from), follower.holds(&topic("thread:43")))
    };
    let (from, holds) = turn(Position::at(mark("10:10:", 0)), vec![link(1, 90, "+thread:43")]);
    assert!(holds);
    let left = vec![link(2, 50, "-thread:43"), change(3, "thread:43", None)];
    let (_, holds) = turn(from.expect("read again with that thread"), left);
    assert!(!holds);
    assert_eq!(ids(&out), [1, 2]);
}
