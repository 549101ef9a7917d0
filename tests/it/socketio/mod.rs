//! The two dialects of Socket.IO against the real app: transcripts, the gate, hostile packets.

mod gate;
mod hostile;

#[tokio::test]
async fn the_direct_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("direct").await;
}

#[tokio::test]
async fn the_conversations_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("conversations").await;
}
