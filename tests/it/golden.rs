//! Golden transcripts: what goes over the wire, line by line, against the real app.
//!
//! `# why` · `+socket person [query or /path]` opens · `-socket` closes · `>socket text` sends · `<socket json` must come next ·
//! `xsocket code` must be closed next · `! sql` · `? METHOD path [body]` asks as the person of the line's second word,
//! and `= status json` is the answer; `~` asks in the same way and goes on while it waits. In expected JSON `"*"` is anything, `"=name"` anything that is remembered as
//! `$name`; an expected object must have exactly the keys that came.
//!
//! `$token.anon` is a token of the role `anon`, of no user. What comes in binary is not seen.
//!
//! Over Socket.IO frames are packets: what is before the JSON must be the same, and `-` for a person connects with no token.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use serde_json::Value;

use crate::harness::{
    app::{App, Asking, Socket, now, person, thread, token, token_with},
    io::IoSocket,
};

/// A client's connection, by what it speaks.
enum Wire {
    Native(Box<Socket>),
    Io(Box<IoSocket>),
}

struct Run {
    app: App,
    io: bool,
    sockets: HashMap<String, Wire>,
    known: HashMap<String, String>,
    /// One for each person: a token is a session.
    tokens: HashMap<String, String>,
    answer: Option<Asking>,
    /// Sockets of Phoenix: whether they speak version 2.
    phoenix: HashMap<String, bool>,
}

/// Long enough for a poll to have begun to wait.
const PARKING: Duration = Duration::from_millis(150);

/// Plays every transcript of a dialect's folder.
pub(crate) async fn play_all(dialect: &str) {
    play_all_on(dialect, App::start).await;
}

/// The same, each against an app that is started so.
pub(crate) async fn play_all_on(dialect: &str, start: impl AsyncFn() -> App) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let app = start().await;
        play(&path, app, matches!(dialect, "conversations" | "direct")).await;
    }
}

async fn play(path: &Path, app: App, io: bool) {
    let text = fs::read_to_string(path).expect("a transcript");
    let mut known = HashMap::new();
    for name in ["ada", "grace", "linus", "eve"] {
        known.insert(name.to_owned(), person(name));
        known.insert(format!("token.{name}"), token(name));
    }
    let anon = serde_json::json!({ "role": "anon", "exp": now() + 3_600 });
    known.insert("token.anon".to_owned(), token_with(&anon));
    for name in ["maths", "pair"] {
        known.insert(name.to_owned(), thread(name).to_owned());
    }
    let tokens = HashMap::new();
    let (sockets, phoenix) = (HashMap::new(), HashMap::new());
    let mut run = Run { app, io, sockets, known, tokens, answer: None, phoenix };
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        run.line(line.trim(), &place).await;
    }
    // All stay until each has answered: the end of one is news to others.
    for (name, wire) in &mut run.sockets {
        // Nothing more may have come than the transcript says: the next frame is the answer to this.
        let place = path.display();
        match wire {
            Wire::Native(socket) if run.phoenix.contains_key(name) => {
                let beat = match run.phoenix.get(name) {
                    Some(true) => r#"[null,"end","phoenix","heartbeat",{}]"#,
                    _ => r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"end"}"#,
                };
                socket.send(beat).await;
                let answer = socket.next().await.to_string();
                let last = answer.contains("phoenix") && answer.contains(r#""end""#);
                assert!(last, "{place}: {name} got more: {answer}");
            }
            Wire::Native(socket) => {
                let pong =
                    socket.ask(serde_json::json!({ "type": "ping", "ref": "the end" })).await;
                assert_eq!(pong["type"], "pong", "{place}: {name} got more: {pong}");
            }
            Wire::Io(socket) => {
                socket.send(r#"2999["the end"]"#).await;
                let answer = socket.next().await;
                assert!(answer.starts_with("3999["), "{place}: {name} got more: {answer}");
            }
        }
    }
    run.sockets.clear();
    run.app.stop().await;
}

