//! Reading the log: exactly the changes that a position lacks, in an order that is commit order per thread and per row.
//!
//! `xid >= xmax(S) or xid = any(xip(S))` names what a snapshot S does not see; the statement's own snapshot, read in the
//! same statement, says how far that goes. No lock, no waiting for open transactions, nothing skipped or repeated.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::Fuse};
use postgres_types::ToSql;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Row, RowStream};
use tracing::Instrument;

use super::{
    batches::{Batches, Chunk},
    gaps::Gap,
    line::Line,
    origin,
};
use crate::{
    change::{Batch, Change, Json, Link, Op},
    cursor::{HistoryId, Mark, Position, Snapshot},
    db::{
        Pool, due,
        types::{Micros, Xid},
    },
    error::{Error, Kind, Result},
    hub::Delivery,
    metrics::{REPLAY_ROWS_TOTAL, REPLAY_SECONDS},
    topic::Topic,
    trace::TRACE,
};

/// Changes pushed in one go.
const CHUNK: usize = 256;
/// A replay's page: so many changes…
const PAGE_ROWS: usize = 2_000;
/// …or so many bytes, whichever comes first.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How long one page may take.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);

macro_rules! lacking {
    ($shapes:literal, $gap:literal, $log:literal, $limit:literal) => {
        concat!(
            "
    select now.snapshot, now.at, c.late, c.id, c.xid, c.at, c.topic, c.relation, c.op,
           c.key, c.record, c.old_record, c.link, now.shapes, now.gaps
    from (select pg_current_snapshot() as snapshot, rowcast.moment() as at, ",
            $shapes,
            " as shapes, (
            select array_agg(distinct coalesce(w.topic, f.relation))
            from rowcast.failures as f
            left join rowcast.watches as w on w.name = f.relation
            where f.xid >= $1 or f.xid = any($2) or (f.xid >= $3 and f.at > $4)",
            $gap,
            ") as gaps) as now
    left join lateral (
        select *
        from (
            select *, $5::pg_snapshot is not null and not (
                pg_visible_in_snapshot(l.xid, $5) and (l.xid < $3 or l.at <= $7)) as late
            from ",
            $log,
            " as l
            where l.xid >= $1 or l.xid = any($2) or (l.xid >= $3 and l.at > $4)
        ) as l
        where l.late or l.id > $6
        order by l.late, l.id
        ",
            $limit,
            "
    ) as c on true
    order by c.late, c.id"
        )
    };
}

/// All that a position lacks: `$1` xmax, `$2` xip, `$3` floor, `$4` at; of the batch that it is in `$5` the snapshot,
/// `$6` the last id had, `$7` at. `late` is what that batch does not have. Of topics (`$8`) also what their tables' columns
/// are, in the same snapshot: no row of other columns is without them. And of what a change is missing, as its capture
/// failed.
pub(super) const READ: &str = lacking!(
    "case when cardinality($8::text[]) > 0 then rowcast.shapes($8) end",
    "",
    "rowcast.changes",
    ""
);
/// The same, a page (`$8`) at a time. A live client hears of a gap a little late (`gaps`): whoever comes back with a
/// position from just behind one may not have heard.
const REPLAY_ALL: &str = lacking!(
    "null::jsonb",
    " or (f.xid is not null and f.at > $4 - interval '30 seconds')",
    "rowcast.changes",
    "limit $8"
);
/// The same for topics (`$9`), from the transaction on that all but `$2` lie at or above (`$10`). Said apart, so that the
/// index gives no more than that of a topic: a plan for any parameters cannot take the three conditions for ranges, and
/// read all that the log had of the topic, for each of thousands who come back to it.
const REPLAY: &str = lacking!(
    "null::jsonb",
    " or (f.xid is not null and f.at > $4 - interval '30 seconds')",
    "(
                select *
                from rowcast.changes as t
                where t.topic = any($9) and t.xid >= $10
                union all
                select *
                from rowcast.changes as t
                where t.topic = any($9) and t.xid = any($2) and t.xid < $10
            )",
    "limit $8"
);

/// Starts a read on the feed's own connection; of `looked_up` it tells the shapes, too.
pub(super) async fn lacking(
    line: &Line,
    position: &Position,
    floor: u64,
    looked_up: &[Topic],
) -> Result<RowStream> {
    let looked_up: Vec<&str> = looked_up.iter().map(Topic::as_str).collect();
    let base = &position.base;
    let xip: Vec<Xid> = base.snapshot.xip().iter().map(|&xid| Xid(xid)).collect();
    let (upto, last_id, upto_at) = partial(position);
    let params: [&(dyn ToSql + Sync); 8] = [
        &Xid(base.snapshot.xmax()),
        &xip,
        &Xid(floor),
        &Micros(base.at),
        &upto,
        &last_id,
        &upto_at,
        &looked_up,
    ];
    line.read(&params).await
}

