//! The peers: how each is started, how a client comes in, how a row gets to it, and what it costs.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use super::{
    clients::{Dial, Step, number},
    http::Http,
    sockudo,
};
use crate::{
    bridge::{Bridge, cpu_of, free_address, resident_of},
    people::token,
    postgres::{Leash, Postgres, family},
};

const STARTED_WITHIN: Duration = Duration::from_secs(20);
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `chat.messages`, the native dialect.
    Chat,
    /// A watched table, the supabase dialect.
    Watched,
    ByHand,
    SocketIo,
    Nchan,
    Sockudo,
}

/// A peer that runs.
pub(super) struct Peer {
    pub(super) kind: Kind,
    address: SocketAddr,
    process: Process,
}

enum Process {
    Bridge(Bridge),
    Other { child: Child, _leash: Leash, folder: Option<PathBuf> },
}

/// Path and body of a publication, made of a topic and a text.
type Request = Arc<dyn Fn(&str, &str) -> (String, String) + Send + Sync>;
/// How the n-th client comes back to a topic, with what it kept.
pub(super) type Return = fn(&Peer, usize, usize, &str) -> Result<Dial>;

/// How a row is told to a peer that does not hear of it from the database.
#[derive(Clone)]
pub(super) struct Publish {
    pub(super) address: SocketAddr,
    pub(super) request: Request,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Chat, Self::Watched, Self::ByHand, Self::SocketIo, Self::Nchan, Self::Sockudo];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "rowcast",
            Self::Watched => "rowcast-table",
            Self::ByHand => "by-hand",
            Self::SocketIo => "socket.io",
            Self::Nchan => "nchan",
            Self::Sockudo => "sockudo",
        }
    }

    /// What it is, for those who read the table.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Chat => "Rowcast, `chat.messages`, native dialect",
            Self::Watched => "Rowcast, a watched table, supabase dialect",
            Self::ByHand => "LISTEN by `pg` and `ws` in Node, the row in a NOTIFY trigger",
            Self::SocketIo => {
                "Socket.IO with `@socket.io/postgres-adapter`, the event in a NOTIFY trigger"
            }
            Self::Nchan => "Nchan in nginx; the writer publishes over HTTP after its commit",
            Self::Sockudo => {
                "Sockudo (Pusher's protocol); the writer publishes over HTTP after its commit"
            }
        }
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Chat | Self::Watched)
    }

    /// Why it cannot take part here.
    pub(super) fn missing(self) -> Option<String> {
        match self {
            Self::Chat | Self::Watched => None,
            Self::ByHand | Self::SocketIo => (!peers().join("node_modules").exists())
                .then(|| "its packages are not installed (scripts/bench compare does that)".into()),
            Self::Nchan => (!fs::exists(NCHAN).unwrap_or_default())
                .then(|| "no libnginx-mod-nchan here".into()),
            Self::Sockudo => (!sockudo::program().exists()).then(|| {
                "not built (scripts/bench compare --sockudo builds it, some minutes)".into()
            }),
        }
    }

    /// The statement that commits a row: topic, text.
    pub(super) fn insert(self) -> &'static str {
        match self {
            Self::Chat => {
                "insert into chat.messages (thread_id, sender_id, content) values ($1::text::bigint, 1, $2)"
            }
            Self::Watched => "insert into public.posts_watched (topic, body) values ($1, $2)",
            Self::ByHand => "insert into public.posts_by_hand (topic, body) values ($1, $2)",
            Self::SocketIo => "insert into public.posts_io (topic, body) values ($1, $2)",
            Self::Nchan | Self::Sockudo => "insert into public.posts (topic, body) values ($1, $2)",
        }
    }

    /// How a client comes back to what it missed, where the peer has that.
    pub(super) fn resumes(self) -> Option<Return> {
        match self {
            Self::Chat => Some(|peer, nth, topic, cursor| {
                let dial = peer.dial(nth, topic)?;
                Ok(Dial { path: format!("/ws?cursor={cursor}"), ..dial })
            }),
            // The buffer's last messages, however many the client has had: as close as it comes.
            Self::Nchan => Some(|peer, nth, topic, _| {
                let dial = peer.dial(nth, topic)?;
                Ok(Dial { path: format!("/again?id={topic}"), ..dial })
            }),
            // The time of the last row it had: what was committed later with an earlier time is skipped.
            Self::ByHand => Some(|peer, nth, topic, since| {
                let dial = peer.dial(nth, topic)?;
                Ok(Dial { path: format!("/?topic={topic}&since={since}"), ..dial })
            }),
            Self::Sockudo => Some(|peer, nth, topic, place| {
                let mut dial = peer.dial(nth, topic)?;
                if let Some(last) = dial.script.last_mut() {
                    last.say = Some(sockudo::resume(topic, place)?);
                }
                Ok(dial)
            }),
            Self::Watched | Self::SocketIo => None,
        }
    }
}

impl Peer {
    pub(super) fn start(kind: Kind, postgres: &Postgres) -> Result<Self> {
        let (address, process) = match kind {
            Kind::Chat | Kind::Watched => {
                let bridge = Bridge::start(postgres)?;
                (bridge.address, Process::Bridge(bridge))
            }
            Kind::ByHand => node("by-hand.js", postgres)?,
            Kind::SocketIo => node("socketio.js", postgres)?,
            Kind::Nchan => nchan(postgres)?,
            Kind::Sockudo => {
                let address = free_address()?;
                other(sockudo::command(address)?, address, None)?
            }
        };
        Ok(Self { kind, address, process })
    }

