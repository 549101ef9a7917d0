//! The cursor: where in the history of commits a client stands, as an opaque, URL-safe word.
//!
//! A position is a snapshot (`pg_snapshot`, PostgreSQL manual §9.27) and, inside a batch, the snapshot the batch
//! leads to with the last change had of it. It names exactly which commits its holder has seen, so that
//! nothing is skipped (a transaction still open is in the snapshot's list) and nothing repeated.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::{Error, Result};

/// The longest cursor that is looked at, in bytes of its text.
pub const MAX_BYTES: usize = 16 * 1024;
const VERSION: u8 = 1;
/// A cursor that stands for a time: pages read from the tables, beyond the log, have no position in it.
const TIME_VERSION: u8 = 2;

/// Which transactions are visible: those below `xmax` that are not in `xip`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    xip: Arc<[u64]>,
}

impl Snapshot {
    /// Builds a snapshot; `xip` must ascend strictly within `xmin..xmax`.
    pub fn new(xmin: u64, xmax: u64, xip: Vec<u64>) -> Option<Self> {
        let ascending = xip.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = xip.first().is_none_or(|&first| first >= xmin)
            && xip.last().is_none_or(|&last| last < xmax);
        // Postgres numbers transactions from 3 and stores the bounds as a signed 64-bit number.
        let legal = ascending && inside && xmin <= xmax && xmin > 0 && xmax < i64::MAX as u64;
        legal.then(|| Self { xmin, xmax, xip: xip.into() })
    }

    /// Parses `xmin:xmax:xip,xip,…`, the text form of `pg_snapshot`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let xmin = parts.next()?.parse().ok()?;
        let xmax = parts.next()?.parse().ok()?;
        let list = parts.next()?;
        let xip = if list.is_empty() {
            Vec::new()
        } else {
            list.split(',').map(str::parse).collect::<Result<_, _>>().ok()?
        };
        Self::new(xmin, xmax, xip)
    }

    /// The lowest transaction that was still open.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// One above the highest transaction that had ended.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// The transactions below `xmax` that were open.
    pub fn xip(&self) -> &[u64] {
        &self.xip
    }

    /// Whether a committed transaction is seen.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && (xid < self.xmin || self.xip.binary_search(&xid).is_err())
    }

    /// Whether all that `other` sees is seen here too. Snapshots of one primary are nested, so one of two always covers.
    pub fn covers(&self, other: &Self) -> bool {
        self.xmax >= other.xmax && self.xip.iter().all(|&xid| !other.sees(xid))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.xip.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{xid}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A snapshot and the database's clock read just after it was taken, in microseconds since 1970.
///
/// A change captured later than `at` cannot be in the snapshot. That tells changes apart after a crash of Postgres,
/// which may give the numbers of transactions that never reached the disk to new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What was visible.
    pub snapshot: Snapshot,
    /// When, or a little later.
    pub at: i64,
}

impl Mark {
    /// Whether a change that was captured at an instant by a committed transaction is seen.
    pub fn sees(&self, xid: u64, at: i64) -> bool {
        self.snapshot.sees(xid) && at <= self.at
    }

    /// Whether it is certainly no earlier than another: by the numbers, which a crash may give out again, and by the clock.
    pub fn covers(&self, other: &Self) -> bool {
        self.at >= other.at && self.snapshot.covers(&other.snapshot)
    }
}

/// Which commits a client has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Everything that this shows…
    pub base: Mark,
    /// …and of what this shows beyond it, the changes up to an id.
    pub partial: Option<(Mark, i64)>,
}

impl Position {
    /// All that a snapshot shows.
    pub fn at(base: Mark) -> Self {
        Self { base, partial: None }
    }

    /// In the middle of a batch.
    pub fn within(base: Mark, upto: Mark, last_id: i64) -> Self {
        Self { base, partial: Some((upto, last_id)) }
    }

    /// Whether its holder has had the change `id` of transaction `xid`, captured `at`.
    pub fn has(&self, xid: u64, id: i64, at: i64) -> bool {
        self.base.sees(xid, at)
            || self.partial.as_ref().is_some_and(|(upto, last)| id <= *last && upto.sees(xid, at))
    }

    /// Whether its holder has had all that the holder of `other` has. Not certain is no.
    pub fn covers(&self, other: &Self) -> bool {
        let within = self.base == other.base
            && match (&self.partial, &other.partial) {
                (_, None) => true,
                (Some((upto, last)), Some((to, id))) => upto == to && last >= id,
                (None, Some(_)) => false,
            };
        within || self.base.covers(other.furthest())
    }

    /// All that it has and all that a mark shows, of a database that was further then; it alone where that was not.
    pub fn with(self, mark: &Mark) -> Self {
        let covers = |other: &Mark| mark.snapshot.covers(&other.snapshot);
        match self {
            position if covers(position.furthest()) => Self::at(mark.clone()),
            Self { base, partial } if covers(&base) => Self { base: mark.clone(), partial },
            position => position,
        }
    }