/// How many changes a position lacks, at most `most`; those of the batch that it is in count whole.
pub(super) async fn backlog(
    line: &Line,
    position: &Position,
    floor: u64,
    most: i64,
) -> Result<i64> {
    const COUNT: &str = "
        select count(*)
        from (
            select
            from rowcast.changes as l
            where l.xid >= $1 or l.xid = any($2) or (l.xid >= $3 and l.at > $4)
            limit $5
        ) as lacking";
    let base = &position.base;
    let xip: Vec<Xid> = base.snapshot.xip().iter().map(|&xid| Xid(xid)).collect();
    let params: [&(dyn ToSql + Sync); 5] =
        [&Xid(base.snapshot.xmax()), &xip, &Xid(floor), &Micros(base.at), &most];
    line.begin().await?;
    let row = line.one(COUNT, &params).await;
    line.end().await?;
    Ok(row?.try_get(0)?)
}

/// The batch that a position is in; ids start at 1.
fn partial(position: &Position) -> (Option<Snapshot>, i64, Option<Micros>) {
    match &position.partial {
        None => (None, 0, None),
        Some((upto, id)) => (Some(upto.snapshot.clone()), *id, Some(Micros(upto.at))),
    }
}

/// One read, as its rows come in.
pub(super) struct Reading {
    batches: Batches,
    rows: Pin<Box<Fuse<RowStream>>>,
    shapes: Option<Json>,
    gaps: Vec<Gap>,
}

impl Reading {
    pub(super) fn new(position: Position, history: HistoryId, rows: RowStream) -> Self {
        let batches = Batches::new(position, history, CHUNK);
        Self { batches, rows: Box::pin(rows.fuse()), shapes: None, gaps: Vec::new() }
    }

    /// What the columns are of the topics that were asked about, once; it comes with the first chunk.
    pub(super) fn shapes(&mut self) -> Result<Option<HashMap<String, String>>> {
        self.shapes.take().map(|shapes| shapes.read()).transpose().map_err(Error::internal)
    }

    /// What the log lacks of what was read; known from the first row on.
    pub(super) fn gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// The next changes, all of one batch; none when the read is over.
    pub(super) async fn chunk(&mut self) -> Result<Option<Chunk>> {
        while let Some(row) = self.rows.next().await {
            if let Some(chunk) = self.take(&row?)? {
                return Ok(Some(chunk));
            }
        }
        Ok(self.batches.rest())
    }

    /// The batch that the read ends with, whether or not it brought a change.
    pub(super) fn finish(self) -> Result<Arc<Batch>> {
        self.batches.finish()
    }

    /// Takes a row: each tells how far the read goes, and most hold a change.
    fn take(&mut self, row: &Row) -> Result<Option<Chunk>> {
        if !self.batches.has_begun() {
            let (snapshot, Micros(at)): (Snapshot, Micros) = (row.try_get(0)?, row.try_get(1)?);
            self.batches.begin(Mark { snapshot, at });
            self.shapes = row.try_get(13)?;
            let gaps: Option<Vec<String>> = row.try_get(14)?;
            self.gaps = gaps.into_iter().flatten().map(Gap::new).collect();
        }
        let Some(late) = row.try_get::<_, Option<bool>>(2)? else { return Ok(None) };
        Ok(self.batches.push(late, row.try_get(3)?, change(row)?))
    }
}

