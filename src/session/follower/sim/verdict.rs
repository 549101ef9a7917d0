//! The verdict on a schedule: everything comes to rest, and what each client got is held against what is committed.

use std::collections::HashSet;

use super::world::{CLIENTS, TOPICS, World};

/// What a schedule came to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) changes: usize,
    pub(super) delivered: usize,
    pub(super) pages: usize,
    pub(super) remembered: usize,
    pub(super) resyncs: usize,
    pub(super) overflows: usize,
    pub(super) questions: usize,
}

impl std::ops::Add for Outcome {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            changes: self.changes + other.changes,
            delivered: self.delivered + other.delivered,
            pages: self.pages + other.pages,
            remembered: self.remembered + other.remembered,
            resyncs: self.resyncs + other.resyncs,
            overflows: self.overflows + other.overflows,
            questions: self.questions + other.questions,
        }
    }
}

impl World {
    /// Lets everything come to rest, and holds what each client got against what is committed.
    pub(super) fn judge(mut self) -> Result<Outcome, String> {
        for _ in 0..8 {
            self.postgres.end(0, true);
        }
        self.ask(3);
        for _ in 0..3 {
            self.read(2, None, false);
        }
        for nth in 0..CLIENTS {
            self.come(nth);
            for _ in 0..2_000 {
                self.step(nth, 5, None);
                let follower = self.clients[usize::from(nth)].follower.as_ref();
                if follower.is_none_or(|f| !f.is_replaying() && f.mailbox.stands_at().is_some()) {
                    break;
                }
            }
        }
        self.outcome.changes = self.postgres.committed.len();
        for nth in 0..self.clients.len() {
            self.verdict(nth);
        }
        self.wrong.take().map_or(Ok(self.outcome), Err)
    }

    fn verdict(&mut self, nth: usize) {
        let client = &self.clients[nth];
        let Some(before) = &client.before else { return };
        let committed = &self.postgres.committed;
        let mut had = HashSet::new();
        let mut newest = [0u32; TOPICS as usize];
        let mut words = None;
        for uid in client.got.iter().filter(|uid| committed.contains(uid)) {
            let topic = self.postgres.rows.get(uid).map_or(0, |row| row.topic);
            let again = !had.insert(*uid);
            // What was there before it came in is told again, too, by a clock that had been further.
            if self.postgres.set_back && (again || before.contains(uid)) {
                continue;
            }
            if again {
                words.get_or_insert_with(|| format!("client {nth}: {uid} twice"));
            } else if newest[usize::from(topic)] > *uid {
                words.get_or_insert_with(|| format!("client {nth}: {uid} out of order"));
            }
            newest[usize::from(topic)] = *uid;
        }
        let held = |uid: &&u32| {
            self.postgres.rows.get(uid).is_some_and(|row| client.topics.contains(&row.topic))
        };
        had.extend(client.guest.iter().flat_map(|guest| &guest.had));
        let owed = committed.iter().filter(|uid| !before.contains(uid)).filter(held);
        if let Some(lost) = owed.filter(|uid| !had.contains(uid)).min() {
            words.get_or_insert_with(|| format!("client {nth}: {lost} lost"));
        }
        if let Some(words) = words {
            let got = client.got.clone();
            self.wrong(|| format!("{words}; it got {got:?}"));
        }
    }
}
