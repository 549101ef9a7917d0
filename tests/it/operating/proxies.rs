//! Behind proxies: whose address counts, which origin is the bridge's own, and what a client cannot make up.

use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest},
};

use crate::harness::{
    app::{App, token},
    io::IoSocket,
};

const UNREAD: &str = "/api/chat/unread-count";
const FOR: &str = "x-forwarded-for";

async fn status(app: &App, token: &str, headers: &[(&str, &str)]) -> u16 {
    let url = format!("http://{}{UNREAD}", app.address());
    let mut request = reqwest::Client::new().get(url).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    if answer.status() == 429 {
        assert!(answer.headers().contains_key("retry-after"));
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], "rate_limited", "{body}");
        return 429;
    }
    answer.status().as_u16()
}

/// Sends bad tokens until the address is refused; how many were answered.
async fn exhaust(app: &App, headers: &[(&str, &str)]) -> usize {
    for answered in 0..200 {
        if status(app, "nonsense", headers).await == 429 {
            return answered;
        }
    }
    panic!("never refused");
}

/// Whether a good token is refused after bad ones; a slow machine may have given a token back meanwhile.
async fn refused_after_bad_ones(app: &App, bad: &[(&str, &str)], good: &[(&str, &str)]) -> bool {
    for _ in 0..10 {
        exhaust(app, bad).await;
        if status(app, &token("ada"), good).await == 429 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn bad_tokens_shut_out_the_address_that_a_trusted_proxy_names_and_no_other() {
    let app = App::start_with(&["--trusted-proxies=127.0.0.0/8", "--rate-failures=1/5"]).await;
    let guilty = [(FOR, "198.51.100.1")];
    assert!(exhaust(&app, &guilty).await >= 5);
    assert!(refused_after_bad_ones(&app, &guilty, &guilty).await);
    // What the client itself writes stands further left.
    assert!(refused_after_bad_ones(&app, &guilty, &[(FOR, "203.0.113.7, 198.51.100.1")]).await);
    assert!(
        refused_after_bad_ones(
            &app,
            &guilty,
            &[(FOR, "198.51.100.1"), ("forwarded", "for=203.0.113.7")]
        )
        .await
    );
    exhaust(&app, &guilty).await;
    assert_eq!(status(&app, &token("ada"), &[(FOR, "198.51.100.2")]).await, 200);
    assert_eq!(status(&app, &token("ada"), &[("forwarded", "for=\"[2001:db8::7]:1\"")]).await, 200);
    // One site of IPv6 is one client.
    let site = [(FOR, "2001:db8:1:2::7")];
    assert!(refused_after_bad_ones(&app, &site, &[(FOR, "2001:db8:1:2:ffff::1")]).await);
}

#[tokio::test]
async fn headers_of_nobody_who_is_trusted_change_nothing() {
    let flags = [
        "--trusted-proxies=192.0.2.0/24",
        "--rate-failures=1/5",
        "--allowed-origins=https://a.example",
    ];
    let app = App::start_with(&flags).await;
    let fresh = (0..200).map(|n| format!("198.51.100.{n}"));
    let mut refused = false;
    for address in fresh {
        refused |= status(&app, "nonsense", &[(FOR, &address)]).await == 429;
    }
    assert!(refused, "a made-up address got round the limit");
    let made_up = [
        ("origin", "https://chat.example"),
        ("x-forwarded-host", "chat.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=chat.example;proto=https"),
    ];
    let app = App::start_with(&flags[2..]).await;
    assert_eq!(status(&app, &token("ada"), &made_up).await, 403);
}

#[tokio::test]
async fn a_trusted_proxy_says_which_origin_is_the_bridges_own() {
    let flags = ["--trusted-proxies=127.0.0.1", "--allowed-origins=https://a.example"];
    let app = App::start_with(&flags).await;
    let ask = async |origin: &str, proto: &str| {
        let headers = [
            ("origin", origin),
            ("x-forwarded-host", "chat.example"),
            ("x-forwarded-proto", proto),
        ];
        status(&app, &token("ada"), &headers).await
    };
    assert_eq!(ask("https://chat.example", "https").await, 200);
    assert_eq!(ask("https://a.example", "https").await, 200);
    assert_eq!(ask("https://other.example", "https").await, 403);
    // A page that came unencrypted is another one's.
    assert_eq!(ask("http://chat.example", "https").await, 403);
}

async fn handshake(app: &App, client: &str) -> u16 {
    let url = format!("ws://{}/ws?token={}", app.address(), token("ada"));
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert(FOR, client.parse().expect("a header"));
    match connect_async(request).await {
        Ok((_, answer)) => answer.status().as_u16(),
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_address_opens_so_many_sockets_a_second() {
    let app = App::start_with(&["--trusted-proxies=127.0.0.1", "--rate-handshakes=1/4"]).await;
    let mut answers = Vec::new();
    while answers.len() < 200 && answers.last() != Some(&429) {
        answers.push(handshake(&app, "198.51.100.1").await);
    }
    let refused = answers.pop();
    assert_eq!(refused, Some(429));
    assert!(answers.len() >= 4 && answers.iter().all(|one| *one == 101), "{answers:?}");
    assert_eq!(handshake(&app, "198.51.100.2").await, 101);
    // Requests are no handshakes.
    for _ in 0..10 {
        assert_eq!(status(&app, &token("ada"), &[(FOR, "198.51.100.1")]).await, 200);
    }
}

#[tokio::test]
async fn handshakes_of_socket_io_count_too() {
    let app = App::start_with(&["--rate-handshakes=1/4"]).await;
    for _ in 0..200 {
        let mut socket = IoSocket::open(&app, "").await;
        socket.send(&format!(r#"0{{"token":"{}"}}"#, token("ada"))).await;
        let answer = socket.next().await;
        if answer.starts_with("4{") {
            assert!(answer.contains("Too many attempts from your address"), "{answer}");
            return;
        }
    }
    panic!("never refused");
}
