//! A private Postgres for one run, on a disk that takes one millisecond to flush, gone when the run ends, however it does.

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, geteuid};
use tokio::{runtime::Runtime, time::Instant};
use tokio_postgres::{Client, NoTls};

use crate::bridge::cpu_of;

const SLOW_DISK: &str = include_str!("slow_disk.c");
/// What both ways of slowing the disk aim at.
const FLUSH: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A running cluster with an empty database `bench`.
pub(crate) struct Postgres {
    folder: PathBuf,
    binaries: PathBuf,
    /// How a flush is made to take a millisecond.
    pub(crate) disk: String,
    /// What `select version()` says, shortened.
    pub(crate) version: String,
    runtime: Runtime,
    server: Child,
    _leash: Leash,
}

impl Postgres {
    /// Makes the cluster and starts it.
    pub(crate) fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("rowcast-bench-{}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let account = account()?;
        if let Some((uid, gid)) = account {
            chown(&folder, Some(uid), Some(gid))?;
            chown(&data, Some(uid), Some(gid))?;
        }
        let binaries = binaries()?;
        let command = |program: &str| {
            let mut command = Command::new(binaries.join(program));
            command.current_dir("/").process_group(0).stdin(Stdio::null());
            if let Some((uid, gid)) = account {
                command.uid(uid).gid(gid);
            }
            command
        };
        let made = command("initdb")
            .args(["--no-sync", "--username=bench", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .context("initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let shim = slow_disk(&folder);
        let mut server = command("postgres");
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "max_connections=200"]);
        server.args(["-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"]);
        server.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
        let disk = match shim {
            Ok(shim) => {
                server.env("LD_PRELOAD", shim).args(["-c", "wal_sync_method=fdatasync"]);
                "a preloaded fdatasync() of 1 ms"
            }
            Err(why) => {
                crate::say(&format!("no shim for fdatasync ({why}): commit_delay instead"));
                server.args(["-c", "commit_delay=1000", "-c", "commit_siblings=0"]);
                "commit_delay = 1 ms before each flush of the real disk"
            }
        };
        let log = fs::File::create(folder.join("log"))?;
        let server = server.stdout(log.try_clone()?).stderr(log).spawn().context("postgres")?;
        let leash = Leash::tie(&server, "QUIT", Some(&folder))?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut postgres = Self {
            folder,
            binaries,
            disk: disk.to_owned(),
            version: String::new(),
            runtime,
            server,
            _leash: leash,
        };
        postgres.prepare()?;
        Ok(postgres)
    }

    fn prepare(&mut self) -> Result<()> {
        let began = Instant::now();
        let client = loop {
            match self.client("postgres") {
                Ok(client) => break client,
                Err(error) if began.elapsed() > PATIENCE => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    return Err(error.context(log));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        self.block_on(client.batch_execute("create database bench"))?;
        let shown = self.block_on(client.query_one("show server_version", &[]))?;
        self.version = shown.try_get(0)?;
        let flush = self.flush()?;
        self.disk = format!("{}, measured {:.2} ms a commit", self.disk, flush.as_secs_f64() * 1e3);
        if flush < FLUSH {
            crate::say("warning: a commit takes less than the flush should; the ratios say little");
        }
        Ok(())
    }

    /// How long a commit of one row takes with nothing else going on.
    fn flush(&self) -> Result<Duration> {
        const COMMITS: u32 = 50;
        let client = self.client("postgres")?;
        self.block_on(client.batch_execute("create temp table t (i int); create table f (i int)"))?;
        let began = Instant::now();
        for _ in 0..COMMITS {
            self.block_on(client.batch_execute("insert into f values (1)"))?;
        }
        let took = began.elapsed() / COMMITS;
        self.block_on(client.batch_execute("drop table f"))?;
        Ok(took)
    }

    /// Where the bridge and pgbench connect.
    pub(crate) fn url(&self) -> String {
        format!("host={} user=bench dbname=bench", self.folder.display())
    }

    /// The folder of the socket; anybody may read what is put there.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program of the server's package, where it is there.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.binaries.join(name)).filter(|path| path.exists())
    }

    /// CPU time of the server and of its processes that run.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let used: Vec<_> = family(self.server.id()).into_iter().filter_map(cpu_of).collect();
        (!used.is_empty()).then(|| used.iter().sum())
    }

    /// Runs a future on the report's own runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A connection to the database of the run.
    pub(crate) fn connect(&self) -> Result<Client> {
        self.client("bench")
    }

    fn client(&self, database: &str) -> Result<Client> {
        let url = format!("host={} user=bench dbname={database}", self.folder.display());
        let (client, connection) =
            self.block_on(tokio_postgres::connect(&url, NoTls)).context("connecting")?;
        self.runtime.handle().spawn(connection);
        Ok(client)
    }

    /// Runs statements.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        let client = self.connect()?;
        self.block_on(client.batch_execute(sql)).with_context(|| sql.to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ends a process when we do, however that comes about.
pub(crate) struct Leash(#[expect(dead_code, reason = "its end is what counts")] ChildStdin);

impl Leash {
    /// A shell waits for the end of its input, which is ours.
    pub(crate) fn tie(child: &Child, signal: &str, folder: Option<&Path>) -> Result<Self> {
        let script = r#"cat > /dev/null; kill -"$2" "$1" 2> /dev/null || exit 0; sleep 1; [ -z "$3" ] || rm -rf "$3""#;
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh", &child.id().to_string(), signal])
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("a shell")?;
        shell.stdin.take().map(Self).context("the shell's input")
    }
}

/// A process and its children.
pub(crate) fn family(parent: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let children = children.unwrap_or_default();
    std::iter::once(parent)
        .chain(children.split_whitespace().filter_map(|one| one.parse().ok()))
        .collect()
}

/// Postgres refuses to run as root: then it runs as `postgres`, else as `nobody`.
fn account() -> Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = found.context("neither a user `postgres` nor `nobody` to run Postgres as")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// `ROWCAST_PG_BIN`, else what `pg_config` says, else the newest in the usual places.
fn binaries() -> Result<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok();
    let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
    let mut places: Vec<PathBuf> =
        std::env::var_os("ROWCAST_PG_BIN").into_iter().map(Into::into).collect();
    places.extend(said.map(|folder| folder.trim().into()));
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let mut found: Vec<PathBuf> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        found.sort();
        places.extend(found.into_iter().rev());
    }
    let found = places.into_iter().find(|place| place.join("initdb").exists());
    found.context("no PostgreSQL server here; scripts/dev installs one, or set ROWCAST_PG_BIN")
}

/// Compiles the shim.
fn slow_disk(folder: &Path) -> Result<PathBuf> {
    ensure!(cfg!(target_os = "linux"), "not on this system");
    let path = folder.join("slow_disk.so");
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-x", "c", "-o"])
        .arg(&path)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("no C compiler")?;
    if let Some(mut source) = compiler.stdin.take() {
        source.write_all(SLOW_DISK.as_bytes())?;
    }
    if !compiler.wait()?.success() {
        bail!("the C compiler could not make it");
    }
    Ok(path)
}