    /// The furthest that anything in it goes.
    pub fn furthest(&self) -> &Mark {
        self.partial.as_ref().map_or(&self.base, |(upto, _)| upto)
    }

    /// Writes the cursor for a database history.
    pub fn encode(&self, history: HistoryId) -> String {
        let mut out = Vec::with_capacity(48);
        out.push(VERSION);
        out.extend_from_slice(&history.0.to_be_bytes());
        put_mark(&mut out, &self.base, None);
        if let Some((upto, last_id)) = &self.partial {
            put_mark(&mut out, upto, Some(&self.base));
            put(&mut out, zigzag(*last_id));
        }
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Reads a cursor; one of another history is `None`: it says nothing about this database.
    pub fn decode(text: &str, history: HistoryId) -> Result<Option<Self>> {
        let wrong = || {
            Error::malformed(
                "`cursor` is not one of ours; send back the last one that you received",
            )
        };
        if text.len() > MAX_BYTES {
            return Err(wrong());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        if read_time(&bytes).is_some() {
            return Ok(None);
        }
        let (position, found) = read_cursor(&bytes).ok_or_else(wrong)?;
        Ok((found == history).then_some(position))
    }
}

/// Writes a cursor that stands for a time, in microseconds since 1970; only offline sync takes it.
pub fn encode_time(at: i64) -> String {
    let mut out = vec![TIME_VERSION];
    put(&mut out, zigzag(at));
    URL_SAFE_NO_PAD.encode(out)
}

/// Reads a cursor that stands for a time; `None` for any other text.
pub fn decode_time(text: &str) -> Option<i64> {
    read_time(&URL_SAFE_NO_PAD.decode(text.get(..text.len().min(32))?).ok()?)
}

fn read_time(bytes: &[u8]) -> Option<i64> {
    let (&version, mut rest) = bytes.split_first()?;
    let at = unzigzag(take(&mut rest)?);
    (version == TIME_VERSION && rest.is_empty()).then_some(at)
}

/// The short hash of a database's history: which cluster, timeline, database and log the numbers belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId(pub u32);

impl HistoryId {
    /// Hashes the text of `rowcast.history()`.
    pub fn of(history: &str) -> Self {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(history.as_bytes());
        Self(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}

fn read_cursor(bytes: &[u8]) -> Option<(Position, HistoryId)> {
    let (&version, rest) = bytes.split_first()?;
    let (history, mut rest) = rest.split_first_chunk::<4>()?;
    if version != VERSION {
        return None;
    }
    let base = take_mark(&mut rest, None)?;
    let position = if rest.is_empty() {
        Position::at(base)
    } else {
        let upto = take_mark(&mut rest, Some(&base))?;
        let last_id = unzigzag(take(&mut rest)?);
        Position::within(base, upto, last_id)
    };
    rest.is_empty().then_some((position, HistoryId(u32::from_be_bytes(*history))))
}

/// Numbers are written relative to `before` where there is one, then each to the one before it: most take one byte.
fn put_mark(out: &mut Vec<u8>, mark: &Mark, before: Option<&Mark>) {
    let (xid, at) = before.map_or((0, 0), |mark| (mark.snapshot.xmin, mark.at));
    let snapshot = &mark.snapshot;
    put(out, zigzag(mark.at.wrapping_sub(at)));
    put(out, zigzag((snapshot.xmin as i64).wrapping_sub(xid as i64)));
    put(out, snapshot.xmax - snapshot.xmin);
    put(out, snapshot.xip.len() as u64);
    let mut last = snapshot.xmin;
    for &xid in snapshot.xip.iter() {
        put(out, xid - last);
        last = xid;
    }
}

fn take_mark(rest: &mut &[u8], before: Option<&Mark>) -> Option<Mark> {
    let (xid, at) = before.map_or((0, 0), |mark| (mark.snapshot.xmin, mark.at));
    let at = unzigzag(take(rest)?).checked_add(at)?;
    let xmin = u64::try_from(unzigzag(take(rest)?).checked_add(xid as i64)?).ok()?;
    let xmax = take(rest)?.checked_add(xmin)?;
    let count = usize::try_from(take(rest)?).ok()?;
    // Each entry takes at least one byte: a count beyond what is left is a lie, and must not allocate.
    if count > rest.len() {
        return None;
    }
    let mut last = xmin;
    let mut xip = Vec::with_capacity(count);
    for _ in 0..count {
        last = last.checked_add(take(rest)?)?;
        xip.push(last);
    }
    Some(Mark { snapshot: Snapshot::new(xmin, xmax, xip)?, at })
}

/// LEB128, as in Protocol Buffers' varints.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests;
