//! One call of the database for many clients: what is asked while a call is under way goes into the next together.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

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
        ask: impl Fn(Vec<Q>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<A>>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        lifecycle.service(name, serve(ask, receiver));
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
    mut questions: mpsc::Receiver<Asked<Q, A>>,
) where
    F: Future<Output = Result<Vec<A>>> + Send,
{
    let mut asked = Vec::new();
    while questions.recv_many(&mut asked, AT_ONCE).await > 0 {
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
