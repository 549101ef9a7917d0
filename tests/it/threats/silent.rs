//! Peers that vanish without a word, and those that say one byte at a time: each is gone in its time.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{
    harness::{
        app::{App, Socket, token},
        io::IoSocket,
    },
    native::client::request,
    supabase::client::token_of,
};

const ADMIN: &str = "an operator's token of tests";
/// Longer than any deadline of the bridge, on a busy machine, too.
const END: Duration = Duration::from_secs(60);
/// Between two bytes: far less than any deadline.
const DRIP: Duration = Duration::from_millis(50);
const FLAGS: &[&str] =
    &["--ping-interval=1s", "--admin-token=an operator's token of tests", "--channel-idle=1h"];

/// A way to the bridge that swallows everything from some moment on and closes nothing, as a network does whose cable is cut.
struct Cable {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    /// How many connections the bridge has ended.
    ended: watch::Receiver<usize>,
}

impl Cable {
    #[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
    async fn to(app: &App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cut, is_cut) = watch::channel(false);
        let (count, ended) = watch::channel(0);
        let (bridge, count) = (app.address(), Arc::new(count));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let bridge = TcpStream::connect(bridge).await.expect("the bridge");
                let (is_cut, count) = (is_cut.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    carry(client, bridge, is_cut).await;
                    count.send_modify(|count| *count += 1);
                });
            }
        });
        Self { address, cut, ended }
    }
}

/// Carries both ways until the cable is cut; then reads what the bridge says, to its end, for nobody.
async fn carry(mut client: TcpStream, mut bridge: TcpStream, mut is_cut: watch::Receiver<bool>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut bridge) => return,
        cut = is_cut.wait_for(|cut| *cut) => drop(cut),
    }
    let _ = copy(&mut bridge, &mut sink()).await;
    drop(client);
}

/// The dialects of the sessions that the bridge has.
async fn sessions(app: &App) -> Vec<String> {
    let url = format!("http://{}/admin/api/sessions", app.addresses.admin);
    let request = reqwest::Client::new().get(url).bearer_auth(ADMIN).timeout(END);
    let body = request.send().await.expect("an answer").text().await.expect("a body");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let rows = body["sessions"].as_array().unwrap_or_else(|| panic!("{body}"));
    let dialect = |row: &Value| row["dialect"].as_str().expect("a dialect").to_owned();
    let mut dialects: Vec<String> = rows.iter().map(dialect).collect();
    dialects.sort_unstable();
    dialects
}

async fn until_left(app: &App, wanted: &[&str]) {
    let waiting = async {
        while sessions(app).await != wanted {
            sleep(DRIP).await;
        }
    };
    let waited = timeout(END, waiting).await;
    assert!(waited.is_ok(), "{:?} are there, not {wanted:?}", sessions(app).await);
}

