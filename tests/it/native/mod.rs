//! The native dialect against the real app: transcripts, who is let in, resuming, bad input.

mod authorisation;
pub(crate) mod client;
mod crowd;
mod events;
mod input;
mod pages;
mod rest_input;
mod strangers;
mod stream;

#[tokio::test]
async fn the_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("native").await;
}
