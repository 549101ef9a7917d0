//! The private cluster: kept between runs, taken over after a kill, its role no superuser.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::{
    db::{
        Target,
        embedded::{Cluster, Options},
    },
    error::Kind,
    lifecycle::Lifecycle,
};
use tokio_postgres::Client;

use crate::harness::private_cluster;

fn options(folder: &Path, port: u16) -> Options {
    Options { data_dir: folder.to_owned(), port, durable: false, settings: Vec::new() }
}

async fn client(cluster: &Cluster) -> Client {
    let target = Target::parse(&cluster.url()).expect("a URL");
    target.client(&Lifecycle::new()).await.expect("a connection")
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("a process");
}

#[tokio::test]
async fn data_port_and_password_outlive_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    client(&first)
        .await
        .batch_execute("create table public.kept as select 1 as a")
        .await
        .expect("a table");
    let url = first.url();
    first.stop().await;

    let second = private_cluster(folder.path(), &[]).await;
    assert_eq!(second.url(), url);
    client(&second).await.query_one("select a from public.kept", &[]).await.expect("kept");
    second.stop().await;
}

#[tokio::test]
async fn a_cluster_whose_bridge_was_killed_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    let (pid, url) = (first.pid(), first.url());
    first.leave_running();
    let second = private_cluster(folder.path(), &[]).await;
    assert_eq!((second.pid(), second.url()), (pid, url));
    second.stop().await;
    assert!(
        !folder.path().join("postgres/postmaster.pid").exists(),
        "it is stopped like one's own"
    );
}

#[tokio::test]
async fn a_cluster_that_was_killed_recovers_what_it_had_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    client(&first)
        .await
        .batch_execute("create table public.kept as select 1 as a")
        .await
        .expect("a table");
    let pid = first.pid();
    signal(pid, Signal::SIGKILL);
    first.leave_running();
    let second = private_cluster(folder.path(), &[]).await;
    assert_ne!(second.pid(), pid);
    client(&second).await.query_one("select a from public.kept", &[]).await.expect("kept");
    second.stop().await;
}

#[tokio::test]
async fn a_number_that_was_given_to_another_process_does_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    let note = first.data().join("postmaster.pid");
    let text = std::fs::read_to_string(&note).expect("a note");
    first.stop().await;
    let (_, rest) = text.split_once('\n').expect("lines");
    std::fs::write(&note, format!("{}\n{rest}", std::process::id())).expect("written");
    private_cluster(folder.path(), &[]).await.stop().await;
}

#[tokio::test]
async fn a_wanted_port_is_taken_and_a_taken_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    first.leave_running();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let why = Cluster::start(&options(folder.path(), port)).await.expect_err("taken");
    assert!(why.message.contains(&port.to_string()), "{why}");
    drop(listener);
    let second = Cluster::start(&options(folder.path(), port)).await.expect("moved");
    assert_eq!(second.port(), port);
    client(&second).await;
    second.stop().await;
}

#[tokio::test]
async fn two_at_once_in_one_folder_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = private_cluster(folder.path(), &[]).await;
    let why = Cluster::start(&options(folder.path(), 0)).await.expect_err("locked");
    assert_eq!(why.kind, Kind::Conflict);
    assert!(why.message.contains("--data-dir"), "{why}");
    first.stop().await;
}

#[tokio::test]
async fn the_role_makes_roles_and_policies_and_is_no_superuser() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = private_cluster(folder.path(), &[]).await;
    let one = client(&cluster).await;
    let other = client(&cluster).await;
    one.batch_execute(
        "create role reader login; create schema app; create table app.t (a int); \
         alter table app.t enable row level security; \
         create policy p on app.t for select to reader using (true); \
         grant reader to current_user; set role reader; reset role; \
         create table public.x (a int)",
    )
    .await
    .expect("rights");
    let pid: i32 = other.query_one("select pg_backend_pid()", &[]).await.expect("a pid").get(0);
    one.execute("select pg_terminate_backend($1)", &[&pid]).await.expect("terminated");
    let row = one.query_one("select rolsuper from pg_roles where rolname = current_user", &[]);
    let row = row.await.expect("a row");
    assert!(!row.get::<_, bool>(0));
    cluster.stop().await;
}
