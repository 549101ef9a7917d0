//! A connection whose request waits: what comes after it, how it ends, and what the client may send meanwhile.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::app::{App, PATIENCE, token};

/// Longer than a request takes that waits for nothing.
const LONG: Duration = Duration::from_millis(600);
const HELLO: &str =
    "insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'Hello')";

struct Raw {
    stream: TcpStream,
    seen: String,
}

impl Raw {
    /// Sends a poll that waits, and waits until it does.
    async fn park(app: &App, version: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(app.address()).await.expect("a connection");
        let body = r#"{"jsonrpc":"2.0","params":{"thread_id":1,"timeout":60}}"#;
        let head = format!(
            "POST /api/messaging/poll/messages {version}\r\nhost: a\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
            token("ada"),
            body.len()
        );
        stream.write_all((head + body).as_bytes()).await.expect("sent");
        waiting(app, 1).await;
        tokio::time::sleep(LONG).await;
        Self { stream, seen: String::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("sent");
    }

    /// Reads until a word has come; what came after it stays.
    async fn until(&mut self, word: &str) -> String {
        let mut some = [0; 4_096];
        loop {
            if let Some(end) = self.seen.find(word).map(|at| at + word.len()) {
                let rest = self.seen.split_off(end);
                return std::mem::replace(&mut self.seen, rest);
            }
            let reading = timeout(PATIENCE, self.stream.read(&mut some)).await;
            let count = reading.unwrap_or_else(|_| panic!("no {word:?} after {:?}", self.seen));
            let count = count.expect("a read");
            assert!(count > 0, "closed before {word:?}: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    }

    async fn closed(&mut self) {
        let mut some = [0; 4_096];
        while timeout(PATIENCE, self.stream.read(&mut some)).await.expect("an end").unwrap_or(0) > 0
        {
        }
    }
}

async fn waiting(app: &App, count: usize) {
    let parked = async {
        while app.parked_polls() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, parked).await.expect("that many polls");
}

#[tokio::test]
async fn after_a_poll_that_waited_the_connection_goes_on() {
    let app = App::start().await;
    let mut raw = Raw::park(&app, "HTTP/1.1", "").await;
    // Sent ahead: it is answered in its turn.
    raw.send("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await;
    app.sql(HELLO).await;
    let first = raw.until("\"Hello\"").await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    let second = raw.until("not_found").await;
    assert!(second.contains("HTTP/1.1 404 Not Found\r\n"), "{second}");
    raw.send("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.until("HTTP/1.1 404 Not Found\r\n").await;
}

#[tokio::test]
async fn a_client_that_wants_it_closed_has_it_closed() {
    let app = App::start().await;
    for (version, header) in [("HTTP/1.1", "connection: close\r\n"), ("HTTP/1.0", "")] {
        let mut raw = Raw::park(&app, version, header).await;
        app.sql(HELLO).await;
        let answer = raw.until("\"Hello\"").await;
        assert!(answer.starts_with(version) && !answer.contains("chunked"), "{answer}");
        raw.closed().await;
        app.sql("delete from chat.messages").await;
    }
}

#[tokio::test]
async fn who_goes_away_or_talks_too_much_is_forgotten() {
    let app = App::start().await;
    let raw = Raw::park(&app, "HTTP/1.1", "").await;
    drop(raw);
    waiting(&app, 0).await;
    let mut raw = Raw::park(&app, "HTTP/1.1", "").await;
    // The end of it may not get out any more.
    let _ = raw.stream.write_all(&[b'x'; 64 * 1024]).await;
    waiting(&app, 0).await;
    raw.closed().await;
}

#[tokio::test]
async fn a_handshake_that_takes_long_is_a_socket_all_the_same() {
    let app = App::start().await;
    let mut client = app.database.client().await;
    let busy = client.transaction().await.expect("a transaction");
    busy.batch_execute("lock table chat.members in access exclusive mode").await.expect("a lock");
    let began = tokio::time::Instant::now();
    let connecting = async { (app.socket("ada", "").await, began.elapsed()) };
    let releasing = async {
        tokio::time::sleep(LONG).await;
        busy.commit().await.expect("released");
    };
    let ((mut socket, took), ()) = tokio::join!(connecting, releasing);
    assert!(took >= LONG, "the handshake did not wait: {took:?}");
    assert_eq!(socket.until("connection_established").await["type"], "connection_established");
}

#[tokio::test]
async fn a_shutdown_answers_and_closes() {
    let mut app = App::start().await;
    let mut raw = Raw::park(&app, "HTTP/1.1", "").await;
    app.stop().await;
    let answer = raw.until("has_new").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    raw.closed().await;
}
