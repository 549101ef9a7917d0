//! One private Postgres per run: made when the first test asks, gone when the process is, however it ends.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::Mutex,
};

use rowcast::{
    db::{
        Target,
        embedded::{Binaries, Cluster, Options},
        migrate,
    },
    lifecycle::Lifecycle,
};
use tokio::sync::OnceCell;

const PREFIX: &str = "rowcast-it-";
pub(super) const TEMPLATE: &str = "rowcast_template";

/// The cluster of this run, with a migrated template database in it.
pub(crate) struct Shared {
    pub(crate) superuser: Target,
    pub(crate) owner: Target,
    pub(crate) owner_url: String,
    pub(crate) binaries: Binaries,
}

/// Starts the cluster, once.
pub(crate) async fn cluster() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED.get_or_init(start).await
}

async fn start() -> Shared {
    sweep();
    let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    let cluster = private_cluster(&folder, &[("max_connections", "300")]).await;
    let shared = Shared {
        superuser: Target::parse(&cluster.superuser_url()).expect("a URL"),
        owner: Target::parse(&cluster.url()).expect("a URL"),
        owner_url: cluster.url().reveal().to_owned(),
        binaries: cluster.binaries().clone(),
    };
    cluster.leave_running();
    let lifecycle = Lifecycle::new();
    let client = shared.superuser.client(&lifecycle).await.expect("a connection");
    let create = format!("create database {TEMPLATE} owner rowcast_dev");
    client.batch_execute(&create).await.expect("a template");
    let template = shared.owner.with_database(TEMPLATE);
    migrate::run(&template, &lifecycle, |_| {}).await.expect("migrated");
    shared
}

/// Starts a cluster that forgets its data when the machine crashes.
pub(crate) async fn private_cluster(folder: &Path, settings: &[(&str, &str)]) -> Cluster {
    let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let options = Options {
        data_dir: folder.to_owned(),
        port: 0,
        durable: false,
        settings: settings.collect(),
    };
    let cluster = Cluster::start(&options).await.expect("a private Postgres");
    // When we die, these close, and the watchers clean up.
    static WATCHED: Mutex<Vec<ChildStdin>> = Mutex::new(Vec::new());
    let place = cluster.data().parent().expect("a parent").to_owned();
    WATCHED.lock().expect("ours").push(watch(&[folder, &place]));
    cluster
}

/// A shell that waits for the end of its input, which is the end of this process, and then cleans up.
#[expect(clippy::zombie_processes, reason = "it outlives us")]
fn watch(folders: &[&Path]) -> ChildStdin {
    let script = r#"cat > /dev/null
        for folder in "$@"; do
            read -r pid < "$folder/postgres/postmaster.pid" && kill -QUIT "$pid" && sleep 0.5
        done
        rm -rf "$@""#;
    let mut child = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(folders)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell");
    child.stdin.take().expect("its input")
}

/// Removes what runs whose watcher was killed too left behind.
fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if alive(pid) {
            continue;
        }
        let note = entry.path().join("postgres/postmaster.pid");
        let left = fs::read_to_string(note).ok();
        if let Some(left) = left.and_then(|text| text.lines().next()?.parse().ok())
            && alive(left)
        {
            let _ = Command::new("kill").args(["-QUIT", &left.to_string()]).status();
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn alive(pid: i32) -> bool {
    let status = Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
