//! What clients that are connected and silent cost the real program in memory, and that they are served as before.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::serve::Serve;
use crate::harness::{
    Database,
    app::{PATIENCE, PEOPLE, SECRET, Socket, token},
    io::IoSocket,
};

/// As many as the files of two processes allow anywhere.
const CLIENTS: usize = 400;
/// Clients before the count begins: pools fill, caches warm up.
const WARM_UP: usize = 40;

async fn serve(database: &Database) -> Serve {
    database.client().await.batch_execute(PEOPLE).await.expect("people");
    Serve::start(&[
        &format!("--database-url={}", database.url()),
        &format!("--jwt-secret={SECRET}"),
        "--rate-joins=10000/10000",
    ])
    .await
}

/// Waits until each of the clients costs no more than so many KiB: what their coming had used is given back in a moment.
async fn cost_at_most(serve: &Serve, before: u64, most: u64) {
    let began = Instant::now();
    loop {
        let each = serve.resident().saturating_sub(before) / CLIENTS as u64;
        if each <= most {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{each} KiB each, not {most}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_socket_costs_little_and_is_answered_whole() {
    let database = Database::new().await;
    let serve = serve(&database).await;
    for _ in 0..WARM_UP {
        serve.socket(&token("eve")).await.until("connection_established").await;
    }
    let before = serve.resident();
    let mut sockets: Vec<Socket> = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = serve.socket(&token("eve")).await;
        socket.until("connection_established").await;
        sockets.push(socket);
    }
    cost_at_most(&serve, before, 20).await;
    // A frame of many times the buffer that it is read into, and one that is shorter.
    for padding in [30_000, 0] {
        for socket in &mut sockets {
            socket.send(format!("{}{}", json!({ "type": "ping" }), " ".repeat(padding))).await;
        }
        for socket in &mut sockets {
            socket.until("pong").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_client_of_socket_io_costs_little() {
    let database = Database::new().await;
    let serve = serve(&database).await;
    let address = serve.address.parse().expect("an address");
    for _ in 0..WARM_UP {
        IoSocket::enter_at(address, &token("eve"), "").await;
    }
    let before = serve.resident();
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        sockets.push(IoSocket::enter_at(address, &token("eve"), "").await);
    }
    cost_at_most(&serve, before, 50).await;
    for socket in &mut sockets {
        socket.send(r#"27["nothing",{}]"#).await;
        while !socket.next().await.starts_with("37") {}
    }
}
