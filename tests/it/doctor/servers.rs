//! A real pooler, a real standby, and a cluster of its own for what concerns all databases of one.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use rowcast::{
    config::Secret,
    db::{Target, migrate},
    lifecycle::Lifecycle,
};

use super::{Patient, signal, until};
use crate::harness::{cluster, private_cluster};

/// A server that ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        signal(&self.0, Signal::SIGQUIT);
        // PgBouncer ignores it where a shell has put the tests into the background.
        for _ in 0..40 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Neither Postgres nor PgBouncer runs as root: then they run as whoever owns the cluster's data.
fn as_owner_of(folder: &Path, program: &Path) -> Command {
    let owner = fs::metadata(folder).expect("a folder");
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.current_dir("/").process_group(0).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

async fn answers(url: &str) {
    let target = Target::parse(&Secret::new(url)).expect("a URL");
    let connecting = async {
        while target.connect().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::harness::app::PATIENCE, connecting).await.expect("an answer");
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_named_and_gone_around() {
    let mut patient = Patient::new().await;
    let direct = patient.database.url();
    let (_, rest) = direct.split_once("://").expect("a URL");
    let [user, password, server] = rest.splitn(3, [':', '@']).collect::<Vec<_>>()[..] else {
        panic!("a URL")
    };
    let (address, name) = server.split_once('/').expect("a URL");
    let (host, server_port) = address.split_once(':').expect("a port");
    let port = free_port();
    let config = patient.folder.path().join("pgbouncer.ini");
    let text = format!(
        "[databases]\n{name} = host={host} port={server_port} user={user} password={password}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = transaction\nignore_startup_parameters = options,extra_float_digits\n"
    );
    fs::write(&config, text).expect("written");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(patient.folder.path(), open).expect("readable");
    let superuser = patient.database.superuser().await;
    let data: String =
        superuser.query_one("show data_directory", &[]).await.expect("a folder").get(0);
    let program =
        ["/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
    let program = program.iter().map(Path::new).find(|path| path.exists());
    let program = program.expect("pgbouncer: scripts/test installs it");
    let _pooler =
        Server(as_owner_of(Path::new(&data), program).arg(&config).spawn().expect("a pooler"));
    let pooled = format!("postgres://{user}:{password}@127.0.0.1:{port}/{name}");
    answers(&pooled).await;
    patient.types(&format!("export DATABASE_URL='{pooled}'"));

    let (ok, complaints) = patient.examined();
    let names: Vec<&str> = complaints.iter().map(|complaint| complaint.name.as_str()).collect();
    assert!(!ok && names == ["prepared statements", "notifications"], "{complaints:?}");
    let listen = complaints[1].remedy.clone();
    assert!(listen[0].contains(&format!("@{address}/{name}")), "{listen:?}");
    patient.takes(&listen).await;
    let (ok, complaints) = patient.examined();
    let names: Vec<&str> = complaints.iter().map(|complaint| complaint.name.as_str()).collect();
    assert!(ok && names == ["prepared statements"], "{complaints:?}");
    patient.recovers_from("prepared statements").await;
}

#[tokio::test]
async fn a_standby_and_roles_of_the_whole_cluster_are_named_and_put_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let primary = private_cluster(&folder.path().join("data"), &[]).await;
    let lifecycle = Lifecycle::new();
    let target = Target::parse(&primary.url()).expect("a URL");
    migrate::run(&target, &lifecycle, |_| {}).await.expect("migrated");
    let superuser =
        Target::parse(&primary.superuser_url()).expect("a URL").with_database("rowcast");
    let superuser = superuser.client(&lifecycle).await.expect("a connection");
    superuser.batch_execute("grant pg_read_all_stats to rowcast_dev").await.expect("granted");

    let mut patient = Patient::new().await;
    let url = primary.url().reveal().to_owned();
    let password = url.split([':', '@']).nth(2).expect("a password").to_owned();
    patient.types(&format!("export DATABASE_URL='{url}' PGPASSWORD={password}"));
    for (name, sql) in [
        ("role service_role", "alter role service_role nobypassrls"),
        ("role authenticated", "revoke authenticated from rowcast_dev"),
        ("role anon", "drop owned by anon; drop role anon"),
    ] {
        superuser.batch_execute(sql).await.expect(sql);
        let (ok, complaints) = patient.examined();
        assert!(!ok && complaints[0].name == name, "{name}: {complaints:?}");
        for line in &complaints[0].remedy {
            if line.contains(';') {
                superuser.batch_execute(line).await.expect(line);
            } else {
                patient.types(line);
            }
        }
        assert!(patient.examined().1.is_empty(), "{name}");
    }

    let standby = primary.data().parent().expect("a parent").join("standby");
    let superuser_password =
        primary.superuser_url().reveal().split([':', '@']).nth(2).expect("a password").to_owned();
    let programs = &cluster().await.binaries;
    let backup = Command::new(programs.program("pg_basebackup"))
        .args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-p"])
        .arg(primary.port().to_string())
        .arg("-D")
        .arg(&standby)
        .env("PGPASSWORD", superuser_password)
        .output()
        .expect("pg_basebackup");
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    if nix::unistd::geteuid().is_root() {
        let owner = fs::metadata(primary.data()).expect("a folder");
        let owner = format!("{}:{}", owner.uid(), owner.gid());
        let done = Command::new("chown").arg("-R").arg(owner).arg(&standby).status();
        assert!(done.expect("chown").success());
    }
    let port = free_port();
    let mut command = as_owner_of(&primary.data(), &programs.program("postgres"));
    command.arg("-D").arg(&standby).arg("-c").arg(format!("port={port}"));
    command.args(["-c", "unix_socket_directories=", "-c", "hot_standby=on"]);
    let _standby = Server(command.spawn().expect("a standby"));
    let standby_url = url.replace(&format!(":{}/", primary.port()), &format!(":{port}/"));
    answers(&standby_url).await;
    until(&superuser, "select count(*) > 0 from pg_stat_replication where state = 'streaming'")
        .await;
    patient.types(&format!("export DATABASE_URL='{standby_url}'"));
    patient.recovers_from("primary").await;
    drop(_standby);
    primary.stop().await;
}
