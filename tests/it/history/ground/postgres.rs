//! A private Postgres that can be killed, stopped and started again, and goes away with its test.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
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
    db::embedded::{Cluster, Options},
};

/// The server; commits survive the death of its processes, though not of the machine.
pub(crate) struct Postgres {
    options: Options,
    cluster: Mutex<Option<Cluster>>,
    url: Secret,
    superuser_url: Secret,
    port: u16,
    /// When we die, its input closes, and it cleans up.
    _watcher: Child,
}

impl Postgres {
    pub(super) async fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
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
        Self {
            url: cluster.url(),
            superuser_url: cluster.superuser_url(),
            port: cluster.port(),
            cluster: Mutex::new(Some(cluster)),
            options,
            _watcher: watcher,
        }
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

    /// Starts it again on the same data and port; returns when it has recovered.
    pub(crate) async fn restart(&self) {
        let cluster = Cluster::start(&self.options).await.expect("Postgres again");
        *self.cluster.lock().expect("whole") = Some(cluster);
    }

    /// Hands a folder over to the account that the server runs as.
    pub(crate) fn own(&self, folder: &Path) {
        let (uid, gid) = self.account();
        chown(folder, Some(uid), Some(gid)).expect("another owner");
    }

    /// The account that the server runs as.
    pub(crate) fn account(&self) -> (u32, u32) {
        let guard = self.cluster.lock().expect("whole");
        let data = guard.as_ref().expect("it runs").data();
        let owner = fs::metadata(data).expect("a data folder");
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