#[tokio::test]
async fn who_vanishes_without_a_word_is_gone_after_the_silence_and_nobody_else_is() {
    let app = App::start_with(FLAGS).await;
    let cable = Cable::to(&app).await;
    let mut there = app.socket("grace", "").await;
    there.until("connection_established").await;
    let mut gone = Vec::new();
    for path in [
        format!("/ws?token={}", token("ada")),
        format!("/ws/chat/1/?token={}", token("ada")),
        format!("/realtime/v1/websocket?vsn=2.0.0&apikey={}", token_of("anon")),
    ] {
        let url = format!("ws://{}{path}", cable.address);
        gone.push(connect_async(url).await.expect("a socket").0);
    }
    let io = IoSocket::enter_at(cable.address, &token("ada"), "&dialect=conversations").await;
    // Who polls has no connection between two polls: its session alone has to end.
    let poller = poller(&app, &token("ada")).await;
    until_left(&app, &["conversations", "direct", "native", "native", "rooms", "supabase"]).await;

    cable.cut.send_replace(true);
    for socket in &mut gone {
        // What it says now nobody hears: not even a goodbye.
        let _ = socket.send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    // Whoever reads answers pings, however little it says.
    let staying = async {
        loop {
            assert_eq!(there.ask(json!({ "type": "ping" })).await["type"], "pong");
            sleep(DRIP).await;
        }
    };
    tokio::select! {
        () = staying => {}
        () = until_left(&app, &["native"]) => {}
    }
    let mut ended = cable.ended.clone();
    let all_ended = timeout(END, ended.wait_for(|count| *count == 4)).await;
    assert!(all_ended.is_ok(), "connections are left open");
    there.send(r#"{"type":"ping"}"#).await;
    there.until("pong").await;
    drop((gone, io, poller));
}

/// A session of Socket.IO by long-polling; returns its path.
async fn poller(app: &App, token: &str) -> String {
    let path = "/socket.io/?EIO=4&transport=polling";
    let open = request(app, "GET", path, &[], "").await.text().await.expect("a body");
    let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
    let path = format!("{path}&sid={}", open["sid"].as_str().expect("an id"));
    let connect = format!(r#"40{{"token":"{token}"}}"#);
    assert_eq!(request(app, "POST", &path, &[], connect).await.status(), 200);
    loop {
        let came = request(app, "GET", &path, &[], "").await.text().await.expect("a body");
        if came.contains(r#"40{"sid""#) {
            return path;
        }
        assert_eq!(came, "2", "a heartbeat");
        assert_eq!(request(app, "POST", &path, &[], "3").await.status(), 200);
    }
}

/// Writes `first` at once and the rest byte by byte, from the beginning again where it ends, until the bridge ends the
/// connection; returns what that said.
async fn trickled(app: &App, what: &str, first: impl AsRef<[u8]>, rest: &[u8]) -> String {
    let stream = TcpStream::connect(app.address()).await.expect("a connection");
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(first.as_ref()).await.expect("written");
    let dripping = async {
        for byte in rest.iter().cycle() {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    let mut came = Vec::new();
    tokio::select! {
        () = dripping => {}
        // A reset is an end, too.
        end = timeout(END, reading.read_to_end(&mut came)) => {
            let _ = end.unwrap_or_else(|_| panic!("{what} has no end"));
        }
    }
    String::from_utf8_lossy(&came).into_owned()
}

#[tokio::test]
async fn who_sends_a_frame_byte_by_byte_is_gone_after_the_same_silence() {
    let app = App::start_with(FLAGS).await;
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    // A masked text frame of 60,000 bytes, of which none is missing for long.
    let frame = [&[0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0][..], &[b'x'; 50_000]].concat();
    let head = [0x81];
    let native = upgrade(&format!("/ws?token={}", token("ada")));
    let room = upgrade(&format!("/ws/chat/1/?token={}", token("ada")));
    let phoenix = upgrade(&format!("/realtime/v1/websocket?vsn=2.0.0&apikey={}", token_of("anon")));
    let io = upgrade("/socket.io/?EIO=4&transport=websocket");
    let all = tokio::join!(
        trickled(&app, "native", &native, &frame),
        trickled(&app, "rooms", &room, &frame),
        trickled(&app, "supabase", &phoenix, &frame),
        trickled(&app, "Engine.IO", &io, &frame),
        trickled(&app, "a frame's head", [native.as_bytes(), &head[..]].concat(), &frame[1..]),
    );
    for came in [all.0, all.1, all.2, all.3, all.4] {
        assert!(came.starts_with("HTTP/1.1 101 "), "{came}");
    }
    until_left(&app, &[]).await;
}

#[tokio::test]
async fn who_sends_a_request_byte_by_byte_is_ended_in_every_version_of_http() {
    let app = App::start_with(FLAGS).await;
    let path = poller(&app, &token("ada")).await;
    let auth = format!("host: a\r\nauthorization: Bearer {}\r\n", token("ada"));
    let posts = |path: &str| format!("POST {path} HTTP/1.1\r\n{auth}content-length: 90000\r\n\r\n");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // A request that is whole, and one whose headers go on for ever.
    let whole =
        [&preface[..], &settings, &[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a']];
    let endless = [&preface[..], &settings, &[0, 0x3f, 0xff, 1, 0, 0, 0, 0, 1, 0x82, 0x86, 0x84]];
    let (head, first, body, engine, silent, begun, headers, vanished) = tokio::join!(
        trickled(&app, "a line", "G", b"ET /api/chat/threads HTTP/1.1 "),
        trickled(&app, "a header", "GET /api/chat/threads HTTP/1.1\r\nhost: a\r\nx-header: ", b"x"),
        trickled(&app, "a body", posts("/api/chat/threads/1/messages"), b" "),
        trickled(&app, "a body of Engine.IO", posts(&path), b"4"),
        trickled(&app, "half a preface", "PRI", b""),
        trickled(&app, "a preface", [&preface[..], &settings].concat(), b""),
        trickled(&app, "a header of HTTP/2", endless.concat(), b"x"),
        trickled(&app, "a request of HTTP/2", whole.concat(), b""),
    );
    for (what, came) in [("a line", head), ("a header", first)] {
        assert!(came.is_empty() || came.starts_with("HTTP/1.1 4"), "{what}: {came}");
    }
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(engine.starts_with("HTTP/1.1 408"), "{engine}");
    assert!(silent.is_empty(), "{silent:?}");
    for (what, came) in [("a preface", begun), ("a header of HTTP/2", headers)] {
        assert!(!came.contains("not_found"), "{what}: {came:?}");
    }
    assert!(vanished.contains("not_found"), "an answer, and later the end: {vanished:?}");
    until_left(&app, &[]).await;
    let _: Socket = app.socket("ada", "").await;
}