    /// How the n-th client comes in and subscribes to a topic.
    pub(super) fn dial(&self, nth: usize, topic: usize) -> Result<Dial> {
        let heard = |heard: &'static str, say: Option<String>| Step { heard, say };
        let (path, token, script) = match self.kind {
            Kind::Chat => {
                ("/ws".to_owned(), token(nth + 1)?, vec![heard("connection_established", None)])
            }
            Kind::Watched => {
                let token = token(nth + 1)?;
                let join = serde_json::json!(["1", "1", format!("realtime:{nth}"), "phx_join", {
                    "config": { "postgres_changes": [{
                        "event": "INSERT", "schema": "public", "table": "posts_watched",
                        "filter": format!("topic=eq.{topic}"),
                    }] },
                    "access_token": token,
                }]);
                (
                    "/realtime/v1/websocket?vsn=2.0.0".to_owned() + &format!("&apikey={token}"),
                    String::new(),
                    vec![
                        heard("", Some(join.to_string())),
                        heard("Subscribed to PostgreSQL", None),
                    ],
                )
            }
            Kind::ByHand => (format!("/?topic={topic}"), String::new(), vec![heard("ready", None)]),
            Kind::SocketIo => (
                format!("/socket.io/?EIO=4&transport=websocket&topic={topic}"),
                String::new(),
                vec![heard("sid", Some("40".to_owned())), heard("ready", None)],
            ),
            Kind::Nchan => (format!("/sub?id={topic}"), String::new(), Vec::new()),
            Kind::Sockudo => (
                sockudo::path(),
                String::new(),
                vec![
                    heard("connection_established", Some(sockudo::subscribe(topic))),
                    heard("subscription_succeeded", None),
                ],
            ),
        };
        Ok(Dial { address: self.address, path, token, script })
    }

    /// A connection for requests.
    pub(super) fn http(&self) -> Result<Http> {
        Http::connect(self.address)
    }

    pub(super) fn publish(&self) -> Option<Publish> {
        let address = self.address;
        match self.kind {
            Kind::Chat | Kind::Watched | Kind::ByHand | Kind::SocketIo => None,
            Kind::Nchan => Some(Publish {
                address,
                request: Arc::new(|topic, body| {
                    let row = serde_json::json!({ "topic": topic, "body": body });
                    (format!("/pub?id={topic}"), row.to_string())
                }),
            }),
            Kind::Sockudo => Some(Publish { address, request: Arc::new(sockudo::publish) }),
        }
    }

    /// What a client keeps of a frame to come back by.
    pub(super) fn place(&self, frame: &str) -> Result<String> {
        if self.kind == Kind::Nchan {
            return Ok(String::new());
        }
        if self.kind == Kind::Sockudo {
            // Pusher's frames do not say; it counts the messages of a topic from 1, and the writers theirs from 0.
            return Ok((number(frame.as_bytes()).context("a number")? + 1).to_string());
        }
        let frame: serde_json::Value = serde_json::from_str(frame)?;
        let place = frame.get("cursor").or_else(|| frame.get("created_at"));
        let place = place.and_then(serde_json::Value::as_str).context("a message has a place")?;
        Ok(place.replace('+', "%2B"))
    }

    /// CPU time of all its processes.
    pub(super) fn cpu(&self) -> Option<Duration> {
        match &self.process {
            Process::Bridge(bridge) => bridge.cpu(),
            Process::Other { child, .. } => family(child.id()).into_iter().map(cpu_of).sum(),
        }
    }

    /// Memory of all its processes.
    pub(super) fn resident(&self) -> Option<u64> {
        match &self.process {
            Process::Bridge(bridge) => bridge.resident(),
            Process::Other { child, .. } => family(child.id()).into_iter().map(resident_of).sum(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Other { child, folder, .. } = self {
            // A parent that is asked ends its workers.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
            if let Some(folder) = folder {
                let _ = fs::remove_dir_all(folder);
            }
        }
    }
}

/// The folder of what runs in Node.
fn peers() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

fn node(script: &str, postgres: &Postgres) -> Result<(SocketAddr, Process)> {
    let mut command = Command::new("node");
    command.arg(peers().join(script)).arg(postgres.folder()).env("NODE_ENV", "production");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("node")?;
    let leash = Leash::tie(&child, "KILL", None)?;
    let mut line = String::new();
    let out = child.stdout.take().context("its output")?;
    BufReader::new(out).read_line(&mut line)?;
    let port: u16 = line.trim().parse().with_context(|| format!("{script} does not start"))?;
    Ok((
        (std::net::Ipv4Addr::LOCALHOST, port).into(),
        Process::Other { child, _leash: leash, folder: None },
    ))
}

fn nchan(postgres: &Postgres) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let folder = postgres.folder().join(format!("nchan-{}", address.port()));
    fs::create_dir_all(&folder)?;
    let settings = include_str!("nchan.conf")
        .replace("MODULE", NCHAN)
        .replace("FOLDER", &folder.display().to_string())
        .replace("ADDRESS", &address.to_string());
    let path = folder.join("nginx.conf");
    fs::write(&path, settings)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(&path).stderr(Stdio::null());
    other(command, address, Some(folder))
}

/// A server that is there when its port answers.
fn other(
    mut command: Command,
    address: SocketAddr,
    folder: Option<PathBuf>,
) -> Result<(SocketAddr, Process)> {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting it")?;
    let leash = Leash::tie(&child, "TERM", None)?;
    let mut process = Process::Other { child, _leash: leash, folder };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Process::Other { child, .. } = &mut process {
            ensure!(child.try_wait()?.is_none(), "it ended at once");
        }
        ensure!(began.elapsed() < STARTED_WITHIN, "it does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    Ok((address, process))
}
