//! What the hub promises: order, links, bounds.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::{
    change::{Change, Json, Link, Op},
    cursor::Snapshot,
    signal::{Person, Status},
};

fn batch() -> Arc<Batch> {
    let mark = |text| Mark { snapshot: Snapshot::parse(text).expect("legal"), at: 0 };
    Arc::new(Batch { from: mark("10:10:"), upto: mark("20:20:"), history: HistoryId(1) })
}

fn change(id: i64, topic: &str, link: Option<&str>) -> Arc<Delivery> {
    let change = Change {
        id,
        xid: 10,
        at: 0,
        topic: Topic::parse(topic).expect("legal"),
        relation: "chat.messages".into(),
        op: Op::Insert,
        key: None,
        record: None,
        old_record: None,
        link: link.and_then(Link::parse),
    };
    Arc::new(Delivery::new(change, batch()))
}

fn row(id: i64, record: &str, old_record: &str) -> Arc<Delivery> {
    let json =
        |text: &str| Json::from_database(text.to_owned().into()).filter(|_| !text.is_empty());
    let mut change = change(id, "table:public.todos", None).change.clone();
    (change.record, change.old_record) = (json(record), json(old_record));
    Arc::new(Delivery::new(change, batch()))
}

/// Wants rows of the table in which one of these columns has one of these values.
fn rows(mailbox: &Mailbox, values: &[(&str, &str)]) {
    rows_of(mailbox, "a", values);
}

fn rows_of(mailbox: &Mailbox, shape: &str, values: &[(&str, &str)]) {
    let equals =
        |&(column, value): &(&str, &str)| Equals { column: column.into(), value: value.into() };
    let rows = values.iter().map(equals).collect();
    let wanted = Wanted::Rows { rows, shape: shape.into() };
    mailbox.want(&[(Topic::parse("table:public.todos").expect("legal"), wanted)]);
}

async fn ids(mailbox: &Mailbox) -> Vec<i64> {
    let mut items = Vec::new();
    assert_eq!(mailbox.take(&mut items).await, Taken::Items);
    items
        .iter()
        .map(|item| match item {
            Item::Change(delivery) => delivery.change.id,
            Item::Signal(_) => -1,
            Item::Resync => -2,
            Item::Gap => -3,
        })
        .collect()
}

fn person() -> crate::signal::Person {
    crate::signal::Person { id: 2, uuid: uuid::Uuid::nil() }
}

fn topics(names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| Topic::parse(name).expect("legal")).collect()
}

