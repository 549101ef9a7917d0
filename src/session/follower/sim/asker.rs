//! Who asks for what there is since a time: that of the last answer, or, a guest on a socket, of the newest that it had.

use std::collections::HashSet;

use super::world::{CLIENTS, World, uid};
use crate::cursor::Position;

/// What somebody has who asks by time, and the time of the next question.
#[derive(Default)]
pub(super) struct Asker {
    last: Option<i64>,
    pub(super) had: HashSet<u32>,
}

impl Asker {
    /// Takes what a socket told, which was captured at an instant.
    pub(super) fn hear(&mut self, uid: u32, at: i64) {
        self.had.insert(uid);
        self.last = self.last.max(Some(at));
    }
}

impl World {
    /// A time from before the clock was set back, or of another database, stands for nothing.
    pub(super) fn forget_times(&mut self) {
        let guests = self.clients.iter_mut().filter_map(|client| client.guest.as_mut());
        for asker in guests.chain([&mut self.asker]) {
            asker.last = None;
        }
    }

    /// Asks for what there is since the time of the last answer, page by page to the end.
    pub(super) fn ask(&mut self, limit: usize) {
        let asked = self.postgres.clock();
        let mut asker = std::mem::take(&mut self.asker);
        self.since(&mut asker, limit, "who asked by time");
        asker.last = Some(asked);
        self.asker = asker;
    }

    /// A guest that has come in asks for what there is since the newest that it had.
    pub(super) fn catch_up(&mut self, nth: u8) {
        let nth = usize::from(nth % CLIENTS);
        let Some(mut guest) = self.clients[nth].guest.take() else { return };
        // What it had may be of a time before the clock was set back, whenever it came.
        guest.last = guest.last.filter(|_| !self.postgres.set_back);
        self.since(&mut guest, 3, "a guest");
        self.clients[nth].guest = Some(guest);
    }

    /// A guest that is told to asks the tables.
    pub(super) fn afresh(&mut self, nth: usize) {
        if let Some(guest) = &mut self.clients[nth].guest {
            guest.had.extend(&self.postgres.committed);
        }
    }

    fn since(&mut self, asker: &mut Asker, limit: usize, who: &str) {
        self.outcome.questions += 1;
        // Nothing to start from, or older than the log: it is read from the tables.
        let tables = self.postgres.committed.clone();
        let Some(mark) = asker.last.and_then(|last| self.postgres.checkpoint_at(last)) else {
            asker.had.extend(&tables);
            return;
        };
        let mut position = Position::at(mark);
        for _ in 0..1_000 {
            match self.page(&position, None, limit) {
                Ok(page) => {
                    for delivery in &page.deliveries {
                        asker.hear(uid(&delivery.change), delivery.change.at);
                    }
                    position = page.position;
                    if !page.more {
                        break;
                    }
                }
                Err(_) => {
                    asker.had.extend(&tables);
                    break;
                }
            }
        }
        if let Some(skipped) = tables.difference(&asker.had).min() {
            let skipped = *skipped;
            self.wrong(|| format!("{who} never got {skipped}"));
        }
    }
}
