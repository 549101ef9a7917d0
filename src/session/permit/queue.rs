//! Questions that wait for a connection: those of one group together, groups in turn, no table on all connections.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::question::{Asker, Finding, Group, Question};
use crate::{
    change::Json,
    error::{Error, Result},
};

/// Questions that wait or are being answered; who has more waits to be let in.
const ROOM: usize = 8_192;
/// Rows times askers in one statement…
const CHECKS: usize = 131_072;
/// …and their text, in bytes.
const BYTES: usize = 8 * 1024 * 1024;

/// The queue; `take` is for those who answer.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Notify,
    room: Arc<Semaphore>,
    /// Statements of one table at a time.
    at_once: usize,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Group, VecDeque<Question>>,
    turns: VecDeque<Group>,
    running: HashMap<i32, usize>,
}

/// Questions of one group; the group's table counts as busy until it is dropped.
pub(super) struct Taken<'a> {
    pub(super) group: Group,
    pub(super) questions: Vec<Question>,
    queue: &'a Queue,
}

impl Queue {
    pub(super) fn new(at_once: usize) -> Self {
        let room = Arc::new(Semaphore::new(ROOM));
        Self { state: Mutex::default(), ready: Notify::new(), room, at_once }
    }

    /// Asks; the answer comes through what is returned.
    pub(super) async fn put(
        &self,
        group: Group,
        asker: Asker,
        rows: Vec<Json>,
    ) -> Result<oneshot::Receiver<Result<Vec<Finding>>>> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(Error::internal)?;
        let (back, answer) = oneshot::channel();
        {
            let mut state = self.state();
            let question = Question { asker, rows, back, _place: place };
            let waiting = state.waiting.entry(group.clone()).or_default();
            waiting.push_back(question);
            if waiting.len() == 1 {
                state.turns.push_back(group);
            }
        }
        self.ready.notify_one();
        Ok(answer)
    }

    /// Waits for questions: as many of the next group as fit into a statement.
    pub(super) async fn take(&self) -> Taken<'_> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            self.ready.notified().await;
        }
    }

    fn try_take(&self) -> Option<Taken<'_>> {
        let mut state = self.state();
        let busy = |group: &Group| state.running.get(&group.watch).copied().unwrap_or(0);
        let place = state.turns.iter().position(|group| busy(group) < self.at_once)?;
        let group = state.turns.remove(place)?;
        let mut waiting = state.waiting.remove(&group)?;
        let (mut questions, mut checks, mut bytes) = (Vec::new(), 0, 0);
        while let Some(question) = waiting.front() {
            checks += question.rows.len();
            bytes += question.size();
            if !questions.is_empty() && (checks > CHECKS || bytes > BYTES) {
                break;
            }
            // For whoever went away meanwhile nothing is asked.
            questions.extend(waiting.pop_front().filter(|question| !question.back.is_closed()));
        }
        if !waiting.is_empty() {
            state.waiting.insert(group.clone(), waiting);
            state.turns.push_back(group.clone());
        }
        *state.running.entry(group.watch).or_default() += 1;
        if !state.turns.is_empty() {
            self.ready.notify_one();
        }
        Some(Taken { group, questions, queue: self })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        if let Some(running) = state.running.get_mut(&self.group.watch) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&self.group.watch);
            }
        }
        if !state.turns.is_empty() {
            self.queue.ready.notify_one();
        }
    }
}
