//! `rowcast serve` as a process of its own, with its log to read.

use std::{path::Path, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_tungstenite::connect_async;

use crate::harness::{
    app::{PATIENCE, Socket},
    binary,
};

/// A bridge; it ends with the value.
pub(super) struct Serve {
    pub(super) address: String,
    pub(super) admin: String,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Serve {
    /// Starts one and waits until it serves. Its log is JSON.
    pub(super) async fn start(flags: &[&str]) -> Self {
        let mut serve = Self::spawn(flags);
        let line = serve.line("serving on").await;
        let text = |name: &str| line["fields"][name].as_str().expect("an address").to_owned();
        (serve.address, serve.admin) = (text("http"), text("admin"));
        serve
    }

    pub(super) fn spawn(flags: &[&str]) -> Self {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROWCAST_")) {
            command.env_remove(name);
        }
        command.env_remove("DATABASE_URL").args(["--log-format", "json", "serve"]).args(flags);
        command.args(["--port=0", "--admin-port=0"]).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program");
        let log = BufReader::new(child.stderr.take().expect("its log")).lines();
        Self { address: String::new(), admin: String::new(), child, log }
    }

    /// The next line of the log; none at its end.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let line = timeout(PATIENCE, self.log.next_line()).await.expect("a line in time");
        let line = line.expect("text")?;
        let parsed = serde_json::from_str(&line);
        Some(parsed.unwrap_or_else(|_| panic!("no JSON object: {line}")))
    }

    /// Reads on until a line says this.
    pub(super) async fn line(&mut self, words: &str) -> Value {
        let mut seen = Vec::new();
        while let Some(line) = self.next().await {
            let message = line["fields"]["message"].as_str().unwrap_or_default().to_owned();
            if message.contains(words) {
                return line;
            }
            seen.push(message);
        }
        panic!("no {words:?} in {seen:#?}");
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        kill(Pid::from_raw(id), signal).expect("a process");
    }

    /// KiB of memory that it holds.
    #[cfg(target_os = "linux")]
    pub(super) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let status = std::fs::read_to_string(path).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> std::process::ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("an end in time").expect("a status")
    }

    pub(super) async fn socket(&self, token: &str) -> Socket {
        let url = format!("ws://{}/ws?token={token}", self.address);
        Socket(connect_async(url).await.expect("a socket").0)
    }

    /// The status of a request with headers.
    pub(super) async fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = reqwest::Client::new().get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    }
}

/// Writes a file of settings whole, as editors and deployments do.
pub(super) fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).expect("written");
    std::fs::rename(fresh, path).expect("moved");
}
