//! Instructions of the hot paths, for `scripts/bench instructions`: valgrind counts them, and they are the same on every
//! machine and whatever else it is doing. Arguments: a path, and how often it is gone.
#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rowcast::{
    change::{Batch, Change, Json, Op},
    cursor::{HistoryId, Mark, Position, Snapshot},
    hub::{Delivery, Equals, Hub, Mailbox, Wanted},
    topic::Topic,
};

/// Who holds the topic that is published to.
const MAILBOXES: usize = 100;
/// Who wants some rows of the table, each other ones.
const WISHES: usize = 1_000;
const PATHS: [&str; 5] = ["cursor", "resume", "publish", "filter", "visible"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let [path, times] = arguments.as_slice() else {
        println!("{}", PATHS.join(" "));
        return Ok(());
    };
    let times: usize = times.parse().context("how often")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match path.as_str() {
        "cursor" => cursors(times),
        "resume" => resumes(times)?,
        "publish" => runtime.block_on(publishes(times)),
        "filter" => runtime.block_on(filters(times)),
        "visible" => visible(times)?,
        _ => bail!("paths: {}", PATHS.join(" ")),
    }
    Ok(())
}

fn mark(text: &str) -> Result<Mark> {
    let snapshot = Snapshot::parse(text).context("a snapshot")?;
    Ok(Mark { snapshot, at: 1_790_000_000_000_000 })
}

fn batch() -> Result<Arc<Batch>> {
    let (from, upto) = (mark("81234:81240:81236,81238")?, mark("81250:81260:81251")?);
    Ok(Arc::new(Batch { from, upto, history: HistoryId(7) }))
}

fn change(id: i64, topic: &Topic, room: usize) -> Change {
    let record = format!(r#"{{"id":{id},"room":"{room}","content":"Hello from a row"}}"#);
    Change {
        id,
        xid: 81_245,
        at: 1_789_999_999_999_999,
        topic: topic.clone(),
        relation: "public.todos".into(),
        op: Op::Insert,
        key: None,
        record: Some(Json::of_text(record)),
        old_record: None,
        link: None,
    }
}

/// Writing the cursor of a position.
fn cursors(times: usize) {
    let Ok(batch) = batch() else { return };
    for id in (1..).take(times) {
        std::hint::black_box(batch.position_after(id).encode(batch.history));
    }
}

/// Reading a cursor.
fn resumes(times: usize) -> Result<()> {
    let batch = batch()?;
    let text = batch.position_after(7).encode(batch.history);
    for _ in 0..times {
        std::hint::black_box(Position::decode(&text, batch.history)?);
    }
    Ok(())
}

/// One change to a hundred mailboxes, and out of them again.
async fn publishes(times: usize) {
    let (Ok(batch), Ok(topic)) = (batch(), Topic::parse("thread:42")) else { return };
    let hub = Hub::new();
    hub.start_at(batch.from.clone(), batch.history);
    let mailboxes: Vec<Mailbox> = (0..MAILBOXES).map(|_| hub.open(16)).collect();
    mailboxes.iter().for_each(|mailbox| drop(mailbox.subscribe(std::slice::from_ref(&topic))));
    let mut items = Vec::new();
    for id in (1..).take(times) {
        let delivery = Arc::new(Delivery::new(change(id, &topic, 1), Arc::clone(&batch)));
        hub.publish(&batch, &[delivery]);
        for mailbox in &mailboxes {
            mailbox.take(&mut items).await;
            items.clear();
        }
    }
}

/// One change that one of a thousand wishes is for.
async fn filters(times: usize) {
    let (Ok(batch), Ok(topic)) = (batch(), Topic::parse("table:public.todos")) else { return };
    let hub = Hub::new();
    hub.start_at(batch.from.clone(), batch.history);
    let mailboxes: Vec<Mailbox> = (0..WISHES).map(|_| hub.open(16)).collect();
    for (room, mailbox) in mailboxes.iter().enumerate() {
        let equals = Equals { column: "room".into(), value: format!("\"{room}\"").into() };
        mailbox.want(&[(topic.clone(), wanted(equals))]);
    }
    let mut items = Vec::new();
    for (nth, id) in (1..).take(times).enumerate() {
        let room = nth % WISHES;
        let delivery = Arc::new(Delivery::new(change(id, &topic, room), Arc::clone(&batch)));
        hub.publish(&batch, &[delivery]);
        if let Some(mailbox) = mailboxes.get(room) {
            mailbox.take(&mut items).await;
            items.clear();
        }
    }
}

fn wanted(equals: Equals) -> Wanted {
    Wanted::Rows { rows: vec![equals], shape: "".into() }
}

/// Whether a position has a change.
fn visible(times: usize) -> Result<()> {
    let position = batch()?.position_after(7);
    for id in (1..).take(times) {
        std::hint::black_box(position.has(81_245, id, 1_789_999_999_999_999));
    }
    Ok(())
}
