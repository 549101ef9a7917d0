//! A private Postgres that can be killed, stopped and started again, and goes away with its test.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::Pid,
};
use rowcast::{
    config::Secret,
    db::{
        Target,
        embedded::{Cluster, Options},
    },
};

use super::{super::trouble::Set, Clock, now, program, until};

/// A crash recovery may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server; commits survive the death of its processes, though not of the machine.
pub(crate) struct Postgres {
    options: Options,
    cluster: Mutex<Option<Cluster>>,
    url: Secret,
    superuser_url: Secret,
    port: u16,
    data: PathBuf,
    /// The clock that it goes by, where that can be set.
    clock: Option<Clock>,
    /// When we die, its input closes, and it cleans up.
    _watcher: Child,
}

impl Postgres {
    pub(super) async fn start(
        folder: &Path,
        settings: &[(&str, &str)],
        clock: Option<Clock>,
    ) -> Self {
        let defaults = [("max_connections", "200"), ("max_prepared_transactions", "100")];
        let settings = defaults.iter().chain(settings);
        let settings = settings.map(|(name, value)| (name.to_string(), value.to_string()));
        let mut options = Options {
            data_dir: folder.to_owned(),
            port: 0,
            durable: false,
            settings: settings.collect(),
        };
        let cluster = Cluster::start(&options).await.expect("a private Postgres");
        options.port = cluster.port();
        let watcher = watch(folder, &cluster.data());
        let by_clock = clock.is_some();
        let postgres = Self {
            url: cluster.url(),
            superuser_url: cluster.superuser_url(),
            port: cluster.port(),
            data: cluster.data(),
            clock,
            cluster: Mutex::new(Some(cluster)),
            options,
            _watcher: watcher,
        };
        if by_clock {
            postgres.kill();
            postgres.restart().await;
        }
        postgres
    }

    /// The URL for the role that owns the database.
    pub(crate) fn url(&self) -> Secret {
        self.url.clone()
    }

    /// The URL for the superuser; it leads to another database.
    pub(crate) fn superuser_url(&self) -> Secret {
        self.superuser_url.clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the postmaster and every backend at once, and lets it be dead.
    pub(crate) fn kill(&self) {
        let Some(cluster) = self.cluster.lock().expect("whole").take() else { return };
        let postmaster = cluster.pid();
        let backends = children(postmaster);
        for pid in std::iter::once(postmaster).chain(backends) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        cluster.leave_running();
        let _ = waitpid(Pid::from_raw(postmaster), None);
    }

    /// Stops it as a service manager does, and waits until it has: no recovery at its next start.
    pub(crate) async fn stop(&self) {
        let Some(cluster) = self.cluster.lock().expect("whole").take() else { return };
        let postmaster = Pid::from_raw(cluster.pid());
        kill(postmaster, Signal::SIGINT).expect("told");
        cluster.leave_running();
        let ending = tokio::task::spawn_blocking(move || waitpid(postmaster, None));
        ending.await.expect("an end").expect("its status");
    }

    /// Starts it again on the same data and port; returns when it has recovered.
    pub(crate) async fn restart(&self) {
        if let Some(clock) = &self.clock {
            self.serve(clock).await;
        }
        let cluster = Cluster::start(&self.options).await.expect("Postgres again");
        *self.cluster.lock().expect("whole") = Some(cluster);
    }

    /// Sets its clock so many seconds forward, or back; returns when, and what it says now.
    pub(crate) fn step_clock(&self, seconds: i64) -> Set {
        let clock = self.clock.as_ref().expect("a clock of its own");
        let at = now();
        clock.step(seconds);
        Set { at, to: now() + clock.ahead(), back: seconds < 0 }
    }

    /// Starts it with a clock of its own, for `Cluster` to take over.
    #[expect(clippy::zombie_processes, reason = "`kill` and `stop` wait for it, by its number")]
    async fn serve(&self, clock: &Clock) {
        let log = self.options.data_dir.join("postgres.log");
        let log = File::options().append(true).create(true).open(log).expect("a log");
        let mut command = program(self, "postgres").expect("the server");
        command.arg("-D").arg(&self.data).envs(clock.environment());
        command.stdout(Stdio::null()).stderr(log).spawn().expect("the server");
        let target = Target::parse(&self.superuser_url).expect("a URL");
        until("a Postgres that answers", PATIENCE, || async { target.connect().await.is_ok() })
            .await;
    }

    /// Hands a folder over to the account that the server runs as.
    pub(crate) fn own(&self, folder: &Path) {
        let (uid, gid) = self.account();
        chown(folder, Some(uid), Some(gid)).expect("another owner");
    }

    /// The account that the server runs as.
    pub(crate) fn account(&self) -> (u32, u32) {
        let owner = fs::metadata(&self.data).expect("a data folder");
        (owner.uid(), owner.gid())
    }

    /// Makes every process of it stand still, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        let guard = self.cluster.lock().expect("whole");
        let Some(cluster) = guard.as_ref() else { return };
        for pid in std::iter::once(cluster.pid()).chain(children(cluster.pid())) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn children(parent: i32) -> Vec<i32> {
    let output = Command::new("pgrep").args(["-P", &parent.to_string()]).output().expect("pgrep");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// A shell that waits for the end of this process, kills what that left running, and removes the folders.
fn watch(folder: &Path, data: &Path) -> Child {
    let script = r#"cat > /dev/null
        kill -9 "$(cat "$1/bridge.pid")"
        pid=$(head -n 1 "$2/postmaster.pid") && kill -QUIT "$pid" && sleep 1
        rm -rf "$1" "$3""#;
    let place: PathBuf = data.parent().expect("a parent").to_owned();
    let _ = fs::remove_file(folder.join("bridge.pid"));
    Command::new("sh")
        .args(["-c", script, "sh"])
        .args([folder, data, &place])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell")
}
