//! Key sets in files and behind URLs: what is used of them, rotation, and how often they are fetched.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, jwk::Jwk};
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};

use super::{material::*, *};
use crate::{error::Kind, lifecycle::Lifecycle};

fn jwk(algorithm: Algorithm, pem: &str, id: Option<&str>) -> Value {
    let mut jwk = Jwk::from_encoding_key(&signing_key(algorithm, pem), algorithm).unwrap();
    jwk.common.key_id = id.map(str::to_owned);
    serde_json::to_value(jwk).unwrap()
}

fn edited(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn with_set(place: impl Into<String>) -> Auth {
    Auth { jwks: Some(place.into()), ..nothing() }
}

fn es256(id: Option<&str>) -> String {
    signed(Algorithm::ES256, P256, id, &payload())
}

fn eddsa(id: &str) -> String {
    signed(Algorithm::EdDSA, ED25519, Some(id), &payload())
}

/// Runs the fetching task; it has begun when this returns.
async fn keep_fresh(verifier: &Verifier) {
    Lifecycle::new().service("keys", verifier.clone().keep_fresh());
    tokio::task::yield_now().await;
}

/// A server of one key set that counts what it is asked.
#[derive(Clone)]
struct Issuer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    /// One permit an answer.
    permits: Arc<Semaphore>,
    life: Lifecycle,
}

impl Issuer {
    async fn start(address: &str, answer: String) -> (Self, SocketAddr) {
        let issuer = Self {
            answer: Arc::new(Mutex::new((StatusCode::OK, answer))),
            asked: Arc::default(),
            permits: Arc::new(Semaphore::new(1_000)),
            life: Lifecycle::new(),
        };
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        issuer.life.service("issuer", issuer.clone().accept(listener));
        (issuer, address)
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let issuer = self.clone();
            self.life.session(async move {
                let answers = service_fn(move |_| {
                    let issuer = issuer.clone();
                    async move { Ok::<_, Infallible>(issuer.reply().await) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answers).await;
            });
        }
    }

    async fn reply(&self) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        let (status, body) = self.answer.lock().unwrap().clone();
        let reply = Response::builder().status(status).header("location", "/elsewhere");
        reply.body(Full::from(body)).unwrap()
    }

    fn now_answers(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_file_serves_every_kind_of_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let kinds = [
        (Algorithm::RS256, RSA),
        (Algorithm::PS256, RSA),
        (Algorithm::ES256, P256),
        (Algorithm::ES384, P384),
        (Algorithm::EdDSA, ED25519),
    ];
    for (algorithm, pem) in kinds {
        std::fs::write(&path, set(&[jwk(algorithm, pem, Some("k"))])).unwrap();
        let verifier = verifier(&with_set(path.to_str().unwrap())).await;
        verifier.verify(&signed(algorithm, pem, Some("k"), &payload())).await.unwrap();
        verifier.verify(&signed(algorithm, pem, None, &payload())).await.unwrap();
        let unknown = signed(algorithm, pem, Some("other"), &payload());
        assert!(verifier.verify(&unknown).await.is_err());
        // The set names one algorithm, so the key's others are not accepted.
        if algorithm == Algorithm::RS256 {
            let other = signed(Algorithm::RS512, pem, Some("k"), &payload());
            assert!(verifier.verify(&other).await.is_err());
        }
    }
}

#[tokio::test]
async fn keys_that_must_not_verify_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let good = jwk(Algorithm::ES256, P256, None);
    let unusable = [
        edited(good.clone(), "use", json!("enc")),
        edited(good.clone(), "key_ops", json!(["sign"])),
        edited(good.clone(), "alg", json!("RS256")),
        edited(good.clone(), "alg", json!("RSA-OAEP")),
        edited(good.clone(), "crv", json!("secp256k1")),
        edited(good.clone(), "x", json!("!")),
        edited(good.clone(), "kid", json!(7)),
        edited(jwk(Algorithm::RS256, RSA, None), "n", json!("AQAB")),
        jwk(Algorithm::HS256, SECRET, None),
        json!("key"),
    ];
    for keys in unusable.iter().map(std::slice::from_ref).chain([&[][..], &unusable[..]]) {
        std::fs::write(&path, set(keys)).unwrap();
        let refusal = refusal(&with_set(path.to_str().unwrap())).await;
        assert!(refusal.contains("without a usable public key"), "{refusal} {keys:?}");
    }
    // Beside them, a good one is used, and a published secret is still none.
    std::fs::write(&path, set(&[&unusable[..], &[good]].concat())).unwrap();
    let verifier = verifier(&with_set(path.to_str().unwrap())).await;
    verifier.verify(&es256(None)).await.unwrap();
    let by_secret = signed(Algorithm::HS256, SECRET, None, &payload());
    assert_eq!(verifier.verify(&by_secret).await.unwrap_err().to_string(), "Invalid token");
}

