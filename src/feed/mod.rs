//! The feed: hears the bell, reads the log by snapshot and pushes what was committed into the hub.
//!
//! Every read returns exactly what became visible since the position before it (`log`), so live delivery, catching up
//! after a reconnect and a client's resume are one mechanism. The bell only says *when* to read; losing it costs
//! latency, never a change.

mod batches;
mod bell;
mod gaps;
mod keeper;
mod line;
mod log;
mod origin;
mod pace;
mod since;
mod status;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

pub use keeper::Keeper;
pub use log::{Page, replay};
pub use since::position_at;
pub use status::{Mode, Status};

#[cfg(test)]
pub(crate) use self::{
    batches::{Batches, Chunk},
    log::known_since,
    origin::{ABOVE_ALL, Origin},
};
use crate::{
    cursor::Position,
    db::{Target, pooler},
    error::{Error, Result},
    hub::Hub,
    lifecycle::Lifecycle,
    metrics::{
        FEED_CHANGES_TOTAL, FEED_LAG, FEED_READS_TOTAL, GAP_FILL_ROWS_TOTAL,
        LISTENER_RECONNECTS_TOTAL, LISTENER_UP,
    },
    trace::TRACE,
};
use bell::Bell;
use gaps::{Gap, Gaps};
use line::Line;
use pace::Pace;

/// A read that takes longer has lost its connection, whatever TCP says.
const READ_DEADLINE: Duration = Duration::from_secs(3);
/// How long the start-up echo may take before LISTEN counts as unusable.
const ECHO_DEADLINE: Duration = Duration::from_secs(2);
/// More changes than this are not read in one go: sorting them all would take longer than a read may, for ever.
const MAX_BACKLOG: i64 = 20_000;
/// Where reads are dear: without one, it is only asked for so long whether there is anything to read.
const STILL_FOR: Duration = Duration::from_millis(250);
/// So many reads in a row that did not come to their end are given up; fewer changes than that, then, but large ones.
const MAX_UNREAD: u32 = 2;
/// Reconnecting starts at once and backs off to this.
const MAX_BACK_OFF: Duration = Duration::from_secs(2);

/// The feed's parts; `run` is its life.
pub struct Feed {
    target: Target,
    hub: Hub,
    status: Status,
    lifecycle: Lifecycle,
}

impl Feed {
    /// Prepares a feed that listens on `target`; one that is a pooler in transaction mode is polled through.
    pub fn new(target: Target, hub: Hub, lifecycle: Lifecycle) -> Self {
        Self { target, hub, status: Status::default(), lifecycle }
    }

    /// What the feed says of itself.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Keeps a connection and reads, for ever; every loss of the connection is the normal path.
    pub async fn run(self) {
        let mut failures = 0u32;
        let mut unread = 0u32;
        let mut gaps = Gaps::default();
        loop {
            let began = Instant::now();
            let Err(error) = self.one_connection(&mut unread, &mut gaps).await else { return };
            self.status.disconnected();
            metrics::gauge!(LISTENER_UP).set(0.0);
            error.log("feeding");
            failures = if began.elapsed() > Duration::from_secs(10) { 0 } else { failures + 1 };
            tokio::time::sleep(back_off(failures)).await;
            metrics::counter!(LISTENER_RECONNECTS_TOTAL).increment(1);
        }
    }