/// One page of what a client lacks.
pub struct Page {
    /// The changes, in order.
    pub deliveries: Vec<Arc<Delivery>>,
    /// Where the client stands after them.
    pub position: Position,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// Reads one page of the changes that `position` lacks, of all topics or of some. It holds a connection only while it reads.
pub async fn replay(
    pool: &Pool,
    position: &Position,
    history: HistoryId,
    topics: Option<&[Topic]>,
) -> Result<Page> {
    let began = Instant::now();
    let span =
        tracing::info_span!(target: TRACE, "replay", rowcast.changes = tracing::field::Empty);
    let reading = page(pool, position, history, topics).instrument(span.clone());
    let page = timeout(PAGE_DEADLINE, reading).await;
    let (page, floor) = page.unwrap_or_else(|elapsed| Err(Error::unavailable(elapsed)))?;
    // Asked after the read: what was pruned before it shows now.
    let pruned: Option<Xid> = pool.value(origin::PRUNED, &[]).await?;
    if let Some(Xid(below)) = pruned {
        known_since(position, floor, below)?;
    }
    metrics::histogram!(REPLAY_SECONDS).record(began.elapsed());
    span.record("rowcast.changes", page.deliveries.len());
    metrics::counter!(REPLAY_ROWS_TOTAL).increment(page.deliveries.len() as u64);
    Ok(page)
}

/// Refuses a position that may lack what retention has removed.
///
/// After a crash its numbers say nothing of that, unless a checkpoint from before it is still there.
pub(crate) fn known_since(position: &Position, floor: u64, pruned_below: u64) -> Result<()> {
    let untold = floor == 0 && pruned_below > 0;
    if untold || position.base.snapshot.xmin() < pruned_below {
        return Err(Error::new(Kind::Conflict, "Changes since that cursor are no longer known"));
    }
    Ok(())
}

/// Refuses a page of topics of which the log lacks changes.
fn whole(gaps: Vec<Gap>, topics: Option<&[Topic]>) -> Result<()> {
    let lacks = |gap: &Gap| topics.is_none_or(|topics| topics.iter().any(|one| gap.touches(one)));
    if gaps.iter().any(lacks) {
        return Err(Error::new(Kind::Conflict, "The log lacks changes since that cursor"));
    }
    Ok(())
}

async fn page(
    pool: &Pool,
    position: &Position,
    history: HistoryId,
    topics: Option<&[Topic]>,
) -> Result<(Page, u64)> {
    let client = pool.raw().await?;
    let statement = client.prepare(origin::FLOOR).await?;
    let row = due(client.query(&statement, &[&Micros(position.base.at)]).await?.pop())?;
    let floor = origin::floor_of(&row, position)?;
    let base = &position.base;
    let xip: Vec<Xid> = base.snapshot.xip().iter().map(|&xid| Xid(xid)).collect();
    let (upto, last_id, upto_at) = partial(position);
    let names: Vec<&str> = topics.unwrap_or_default().iter().map(Topic::as_str).collect();
    let (xmax, above, at) = (Xid(base.snapshot.xmax()), Xid(floor), Micros(base.at));
    let limit = PAGE_ROWS as i64;
    let mut params: Vec<&(dyn ToSql + Sync)> =
        vec![&xmax, &xip, &above, &at, &upto, &last_id, &upto_at, &limit];
    let lowest = Xid(base.snapshot.xmax().min(floor));
    if topics.is_some() {
        params.extend([&names as &(dyn ToSql + Sync), &lowest]);
    }
    let sql = if topics.is_some() { REPLAY } else { REPLAY_ALL };
    let statement = client.prepare(sql).await?;
    let rows = client.rows(&statement, &params).await?;
    let mut reading = Reading::new(position.clone(), history, rows);
    let mut deliveries = Vec::new();
    let mut bytes = 0;
    while let Some(chunk) = reading.chunk().await? {
        bytes += chunk.deliveries.iter().map(|delivery| delivery.change.size()).sum::<usize>();
        deliveries.extend(chunk.deliveries);
        if bytes > PAGE_BYTES {
            // The rest of the rows is not waited for: letting the connection go cancels them.
            deliveries.extend(reading.batches.rest().into_iter().flat_map(|rest| rest.deliveries));
            whole(reading.gaps(), topics)?;
            return Ok((reading.batches.page(deliveries, PAGE_ROWS, true)?, floor));
        }
    }
    client.done();
    whole(reading.gaps(), topics)?;
    Ok((reading.batches.page(deliveries, PAGE_ROWS, false)?, floor))
}

/// Decodes a row; one that is not a legal change is logged and left out, so that it cannot stop the feed.
fn change(row: &Row) -> Result<Option<Change>> {
    let id = row.try_get(3)?;
    let Xid(xid) = row.try_get(4)?;
    let Micros(at) = row.try_get(5)?;
    let (topic, op): (&str, &str) = (row.try_get(6)?, row.try_get(8)?);
    let (Ok(topic), Some(op)) = (Topic::parse(topic), Op::parse(op)) else {
        tracing::warn!(
            id,
            "change {id} of the log has no legal topic or operation and is left out"
        );
        return Ok(None);
    };
    let json = |index| row.try_get::<_, Option<Json>>(index);
    Ok(Some(Change {
        id,
        xid,
        at,
        topic,
        relation: row.try_get::<_, &str>(7)?.into(),
        op,
        key: json(9)?,
        record: json(10)?,
        old_record: json(11)?,
        link: row.try_get::<_, Option<&str>>(12)?.and_then(Link::parse),
    }))
}
