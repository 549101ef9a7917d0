//! The long-polling dialect against the real app: transcripts, and what a waiting poll promises.

mod parked;

#[tokio::test]
async fn the_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("longpoll").await;
}
