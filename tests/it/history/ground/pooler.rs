//! pgbouncer, which goes away with its test.

use std::{fs, path::Path, process::Stdio, time::Duration};

use rowcast::config::Secret;
use tokio::{net::TcpStream, process::Command, task::JoinSet, time::sleep};

use super::{Postgres, until};

/// After this it is started again, should it end: 1.18 gives up by itself now and then ("bad client state") when a call is
/// cancelled, and whoever operates one has it come back.
const COMES_BACK: Duration = Duration::from_millis(500);

/// The pooler, kept running.
pub(crate) struct Pooler {
    port: u16,
    _running: JoinSet<()>,
}

impl Pooler {
    /// Starts it in front of `url`, in a mode and with so many connections; it takes every client for the role of that URL.
    pub(super) async fn start(
        postgres: &Postgres,
        folder: &Path,
        url: &Secret,
        (mode, size): (&str, usize),
    ) -> Self {
        let port = super::bridge::free().await.port();
        let rest = url.reveal().split_once("://").expect("a URL").1;
        let (login, place) = rest.split_once('@').expect("a login");
        let (user, password) = login.split_once(':').expect("a password");
        let (server, database) = place.split_once('/').expect("a database");
        let database = database.split('?').next().expect("a name");
        let (host, upstream) = server.split_once(':').expect("a port");
        let home = folder.join("pooler");
        fs::create_dir_all(&home).expect("a folder");
        let settings = format!(
            "[databases]\n\
             {database} = host={host} port={upstream} dbname={database} user={user} password={password}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 400\n\
             server_login_retry = 1\nlogfile = {home}/pooler.log\n",
            home = home.display()
        );
        let file = home.join("pgbouncer.ini");
        fs::write(&file, settings).expect("settings");
        let (uid, gid) = postgres.account();
        postgres.own(&home);
        postgres.own(&file);
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).process_group(0).uid(uid).gid(gid).kill_on_drop(true);
        let mut running = JoinSet::new();
        running.spawn(async move {
            loop {
                let mut child = command.spawn().expect("pgbouncer; scripts/test installs it");
                let _ = child.wait().await;
                sleep(COMES_BACK).await;
            }
        });
        until("a pooler that listens", Duration::from_secs(20), || async {
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Self { port, _running: running }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}
