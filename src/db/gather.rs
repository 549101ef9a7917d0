//! One call of the database for many clients: what is asked while a call is under way goes into the next together.

use std::{future::Future, sync::Arc};

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    error::{Error, Result},
    lifecycle::Lifecycle,
};

/// Questions in one call.
const AT_ONCE: usize = 256;
/// Questions that wait for their turn; who has more waits to be let in.
const WAITING: usize = 4_096;

/// A question with the way back.
type Asked<Q, A> = (Q, oneshot::Sender<Result<A>>);

/// A cheap handle to the one who asks.
pub struct Gather<Q, A>(mpsc::Sender<Asked<Q, A>>);

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: Send + 'static, A: Send + 'static> Gather<Q, A> {
    /// Starts; `ask` gives one answer for each question, in their order.
    pub fn start<F>(
        lifecycle: &Lifecycle,
        name: &'static str,
        ask: impl Fn(Vec<Q>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<A>>> + Send + 'static,
    {
        Self::in_lanes(lifecycle, name, 1, AT_ONCE, ask)
    }

    /// The same with several calls under way at the same moment, each with so many questions at most.
    pub fn in_lanes<F>(
        lifecycle: &Lifecycle,
        name: &'static str,
        lanes: usize,
        at_once: usize,
        ask: impl Fn(Vec<Q>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<A>>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..lanes {
            lifecycle.service(name, serve(ask.clone(), Arc::clone(&receiver), at_once));
        }
        Self(sender)
    }

    /// Asks, together with whoever else does.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let stopped = || Error::internal("nobody asks any more");
        let (sender, receiver) = oneshot::channel();
        self.0.send((question, sender)).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

async fn serve<Q, A, F>(
    ask: impl Fn(Vec<Q>) -> F + Send,
    questions: Arc<Mutex<mpsc::Receiver<Asked<Q, A>>>>,
    at_once: usize,
) where
    F: Future<Output = Result<Vec<A>>> + Send,
{
    let mut asked = Vec::new();
    loop {
        // Whoever waits for questions has the others wait for it, not for its call.
        if questions.lock().await.recv_many(&mut asked, at_once).await == 0 {
            return;
        }
        // For a client that went away meanwhile nothing is asked.
        asked.retain(|(_, back)| !back.is_closed());
        let (batch, back): (Vec<Q>, Vec<_>) = asked.drain(..).unzip();
        if batch.is_empty() {
            continue;
        }
        match ask(batch).await {
            Ok(answers) => {
                for (back, answer) in back.into_iter().zip(answers) {
                    let _ = back.send(Ok(answer));
                }
            }
            Err(error) => {
                error.log("asking the database for many clients");
                for back in back {
                    let _ = back.send(Err(Error::new(error.kind, error.message.clone())));
                }
            }
        }
    }
}
