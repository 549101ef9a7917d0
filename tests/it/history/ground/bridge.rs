//! The real program as a process of its own, which may be killed and started again on the same ports.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::config::Secret;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::Mutex,
};

use super::{Clock, until};
use crate::harness::app::SECRET;

/// Generous for a start on a busy machine, a crash of the database before it included.
const PATIENCE: Duration = Duration::from_secs(60);

/// `rowcast serve`.
pub(crate) struct Bridge {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    arguments: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
    folder: PathBuf,
    child: Mutex<Option<Child>>,
    http: reqwest::Client,
}

impl Bridge {
    pub(crate) async fn start(folder: &Path, url: &Secret, flags: &[&str]) -> Self {
        Self::start_by(None, folder, url, flags).await
    }

    /// The same by a clock of its own.
    pub(super) async fn start_by(
        clock: Option<&Clock>,
        folder: &Path,
        url: &Secret,
        flags: &[&str],
    ) -> Self {
        let (address, admin) = (free().await, free().await);
        let mut arguments = vec!["serve".to_owned()];
        for (flag, value) in [
            ("database-url", url.reveal()),
            ("jwt-secret", SECRET),
            ("port", &address.port().to_string()),
            ("admin-port", &admin.port().to_string()),
        ] {
            arguments.push(format!("--{flag}={value}"));
        }
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let http = reqwest::Client::new();
        let child = Mutex::new(None);
        let environment = clock.map(Clock::environment).into_iter().flatten();
        let environment = environment.map(|(name, path)| (name, path.to_owned())).collect();
        let folder = folder.to_owned();
        let bridge = Self { address, admin, arguments, environment, folder, child, http };
        bridge.run().await;
        bridge
    }

    /// Starts the program, again and again when it gives up, and returns when it is ready.
    pub(crate) async fn run(&self) {
        until("ready", PATIENCE, || async {
            let ended = match self.child.lock().await.as_mut() {
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => true,
            };
            if ended {
                self.spawn().await;
            }
            self.ready().await == Some(200)
        })
        .await;
    }

    async fn spawn(&self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_rowcast"))
            .args(&self.arguments)
            .env_clear()
            .env("ROWCAST_LOG", "info")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let pid = child.id().expect("it runs").to_string();
        fs::write(self.folder.join("bridge.pid"), pid).expect("a note");
        *self.child.lock().await = Some(child);
    }

    /// Kills it, and returns when it is dead.
    pub(crate) async fn kill(&self) {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await.expect("killed");
        }
    }

    /// Asks it to stop, as a supervisor does; `ended` tells when it has.
    pub(crate) async fn terminate(&self) {
        self.signal(Signal::SIGTERM).await;
    }

    /// Makes it stand still, or go on.
    pub(crate) async fn freeze(&self, frozen: bool) {
        self.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT }).await;
    }

    async fn signal(&self, signal: Signal) {
        let guard = self.child.lock().await;
        let pid = guard.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        kill(Pid::from_raw(pid.expect("it runs")), signal).expect("told");
    }

    /// Waits for its end and returns whether it was a good one.
    pub(crate) async fn ended(&self) -> bool {
        let mut child = self.child.lock().await.take().expect("it runs");
        child.wait().await.expect("an end").success()
    }

    /// The status of `/ready`; none when nobody answers.
    pub(crate) async fn ready(&self) -> Option<u16> {
        let request = self.http.get(format!("http://{}/ready", self.admin));
        let answer = request.timeout(Duration::from_secs(1)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// How it learns of changes, `notify` or `poll`; nothing while it is not ready.
    pub(crate) async fn mode(&self) -> String {
        let Ok(answer) = self.http.get(format!("http://{}/ready", self.admin)).send().await else {
            return String::new();
        };
        let said: serde_json::Value = answer.json().await.unwrap_or_default();
        said["mode"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of a metric without labels, or the sum over its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let Ok(answer) = self.http.get(format!("http://{}/metrics", self.admin)).send().await
        else {
            return 0.0;
        };
        let text = answer.text().await.unwrap_or_default();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Where its words are kept.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("bridge.log")
    }
}

/// A port that nobody has, and that no connection going out will be given meanwhile: below those (ip(7), 32768 and up).
pub(super) async fn free() -> SocketAddr {
    loop {
        let port = rand::random_range(12_000..32_000);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener.local_addr().expect("an address");
        }
    }
}
