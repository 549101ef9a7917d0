//! A body that is passed on: it may be as large as it likes, but must go on, and be no trickle.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep},
};

/// The next part must come within this, of a body in the middle of which one waits for it…
pub(super) const SILENT: Duration = Duration::from_secs(150);
/// …and what is waited for all in all is this, and more for so many bytes a second: what Apache's `mod_reqtimeout` asks.
const LEAST_RATE: f64 = 500.0;

/// A body with a deadline for each part. Time in which nobody asks for one does not count.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    silent: Duration,
    /// Bytes a second below which it is a trickle; a stream of events may be one.
    least_rate: Option<f64>,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    waited: Duration,
    received: u64,
    /// Dropped with it: whoever holds the other end knows that it is over.
    _ended: oneshot::Sender<()>,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
pub(super) struct Late;

impl<B> Paced<B> {
    /// Paces what a client sends; the other value is ready when the body is over.
    pub(super) fn sent(body: B) -> (Self, oneshot::Receiver<()>) {
        let (ended, end) = oneshot::channel();
        (Self::new(body, SILENT, Some(LEAST_RATE), ended), end)
    }

    /// Paces what the project answers.
    pub(super) fn answered(body: B) -> Self {
        Self::new(body, SILENT, None, oneshot::channel().0)
    }

    fn new(body: B, silent: Duration, least_rate: Option<f64>, ended: oneshot::Sender<()>) -> Self {
        let (waiting, waited, received) = (None, Duration::ZERO, 0);
        Self { body, silent, least_rate, waiting, waited, received, _ended: ended }
    }

    /// How long the next part may take.
    fn patience(&self) -> Duration {
        let Some(rate) = self.least_rate else { return self.silent };
        let allowed = self.silent + Duration::from_secs_f64(self.received as f64 / rate);
        self.silent.min(allowed.saturating_sub(self.waited))
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let patience = this.patience();
            let (_, sleeping) =
                this.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(patience))));
            ready!(sleeping.poll_unpin(context));
            return Poll::Ready(Some(Err(Late.into())));
        };
        if let Some((since, _)) = this.waiting.take() {
            this.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const SHORT: Duration = Duration::from_secs(2);

    /// So many parts of a byte each, so many milliseconds apart; then its end, or silence.
    fn trickle(
        parts: u64,
        apart: u64,
        ends: bool,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let parts = stream::unfold(parts, move |left| async move {
            if left == 0 && !ends {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(apart)).await;
            (left > 0).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), left - 1))
        });
        StreamBody::new(Box::pin(parts))
    }

    fn paced<B>(body: B, least_rate: Option<f64>) -> Paced<B> {
        Paced::new(body, SHORT, least_rate, oneshot::channel().0)
    }

    async fn whole<B>(body: Paced<B>) -> Result<usize, String>
    where
        Paced<B>: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>>,
    {
        let collected = body.collect().await.map_err(|error| error.to_string())?;
        Ok(collected.to_bytes().len())
    }

    #[tokio::test]
    async fn a_body_may_take_long_but_not_be_silent_or_a_trickle() {
        let late = Err(Late.to_string());
        let (long, silent, slow, quick) = tokio::join!(
            whole(paced(trickle(60, 50, true), None)),
            whole(paced(trickle(3, 0, false), None)),
            whole(paced(trickle(200, 50, true), Some(1e12))),
            whole(paced(trickle(60, 50, true), Some(1e-3))),
        );
        assert_eq!(long, Ok(60));
        assert_eq!(silent, late);
        assert_eq!(slow, late);
        assert_eq!(quick, Ok(60));
    }

    #[tokio::test]
    async fn time_in_which_nobody_asks_does_not_count() {
        let mut body = paced(trickle(3, 10, true), Some(1e12));
        for _ in 0..3 {
            assert!(matches!(body.frame().await, Some(Ok(_))));
            sleep(SHORT).await;
        }
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn who_waits_is_told_when_it_is_over() {
        let (body, mut end) = Paced::sent(trickle(1, 0, true));
        assert!(end.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        assert_eq!(whole(body).await, Ok(1));
        assert!(end.await.is_err());
    }
}