impl Run {
    async fn line(&mut self, line: &str, place: &str) {
        let Some(kind) = line.chars().next() else { return };
        let rest = self.filled(line[1..].trim());
        let (word, tail) = rest.split_once(' ').unwrap_or((&rest, ""));
        match kind {
            '#' => {}
            '!' => self.app.sql(&rest).await,
            '+' => {
                let (who, query) = tail.split_once(' ').unwrap_or((tail, ""));
                if query.contains("/websocket?") {
                    self.phoenix.insert(word.to_owned(), query.contains("vsn=2"));
                }
                let wire = if query.starts_with('/') {
                    let socket = self.app.socket_at(query, &token(who)).await;
                    Wire::Native(Box::new(socket.expect("a socket")))
                } else if !self.io {
                    Wire::Native(Box::new(self.app.socket(who, query).await))
                } else if who == "-" {
                    let mut socket = IoSocket::open(&self.app, query).await;
                    socket.send("0").await;
                    Wire::Io(Box::new(socket))
                } else {
                    let mut socket = IoSocket::enter(&self.app, &token(who), query).await;
                    // The namespace is open before others are told: an answer shows that they have been. In
                    // `conversations` a frame of its own shows it.
                    if !query.contains("conversations") {
                        socket.send(r#"2998["the start"]"#).await;
                        let answer = socket.next().await;
                        assert!(answer.starts_with("3998["), "{place}: {answer} came first");
                    }
                    Wire::Io(Box::new(socket))
                };
                self.sockets.insert(word.to_owned(), wire);
            }
            '-' => drop(self.sockets.remove(word)),
            '>' => match self.wire(word, place) {
                Wire::Native(socket) => socket.send(tail).await,
                Wire::Io(socket) => socket.send(tail).await,
            },
            'x' => {
                match self.wire(word, place) {
                    Wire::Native(socket) => {
                        let code = socket.closed().await;
                        assert_eq!(code.to_string(), tail, "{place}: close code");
                    }
                    Wire::Io(socket) => assert_eq!(socket.until_closed().await, None, "{place}"),
                }
                self.sockets.remove(word);
            }
            '<' => match self.wire(word, place) {
                Wire::Native(socket) => {
                    let came = socket.next().await;
                    self.expect(tail, &came, place);
                }
                Wire::Io(socket) => {
                    let came = socket.next().await;
                    self.expect_packet(tail, &came, place);
                }
            },
            '?' | '~' => {
                let mut words = tail.splitn(3, ' ');
                let (method, path) = (words.next().expect(place), words.next().expect(place));
                let token = self.tokens.entry(word.to_owned()).or_insert_with(|| token(word));
                self.answer = Some(self.app.asking(method, path, token, words.next()));
                if kind == '~' {
                    tokio::time::sleep(PARKING).await;
                }
            }
            '=' => {
                let (status, came) = self.answer.take().expect(place).await.expect(place);
                assert_eq!(status.to_string(), word, "{place}: status, with {came}");
                self.expect(tail, &came, place);
            }
            _ => panic!("{place}: what is `{line}`?"),
        }
    }

    fn wire(&mut self, name: &str, place: &str) -> &mut Wire {
        self.sockets.get_mut(name).unwrap_or_else(|| panic!("{place}: no socket {name}"))
    }

    fn expect_packet(&mut self, expected: &str, came: &str, place: &str) {
        let parted = |packet: &str| {
            let json = packet.find(['[', '{']).unwrap_or(packet.len());
            let (head, json) = packet.split_at(json);
            let json = if json.is_empty() { "null" } else { json };
            (head.to_owned(), serde_json::from_str(json).unwrap_or(Value::Null), json.to_owned())
        };
        let (head, _, json) = parted(expected);
        let (came_head, came_json, _) = parted(came);
        assert_eq!(came_head, head, "{place}: expected {expected}, came {came}");
        self.expect(&json, &came_json, place);
    }

    fn expect(&mut self, expected: &str, came: &Value, place: &str) {
        let expected: Value =
            serde_json::from_str(expected).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Err(why) = matches(&expected, came, &mut self.known) {
            panic!("{place}: {why}\n  expected {expected}\n  came     {came}");
        }
    }

    fn filled(&self, text: &str) -> String {
        let mut names: Vec<_> = self.known.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names
            .into_iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
    }
}

fn matches(
    expected: &Value,
    came: &Value,
    known: &mut HashMap<String, String>,
) -> Result<(), String> {
    match (expected, came) {
        (Value::String(any), _) if any == "*" => Ok(()),
        (Value::String(name), Value::String(value)) if name.starts_with('=') => {
            known.insert(name[1..].to_owned(), value.clone());
            Ok(())
        }
        (Value::Object(expected), Value::Object(came)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                let mut keys: Vec<_> = object.keys().cloned().collect();
                keys.sort();
                keys
            };
            if keys(expected) != keys(came) {
                return Err(format!("keys {:?}, expected {:?}", keys(came), keys(expected)));
            }
            expected.iter().try_for_each(|(key, value)| {
                matches(value, &came[key], known).map_err(|why| format!("{key}: {why}"))
            })
        }
        (Value::Array(expected), Value::Array(came)) if expected.len() == came.len() => {
            expected.iter().zip(came).try_for_each(|(one, other)| matches(one, other, known))
        }
        _ if expected == came => Ok(()),
        _ => Err(format!("{came} is not {expected}")),
    }
}