#[tokio::test]
async fn an_edited_file_is_read_again_and_a_broken_one_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, set(&[jwk(Algorithm::ES256, P256, Some("old"))])).unwrap();
    let verifier = verifier(&with_set(path.to_str().unwrap())).await;
    keep_fresh(&verifier).await;

    std::fs::write(&path, "{").unwrap();
    verifier.forget_last_attempt();
    assert_eq!(verifier.verify(&eddsa("new")).await.unwrap_err().kind, Kind::Unauthorized);
    verifier.verify(&es256(Some("old"))).await.unwrap();

    std::fs::write(&path, set(&[jwk(Algorithm::EdDSA, ED25519, Some("new"))])).unwrap();
    verifier.forget_last_attempt();
    verifier.verify(&eddsa("new")).await.unwrap();
    assert!(verifier.verify(&es256(Some("old"))).await.is_err());
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once_however_many_ask() {
    let old = jwk(Algorithm::ES256, P256, Some("old"));
    let (issuer, address) = Issuer::start("127.0.0.1:0", set(std::slice::from_ref(&old))).await;
    let config = Auth { jwks: Some(format!("http://{address}/keys")), ..with_secret() };
    let verifier = verifier(&config).await;
    keep_fresh(&verifier).await;
    verifier.verify(&es256(Some("old"))).await.unwrap();
    verifier.verify(&es256(None)).await.unwrap();
    verifier.verify(&signed(Algorithm::HS256, SECRET, Some("x"), &payload())).await.unwrap();
    assert_eq!(issuer.asked(), 1);

    // So soon after the last fetch nobody's key id causes another.
    issuer.now_answers(StatusCode::OK, set(&[old, jwk(Algorithm::EdDSA, ED25519, Some("new"))]));
    for _ in 0..20 {
        assert_eq!(verifier.verify(&eddsa("new")).await.unwrap_err().kind, Kind::Unauthorized);
    }
    assert_eq!(issuer.asked(), 1);

    // Later one fetch serves all who ask meanwhile.
    verifier.forget_last_attempt();
    issuer.permits.forget_permits(usize::MAX >> 3);
    let token = eddsa("new");
    let waiting = join_all((0..50).map(|_| verifier.verify(&token)));
    let release = async {
        while issuer.asked() < 2 {
            tokio::task::yield_now().await;
        }
        issuer.permits.add_permits(1_000);
    };
    let (verified, ()) = tokio::join!(waiting, release);
    assert!(verified.iter().all(Result::is_ok));
    verifier.verify(&es256(Some("old"))).await.unwrap();
    assert!(verifier.verify(&eddsa("newer")).await.is_err());
    // A secret's token never asks for public keys.
    assert!(
        verifier.verify(&signed(Algorithm::HS256, RSA_PUBLIC, None, &payload())).await.is_err()
    );
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_key_without_an_id_serves_tokens_that_name_one() {
    let keys = set(&[jwk(Algorithm::ES256, P256, None)]);
    let (issuer, address) = Issuer::start("127.0.0.1:0", keys).await;
    let verifier = verifier(&with_set(format!("http://{address}/keys"))).await;
    keep_fresh(&verifier).await;
    verifier.forget_last_attempt();
    verifier.verify(&es256(Some("any"))).await.unwrap();
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_away_at_start_is_found_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = Auth { jwks: Some(format!("http://{address}/keys")), ..with_secret() };
    let verifier = verifier(&config).await;
    keep_fresh(&verifier).await;
    // The secret's tokens do not wait for it.
    verifier.verify(&signed(Algorithm::HS512, SECRET, None, &payload())).await.unwrap();
    for id in [Some("k"), None] {
        assert_eq!(verifier.verify(&es256(id)).await.unwrap_err().kind, Kind::Unavailable);
    }

    let keys = set(&[jwk(Algorithm::ES256, P256, Some("k"))]);
    let (issuer, _) = Issuer::start(&address.to_string(), keys).await;
    verifier.forget_last_attempt();
    verifier.verify(&es256(None)).await.unwrap();
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn only_a_proper_answer_replaces_the_keys() {
    let good = set(&[jwk(Algorithm::ES256, P256, Some("k"))]);
    let (issuer, address) = Issuer::start("127.0.0.1:0", "<html>".to_owned()).await;
    let verifier = verifier(&with_set(format!("http://{address}/keys"))).await;
    // Without anybody to fetch, nobody waits.
    verifier.forget_last_attempt();
    assert_eq!(verifier.verify(&es256(Some("k"))).await.unwrap_err().kind, Kind::Unavailable);
    keep_fresh(&verifier).await;

    let padded = format!("{}{good}", " ".repeat(1024 * 1024));
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, good.clone()),
        (StatusCode::FOUND, good.clone()),
        (StatusCode::OK, padded),
        (StatusCode::OK, "{}".to_owned()),
    ] {
        issuer.now_answers(status, body);
        let before = issuer.asked();
        verifier.forget_last_attempt();
        let refusal = verifier.verify(&es256(Some("k"))).await.unwrap_err();
        assert_eq!((refusal.kind, issuer.asked()), (Kind::Unavailable, before + 1));
    }
    issuer.now_answers(StatusCode::OK, good);
    verifier.forget_last_attempt();
    verifier.verify(&es256(Some("k"))).await.unwrap();

    // Later failures keep the keys that were good.
    issuer.now_answers(StatusCode::NOT_FOUND, String::new());
    verifier.forget_last_attempt();
    assert_eq!(verifier.verify(&eddsa("x")).await.unwrap_err().kind, Kind::Unauthorized);
    verifier.verify(&es256(Some("k"))).await.unwrap();
    let printed = format!("{verifier:?}");
    assert!(printed.contains("127.0.0.1") && !printed.contains("/keys"), "{printed}");
}