    /// One connection's life: listen first, then catch up, then stay live. Ends only with an error.
    ///
    /// `unread` counts the reads since the last one that came to its end; `gaps` is what clients are still to be told.
    async fn one_connection(&self, unread: &mut u32, gaps: &mut Gaps) -> Result<()> {
        let pooler::Dialled { client, connection, pooled } = pooler::dial(&self.target).await?;
        let bell = Bell::hang(connection, &self.lifecycle, self.status.clone());
        let shared = pooled && pooler::is_shared(&client, &self.target, &self.lifecycle).await;
        let line = within(READ_DEADLINE, Line::open(client, shared)).await?;
        let mut position = self.starting_position(&line, *unread).await?;
        let mut floor = within(READ_DEADLINE, origin::floor(&line, &position)).await?;
        self.status.connected();
        metrics::gauge!(LISTENER_UP).set(1.0);
        let doing = if line.listens() { "listening on" } else { "reading through" };
        tracing::info!(database = %self.target.describe(), "{doing} {}", self.target.describe());

        let mut pace = Pace::new(within(ECHO_DEADLINE * 2, self.echo(&line, &bell)).await?);
        self.status.mode(pace.mode());
        let mut catching_up = true;
        let mut cause = "start";
        let mut last_read = Instant::now();
        loop {
            if cause == "poll" && last_read.elapsed() < STILL_FOR {
                let still = self.is_still(&line, &position);
                if within(READ_DEADLINE, still).await? {
                    self.status.read();
                    cause = self.pause(&bell, &mut pace, 0, false).await?;
                    continue;
                }
            }
            while !within(READ_DEADLINE, line.begin_where_known()).await? {
                within(READ_DEADLINE, line.end()).await?;
                position = self.starting_position(&line, *unread).await?;
                floor = within(READ_DEADLINE, origin::floor(&line, &position)).await?;
            }
            last_read = Instant::now();
            metrics::counter!(FEED_READS_TOTAL, "cause" => cause).increment(1);
            *unread += 1;
            let span = span_of_read(cause);
            let reading = self.read(&line, position, floor);
            let read = reading.instrument(span.clone()).await?;
            span.record("rowcast.changes", read.changes);
            *unread = 0;
            if std::mem::take(&mut catching_up) && read.changes > 0 {
                metrics::counter!(GAP_FILL_ROWS_TOTAL).increment(read.changes);
                tracing::info!(changes = read.changes, "caught up with {} changes", read.changes);
            }
            gaps.tell(read.gaps, &self.hub);
            position = read.position;
            floor = position.base.snapshot.xmax();
            self.status.read();
            if pace.listens(self.status.hears()) {
                self.status.mode(pace.mode());
                said(pace.mode());
            }
            let open = !position.base.snapshot.xip().is_empty();
            cause = self.pause(&bell, &mut pace, read.changes, open).await?;
        }
    }

