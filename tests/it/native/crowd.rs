//! A crowd that comes, goes and comes back at the same moment: each as if alone.

use crate::harness::app::App;

#[tokio::test]
async fn who_comes_back_soon_is_told_from_memory_what_passed() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    let greeting = ada.until("connection_established").await;
    drop(ada);
    let mut grace = app.socket("grace", "").await;
    for nth in 0..3 {
        let insert = "insert into chat.messages (thread_id, sender_id, content)";
        app.sql(&format!("{insert} values (1, 3, 'm{nth}')")).await;
        grace.until("new_message").await;
    }
    // Nobody is told that the log has lost it: what comes now does not come from there.
    app.sql("delete from rowcast.changes").await;
    let cursor = greeting["cursor"].as_str().expect("a cursor");
    let mut back = app.socket("ada", &format!("cursor={cursor}")).await;
    for nth in 0..3 {
        let message = back.until("new_message").await;
        assert_eq!(message["data"]["content"], format!("m{nth}"));
    }
    assert!(back.until("resumed").await["cursor"].is_string());
}
