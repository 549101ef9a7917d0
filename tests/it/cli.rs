//! The commands, as a shell runs them.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{Database, binary, cluster};

/// The program with nothing of our environment's settings.
fn rowcast(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("ROWCAST_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command.args(args).args(["--log", "warn"]).current_dir(std::env::temp_dir());
    command
}

fn output(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), text)
}

/// A program whose output is read while it runs; killed with the value.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    fn line(&mut self, start: &str) -> String {
        let lines = self.lines.by_ref().map(|line| line.expect("text"));
        let mut seen = Vec::new();
        for line in lines {
            if line.contains(start) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with `{start}` in {seen:?}");
    }

    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).expect("a process");
        self.child.wait().expect("an end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn migrate_prints_what_it_would_run_and_psql_takes_it() {
    let (ok, sql) = output(&mut rowcast(&["migrate", "--print"]));
    assert!(ok && sql.contains("create table rowcast.changes"), "{sql}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("install.sql");
    std::fs::write(&file, sql).expect("written");
    let database = Database::empty().await;
    let psql = cluster().await.binaries.program("psql");
    let url = database.url();
    for _ in 0..2 {
        let mut command = Command::new(&psql);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f"]).arg(&file);
        let (ok, text) = output(&mut command);
        assert!(ok, "{text}");
    }
    let (ok, text) = output(rowcast(&["migrate"]).env("DATABASE_URL", &url));
    assert!(ok && text.contains("the functions are up to date"), "{text}");
}

#[tokio::test]
async fn doctor_names_the_remedy_and_fails_until_it_is_taken() {
    let database = Database::empty().await;
    let doctor = || {
        let mut command = rowcast(&["doctor"]);
        command
            .env("DATABASE_URL", database.url())
            .env("ROWCAST_JWT_SECRET", "q1Vt0Zr8m9Yx3Lk5Jh7Gf2Ds4Aw6Pe0Ru");
        command.env("ROWCAST_ALLOWED_ORIGINS", "https://app.example.com");
        command.env("ROWCAST_MAX_CONNECTIONS", "100");
        output(&mut command)
    };
    let (ok, text) = doctor();
    assert!(
        !ok && text.contains("FAIL  installation") && text.contains("→ rowcast migrate"),
        "{text}"
    );
    assert!(text.contains("ok    notifications"), "{text}");
    let (ok, text) = output(rowcast(&["migrate"]).env("DATABASE_URL", database.url()));
    assert!(ok, "{text}");
    let (ok, text) = doctor();
    assert!(ok && text.contains("Everything is in order"), "{text}");

    let (ok, text) =
        output(rowcast(&["doctor"]).env("DATABASE_URL", "postgres://x:hunter2@127.0.0.1:1/x"));
    assert!(!ok && text.contains("FAIL  database") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_command_without_a_database_says_how_to_name_one() {
    for name in ["migrate", "serve", "doctor", "tail"] {
        let (ok, text) = output(&mut rowcast(&[name]));
        assert!(!ok && text.contains("DATABASE_URL"), "{name}: {text}");
    }
    let (ok, text) = output(&mut rowcast(&["serve", "--rate-rest", "fast"]));
    assert!(!ok && text.contains("rate/burst"), "{text}");
}

#[tokio::test]
async fn tail_prints_changes_of_watched_tables_as_they_commit() {
    let database = Database::new().await;
    let (client, url) = (database.client().await, database.url());
    client
        .batch_execute("create table public.todos (id int primary key, task text)")
        .await
        .expect("a table");
    let (ok, text) = output(rowcast(&["watch", "public.todos"]).env("DATABASE_URL", &url));
    assert!(ok && text.contains("table:public.todos"), "{text}");

    let mut tail = Running::start(rowcast(&["tail", "--json"]).env("DATABASE_URL", &url));
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen rowcast%'";
    while client.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    client.batch_execute("insert into public.todos values (1, 'milk')").await.expect("a row");
    let line: serde_json::Value = serde_json::from_str(&tail.line("milk")).expect("JSON");
    assert_eq!((&line["op"], &line["record"]["task"]), (&"INSERT".into(), &"milk".into()));

    let (ok, text) = output(rowcast(&["unwatch", "public.todos"]).env("DATABASE_URL", &url));
    assert!(ok && text.contains("no longer"), "{text}");
}

#[tokio::test]
async fn dev_is_ready_stops_cleanly_and_comes_back_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let args = ["dev", "--port", "0", "--admin-port", "0", "--data-dir", &data];
    let mut databases = Vec::new();
    for end in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGTERM] {
        let mut dev = Running::start(&mut rowcast(&args));
        let ready = dev.line("ready http=http://127.0.0.1:");
        let (_, database) = ready.split_once(" database=").expect("a database");
        let (database, admin) = database.split_once(" admin=").expect("an admin");
        assert!(admin.starts_with("http://127.0.0.1:"), "{ready}");
        let response = reqwest::get(format!("{admin}/ready")).await.expect("a response");
        assert!(response.status().is_success());
        databases.push(database.to_owned());
        dev.signal(end);
    }
    assert!(databases.windows(2).all(|pair| pair[0] == pair[1]), "{databases:?}");
    let why = rowcast::db::Target::parse(&rowcast::config::Secret::new(databases[0].clone()))
        .expect("a URL")
        .connect()
        .await;
    assert!(why.is_err(), "Postgres ends with dev");
}
