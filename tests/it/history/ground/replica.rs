//! A streaming replica of the ground's Postgres: it follows over a line that may stall, and takes over when it is told to.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::{
    config::Secret,
    db::{Target, embedded::Binaries},
    lifecycle::Lifecycle,
};
use tokio_postgres::Client;

use super::{Ground, Postgres, Proxy, until, with_port};

const PATIENCE: Duration = Duration::from_secs(60);

/// One of Postgres's programs that runs as the server's account; none where only the server is installed.
pub(crate) fn program(postgres: &Postgres, name: &str) -> Option<Command> {
    let path = Binaries::find(None).expect("Postgres").program(name);
    let (uid, gid) = postgres.account();
    path.is_file().then(|| {
        let mut command = Command::new(path);
        command.current_dir("/").uid(uid).gid(gid).process_group(0).stdin(Stdio::null());
        command
    })
}

/// The replica's process and the line that it follows over.
pub(crate) struct Replica {
    pub(crate) port: u16,
    pub(crate) line: Proxy,
    child: Child,
    superuser_url: Secret,
    lifecycle: Lifecycle,
    home: PathBuf,
}

impl Replica {
    /// Copies the primary and follows it; none where `pg_basebackup` is not installed.
    pub(crate) async fn start(ground: &Ground) -> Option<Self> {
        let line = Proxy::start(vec![ground.postgres.port()]).await;
        let home = std::env::temp_dir().join(format!(
            "rowcast-replica-{}-{}",
            std::process::id(),
            ground.postgres.port()
        ));
        fs::create_dir_all(&home).expect("a folder");
        ground.postgres.own(&home);
        let data = home.join("data");
        let url = with_port(ground.postgres.superuser_url().reveal(), line.port());
        let mut backup = program(&ground.postgres, "pg_basebackup")?;
        backup.args(["-R", "-X", "stream", "-c", "fast", "-d", url.reveal(), "-D"]).arg(&data);
        let output = tokio::task::spawn_blocking(move || backup.output()).await;
        let output = output.expect("an end").expect("pg_basebackup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = super::bridge::free().await.port();
        let child = serve(&ground.postgres, &data, &home, port);
        let superuser_url = with_port(ground.postgres.superuser_url().reveal(), port);
        let lifecycle = ground.lifecycle.clone();
        let replica = Self { port, line, child, superuser_url, lifecycle, home };
        until("a replica that answers", PATIENCE, || async { replica.connect().await.is_some() })
            .await;
        Some(replica)
    }

    async fn connect(&self) -> Option<Client> {
        let target = Target::parse(&self.superuser_url).expect("a URL");
        target.client(&self.lifecycle).await.ok()
    }

    /// Waits until it has all that the primary has now.
    pub(crate) async fn catch_up(&self, ground: &Ground) {
        let sql = "select pg_current_wal_lsn()::text";
        let lsn: String = ground.superuser().await.query_one(sql, &[]).await.expect(sql).get(0);
        let client = self.connect().await.expect("a replica");
        let sql = format!("select pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn");
        until("a replica that has followed", PATIENCE, || async {
            client.query_one(&sql, &[]).await.is_ok_and(|row| row.get(0))
        })
        .await;
    }

    /// Makes it the primary.
    pub(crate) async fn promote(&self) {
        let client = self.connect().await.expect("a replica");
        client.query_one("select pg_promote()", &[]).await.expect("promoted");
        until("a primary", PATIENCE, || async {
            let sql = "select not pg_is_in_recovery()";
            client.query_one(sql, &[]).await.is_ok_and(|row| row.get(0))
        })
        .await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a number");
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn serve(postgres: &Postgres, data: &Path, home: &Path, port: u16) -> Child {
    let log = File::create(home.join("log")).expect("a log");
    let mut command = program(postgres, "postgres").expect("the server");
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    command.args(["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]);
    command.stdout(Stdio::null()).stderr(log).spawn().expect("a replica")
}