#[tokio::test]
async fn a_link_adds_a_topic_from_that_change_on_and_takes_it_away_again() {
    let hub = Hub::new();
    let mailbox = hub.open(10);
    mailbox.subscribe(&topics(&["user:7"]));
    hub.publish(
        &batch(),
        &[
            change(1, "thread:42", None),
            change(2, "user:7", Some("+thread:42")),
            change(3, "thread:42", None),
            change(4, "user:7", Some("-thread:42")),
            change(5, "thread:42", None),
        ],
    );
    assert_eq!(ids(&mailbox).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_full_mailbox_lags_once_then_collects_again_and_others_notice_nothing() {
    let hub = Hub::new();
    let (slow, quick) = (hub.open(2), hub.open(10));
    slow.subscribe(&topics(&["thread:1"]));
    quick.subscribe(&topics(&["thread:1"]));
    let changes: Vec<_> = (1..=3).map(|id| change(id, "thread:1", None)).collect();
    hub.publish(&batch(), &changes);
    let mut items = Vec::new();
    let dropped = batch().position_after(0);
    assert_eq!(slow.take(&mut items).await, Taken::Lagged(Some(dropped)));
    assert!(items.is_empty());
    hub.publish(&batch(), &[change(4, "thread:1", None)]);
    assert_eq!(ids(&slow).await, [4]);
    assert_eq!(ids(&quick).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_subscription_in_the_middle_of_a_batch_stands_in_the_middle_of_it() {
    let hub = Hub::new();
    hub.publish(&batch(), &[change(5, "thread:1", None)]);
    let mailbox = hub.open(10);
    let (position, _) = mailbox.subscribe(&topics(&["thread:1"])).expect("the feed runs");
    assert!(position.has(10, 5, 0) && !position.has(10, 6, 0));
    hub.finish(&batch());
    assert!(hub.position().expect("the feed runs").0.has(10, 6, 0));
}

#[tokio::test]
async fn a_signal_to_two_topics_arrives_once() {
    let hub = Hub::new();
    let mailbox = hub.open(10);
    let both = topics(&["thread:1", "thread:2"]);
    mailbox.subscribe(&both);
    hub.signal(
        &both,
        Signal::Typing { thread: 1, user: person(), username: "ada".into(), is_typing: true },
    );
    assert_eq!(ids(&mailbox).await, [-1]);
}

#[tokio::test]
async fn after_a_crash_every_mailbox_reads_the_log() {
    let hub = Hub::new();
    let mark = |text| Mark { snapshot: Snapshot::parse(text).expect("legal"), at: 0 };
    hub.start_at(mark("20:20:"), HistoryId(1));
    let mailbox = hub.open(10);
    mailbox.subscribe(&topics(&["thread:1", "thread:2"]));
    hub.publish(&batch(), &[change(1, "thread:1", None)]);
    hub.go_on_from(mark("15:15:"), HistoryId(1));
    assert_eq!(hub.position().expect("the feed runs").0.base, mark("15:15:"));
    let mut items = Vec::new();
    assert!(matches!(mailbox.take(&mut items).await, Taken::Lagged(Some(_))));
    assert!(items.is_empty());
}

#[tokio::test]
async fn a_new_history_reaches_every_mailbox() {
    let hub = Hub::new();
    let mark = batch().upto.clone();
    hub.start_at(mark.clone(), HistoryId(1));
    let mailbox = hub.open(10);
    mailbox.subscribe(&topics(&["thread:1", "thread:2"]));
    hub.start_at(mark.clone(), HistoryId(1));
    hub.start_at(mark, HistoryId(2));
    assert_eq!(ids(&mailbox).await, [-2]);
}

#[tokio::test]
async fn the_word_of_a_gap_goes_to_its_topics_after_what_waits_and_outlives_a_full_mailbox() {
    let hub = Hub::new();
    let (holder, other) = (hub.open(2), hub.open(2));
    holder.subscribe(&topics(&["thread:1"]));
    other.subscribe(&topics(&["thread:2"]));
    hub.publish(&batch(), &[change(1, "thread:1", None), change(2, "thread:2", None)]);
    hub.gap(|topic| topic.as_str() == "thread:1");
    hub.gap(|topic| topic.as_str() == "thread:1");
    assert_eq!((ids(&holder).await, ids(&other).await), (vec![1, -3], vec![2]));
    hub.publish(&batch(), &[3, 4, 5].map(|id| change(id, "thread:1", None)));
    hub.gap(|_| true);
    assert_eq!(ids(&holder).await, [-3]);
    assert!(matches!(holder.take(&mut Vec::new()).await, Taken::Lagged(Some(_))));
}

#[tokio::test]
async fn the_word_of_a_new_history_outlives_a_full_mailbox() {
    let hub = Hub::new();
    let mark = batch().upto.clone();
    hub.start_at(mark.clone(), HistoryId(1));
    let mailbox = hub.open(2);
    mailbox.subscribe(&topics(&["thread:1"]));
    hub.start_at(mark, HistoryId(2));
    let changes: Vec<_> = (1..=3).map(|id| change(id, "thread:1", None)).collect();
    hub.publish(&batch(), &changes);
    assert_eq!(ids(&mailbox).await, [-2]);
    assert!(matches!(mailbox.take(&mut Vec::new()).await, Taken::Lagged(_)));
}

#[test]
fn typing_ends_by_itself_and_the_latest_comes_first() {
    let typing = Typing::default();
    let seconds = std::time::Duration::from_secs;
    let began = tokio::time::Instant::now();
    let other = Person { id: 8, ..person() };
    let start = |who| typing.start(1, who, "ada".into(), seconds(5));
    assert!(start(person()) && start(other) && !start(person()));
    assert_eq!(typing.list(1), [person(), other]);
    assert!(typing.list(2).is_empty());
    assert!(typing.sweep(began + seconds(4)).is_empty());
    assert!(typing.stop(1, other).is_some() && typing.stop(1, other).is_none());
    let ended = typing.sweep(began + seconds(6));
    assert!(matches!(&ended[..], [(1, typist)] if typist.person == person()));
    assert!(typing.stop(1, person()).is_none() && typing.busy().is_empty());
}

#[test]
fn presence_tells_the_first_and_the_last_connection() {
    let presence = Presence::default();
    let (first, news) = presence.enter(person());
    let (second, again) = presence.enter(person());
    assert_eq!((news, again), (Some(Status::Online), None));
    assert_eq!(second.leave(), None);
    assert!(presence.is_online(person().id));
    assert_eq!(first.leave(), Some(Status::Offline));
    assert!(!presence.is_online(person().id));
}

#[test]
fn a_request_keeps_its_user_online_for_five_minutes() {
    let presence = Presence::default();
    let me = person();
    let began = Instant::now();
    assert_eq!(presence.touch(me), Touched::First);
    assert!(!presence.is_online(me.id), "nothing is told before it is known what they said");
    assert_eq!(presence.know(me.id, None), Some(Status::Online));
    let waiting = presence.park(me);
    assert_eq!(presence.sweep(began + LINGERS * 2, 10), [], "a poll is waiting");
    drop(waiting);
    assert_eq!(presence.touch(me), Touched::Nothing);
    assert_eq!(presence.sweep(began + LINGERS / 2, 10), []);
    assert_eq!(presence.sweep(began + LINGERS * 2, 10), [me]);
    assert_eq!(presence.sweep(began + LINGERS * 2, 10), []);
    assert!(presence.of(me.id).is_none());
}

#[test]
fn what_users_say_of_themselves_is_shown() {
    let presence = Presence::default();
    let me = person();
    assert_eq!(presence.say(me, Status::Away), Some(Status::Away));
    assert_eq!(presence.say(me, Status::Offline), Some(Status::Offline));
    assert_eq!(presence.touch(me), Touched::Nothing, "requests do not undo it");
    assert_eq!(presence.say(me, Status::Online), Some(Status::Online));
    assert_eq!(presence.say(me, Status::Offline), Some(Status::Offline));
    let (socket, news) = presence.enter(me);
    assert_eq!(news, Some(Status::Online), "a new connection does");
    drop(socket);
    assert_eq!(
        presence.sweep(Instant::now(), 10),
        [me],
        "that they said goodbye before counts no more"
    );
    // Where the database has them offline by their own word, a request does not undo it.
    assert_eq!(presence.touch(me), Touched::First);
    assert_eq!(presence.know(me.id, Some(Status::Offline)), None);
}

#[tokio::test]
async fn a_mailbox_gets_the_rows_that_have_its_values_before_or_after_once() {
    let hub = Hub::new();
    let [all, one, two, none] = std::array::from_fn(|_| hub.open(10));
    all.subscribe(&topics(&["table:public.todos"]));
    rows(&one, &[("room_id", "1"), ("room_id", "2"), ("name", "\"a\\n\"")]);
    rows(&two, &[("room_id", "2")]);
    rows(&none, &[("other", "1")]);
    let changes = [
        row(1, r#"{"id": 1, "room_id": 1}"#, ""),
        row(2, r#"{"id": 1, "room_id": 2}"#, r#"{"id": 1, "room_id": 1}"#),
        row(3, r#"{"id": 1, "room_id": 3, "name": "a\n"}"#, r#"{"id": 1, "room_id": 2}"#),
        row(4, "", r#"{"id": 1, "room_id": 3, "more": {"room_id": 1}}"#),
        row(5, r#"{"room_id": "1"}"#, r#"{"room_id": null}"#),
        row(6, r#"{"room_id": 1}"#, r#"{"room_id": 1}"#),
        row(7, "", ""),
    ];
    hub.publish(&batch(), &changes);
    assert_eq!(ids(&all).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ids(&one).await, [1, 2, 3, 6]);
    assert_eq!(ids(&two).await, [2, 3]);
    assert!(none.stands_at().is_some(), "it got nothing");
}

#[tokio::test]
async fn what_a_mailbox_wants_can_be_changed_and_given_up() {
    let hub = Hub::new();
    let mailbox = hub.open(10);
    let topic = &topics(&["table:public.todos"])[0];
    let push = |id| hub.publish(&batch(), &[row(id, r#"{"room_id": 1}"#, "")]);
    rows(&mailbox, &[("room_id", "2")]);
    push(1);
    rows(&mailbox, &[("room_id", "1")]);
    push(2);
    mailbox.want(&[(topic.clone(), Wanted::All)]);
    push(3);
    rows(&mailbox, &[("room_id", "2")]);
    push(4);
    mailbox.want(&[(topic.clone(), Wanted::All)]);
    mailbox.unsubscribe(topic);
    push(5);
    rows(&mailbox, &[("room_id", "1")]);
    push(6);
    assert_eq!(ids(&mailbox).await, [2, 3, 6]);
    drop(mailbox);
    assert_eq!(hub.state().routes.topics(), 0);
}

#[tokio::test]
async fn who_wishes_by_columns_that_are_others_by_now_gets_all_until_it_wishes_anew() {
    let hub = Hub::new();
    let (one, two) = (hub.open(10), hub.open(10));
    let topic = &topics(&["table:public.todos"])[0];
    let push = |id| hub.publish(&batch(), &[row(id, r#"{"room_id": 2}"#, "")]);
    let shaped = |shape: &str| hub.shaped(&[(topic.to_string(), shape.to_owned())].into());
    assert!(hub.looked_up().is_empty());
    rows(&one, &[("room_id", "1")]);
    rows(&two, &[("room_id", "1")]);
    assert_eq!(hub.looked_up(), std::slice::from_ref(topic));
    push(1);
    shaped("a");
    push(2);
    assert_eq!(hub.altered(), None);
    shaped("b");
    assert!(hub.altered().is_some());
    push(3);
    // A wish that was made before it was heard; then one made after it.
    rows(&one, &[("room_id", "1")]);
    push(4);
    rows_of(&one, "b", &[("room_id", "1")]);
    push(5);
    // One that knows more than was heard.
    rows_of(&one, "c", &[("room_id", "1")]);
    push(6);
    assert_eq!((ids(&one).await, ids(&two).await), (vec![3, 4, 6], vec![3, 4, 5, 6]));
    drop((one, two));
    assert!(hub.looked_up().is_empty());
}

#[tokio::test]
async fn signals_are_for_those_who_have_all_of_a_topic_and_lagging_is_for_all() {
    let hub = Hub::new();
    hub.start_at(batch().upto.clone(), HistoryId(1));
    let mailbox = hub.open(10);
    rows(&mailbox, &[("room_id", "1")]);
    let signal =
        Signal::Typing { thread: 1, user: person(), username: "ada".into(), is_typing: true };
    hub.signal(&topics(&["table:public.todos"]), signal);
    assert!(mailbox.stands_at().is_some());
    hub.go_on_from(batch().from.clone(), HistoryId(1));
    let left_off = Position::at(batch().upto.clone());
    assert_eq!(mailbox.take(&mut Vec::new()).await, Taken::Lagged(Some(left_off)));
}

#[tokio::test]
async fn a_quiet_mailbox_has_the_changes_of_its_topics_and_hears_only_what_it_asks_for() {
    let hub = Hub::new();
    let batch = batch();
    hub.start_at(batch.from.clone(), HistoryId(1));
    let mailbox = hub.open(10);
    let held = topics(&["thread:42", "thread:43"]);
    let say = |topics: &[Topic]| {
        let (user, username) = (person(), "ada".into());
        hub.signal(topics, Signal::Typing { thread: 42, user, username, is_typing: true });
    };
    mailbox.subscribe(&held[..1]);
    mailbox.hush();
    mailbox.subscribe(&held[1..]);
    say(&held);
    hub.publish(&batch, &[change(1, "thread:42", None), change(2, "thread:43", None)]);
    assert_eq!(ids(&mailbox).await, [1, 2], "changes and nothing else");
    mailbox.hear(&held[1], true);
    say(&held[..1]);
    hub.publish(&batch, &[change(3, "thread:43", None)]);
    say(&held[1..]);
    assert_eq!(ids(&mailbox).await, [3, -1], "what is said where it listens");
    mailbox.hear(&held[1], false);
    say(&held);
    mailbox.unsubscribe(&held[1]);
    hub.publish(&batch, &[change(4, "thread:43", None), change(5, "thread:42", None)]);
    assert_eq!(ids(&mailbox).await, [5], "nothing of what it gave up");
}

#[tokio::test]
async fn what_is_said_neither_wakes_nor_fills_a_mailbox_for_changes_alone() {
    let hub = Hub::new();
    hub.start_at(batch().from.clone(), HistoryId(1));
    let mailbox = hub.open_for_changes(2);
    let thread = Topic::thread(42);
    mailbox.subscribe(std::slice::from_ref(&thread));
    for status in [Status::Online, Status::Away, Status::Offline] {
        let user = Person { id: 7, uuid: uuid::Uuid::nil() };
        let signal = Signal::Presence { user, threads: vec![42], status, last_seen: None };
        hub.signal(std::slice::from_ref(&thread), signal);
    }
    hub.publish(&batch(), &[change(1, "thread:42", None)]);
    assert_eq!(ids(&mailbox).await, [1]);
}
