//! The supabase dialect against the real app: transcripts, the door, keys, limits, binary frames.

pub(crate) mod client;
mod door;
mod ends;
mod guide;
mod http;
mod legacy;
mod private;
mod publication;

#[tokio::test]
async fn the_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("supabase").await;
}