    /// Waits until it is time for the next read, after one that brought `changes` with other transactions `open` or not;
    /// returns why it comes about.
    async fn pause(
        &self,
        bell: &Bell,
        pace: &mut Pace,
        changes: u64,
        open: bool,
    ) -> Result<&'static str> {
        let wait = pace.after(changes, open);
        let cause = tokio::select! {
            biased;
            () = bell.rung() => { pace.rung(); "ring" }
            () = bell.lost() => return Err(Error::unavailable("the listening connection closed")),
            () = self.hub.stirred() => "asked",
            () = tokio::time::sleep(wait) => {
                pace.is_quiet();
                pace.cause()
            }
        };
        let breath = pace.breath();
        if cause == "ring" && !breath.is_zero() {
            tokio::time::sleep(breath).await;
        }
        Ok(cause)
    }

    /// Where to go on.
    async fn starting_position(&self, line: &Line, unread: u32) -> Result<Position> {
        let origin = within(READ_DEADLINE, origin::origin(line)).await?;
        let too_much = match origin.continued(&self.hub) {
            Some(position) => unread >= MAX_UNREAD || self.is_far_behind(line, &position).await?,
            None => false,
        };
        Ok(origin.go_on(&self.hub, too_much))
    }

    /// Whether a position lacks more changes than are read in one go.
    async fn is_far_behind(&self, line: &Line, position: &Position) -> Result<bool> {
        let counting = async {
            let floor = origin::floor(line, position).await?;
            log::backlog(line, position, floor, MAX_BACKLOG).await
        };
        match timeout(READ_DEADLINE, counting).await {
            Ok(counted) => Ok(counted? >= MAX_BACKLOG),
            Err(_) => within(READ_DEADLINE, line.end()).await.map(|()| true),
        }
    }

    /// Whether a read would find nothing and have nothing to tell.
    async fn is_still(&self, line: &Line, position: &Position) -> Result<bool> {
        let whole = position.partial.is_none() && self.hub.looked_up().is_empty();
        Ok(whole && line.is_still(&position.base.snapshot).await?)
    }

    /// Reads all that `position` lacks and pushes it into the hub.
    async fn read(&self, line: &Line, position: Position, floor: u64) -> Result<Read> {
        let Some((_, history)) = self.hub.position() else {
            return Err(Error::internal("reading before the hub has a position"));
        };
        let looked_up = self.hub.looked_up();
        let reading = log::lacking(line, &position, floor, &looked_up);
        let rows = within(READ_DEADLINE, reading).await?;
        let mut reading = log::Reading::new(position, history, rows);
        let mut changes = 0;
        while let Some(chunk) = within(READ_DEADLINE, reading.chunk()).await? {
            changes += chunk.deliveries.len() as u64;
            if let Some(shapes) = reading.shapes()? {
                self.hub.shaped(&shapes);
            }
            self.hub.publish(&chunk.batch, &chunk.deliveries);
            if let Some(last) = chunk.deliveries.last() {
                let lag = status::age_seconds(last.change.at, chunk.batch.upto.at);
                metrics::gauge!(FEED_LAG).set(lag);
            }
            self.status.read();
        }
        within(READ_DEADLINE, line.end()).await?;
        let gaps = reading.gaps();
        let batch = reading.finish()?;
        self.hub.finish(&batch);
        metrics::counter!(FEED_CHANGES_TOTAL).increment(changes);
        Ok(Read { position: Position::at(batch.upto.clone()), changes, gaps })
    }

    /// Whether a notification sent now comes back: a pooler accepts LISTEN and then drops everything. That of this very
    /// connection may come back all the same; the keeper's, from others, tell.
    async fn echo(&self, line: &Line, bell: &Arc<Bell>) -> Result<Mode> {
        if !line.listens() {
            said(Mode::Poll);
            return Ok(Mode::Poll);
        }
        line.one("select rowcast.echo($1)", &[&self.status.token()]).await?;
        let heard = timeout(ECHO_DEADLINE, bell.echoed()).await.is_ok();
        if heard {
            return Ok(Mode::Notify);
        }
        said(Mode::Poll);
        Ok(Mode::Poll)
    }
}

fn said(mode: Mode) {
    match mode {
        Mode::Notify => tracing::info!("LISTEN works"),
        Mode::Poll => tracing::warn!(
            "LISTEN gives nothing on this connection (a pooler?): polling 50 times a second. \
             Set ROWCAST_LISTEN_URL to a direct connection"
        ),
    }
}

struct Read {
    position: Position,
    changes: u64,
    gaps: Vec<Gap>,
}

/// The span of a read that something asked for; those that only look are no news.
fn span_of_read(cause: &'static str) -> Span {
    if matches!(cause, "fallback" | "poll" | "asked") {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACE,
        parent: None,
        "feed read",
        rowcast.cause = cause,
        rowcast.changes = tracing::field::Empty,
    )
}

/// Runs a step with a deadline.
async fn within<T>(deadline: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(deadline, step).await.unwrap_or_else(|elapsed| Err(Error::unavailable(elapsed)))
}

/// Nothing at the first loss, then 50 ms doubling, with jitter so that many nodes do not return as one.
fn back_off(failures: u32) -> Duration {
    if failures <= 1 {
        return Duration::from_millis(5);
    }
    let doubled = Duration::from_millis(50).saturating_mul(1 << failures.min(6));
    doubled.min(MAX_BACK_OFF).mul_f64(rand::random_range(0.5..1.0))
}
