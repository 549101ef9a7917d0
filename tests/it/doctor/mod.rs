//! `rowcast doctor` against set-ups that are broken on purpose: it names each, and what it prints puts it right.

mod flags;
mod installed;
mod rights;
mod servers;
mod watched;

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio_postgres::Client;

use crate::harness::{Database, binary};

/// A secret that nobody thought up.
const SECRET: &str = "q1Vt0Zr8m9Yx3Lk5Jh7Gf2Ds4Aw6Pe0Ru";
/// Rounds of remedies: one may uncover what another one is for.
const ROUNDS: usize = 5;

/// Somebody with a database, an environment and a shell, into which remedies are pasted.
struct Patient {
    database: Database,
    folder: tempfile::TempDir,
    /// What was typed into the shell so far.
    typed: String,
    flags: String,
    bridges: Vec<Child>,
}

impl Patient {
    /// In good health: nothing is complained of.
    async fn new() -> Self {
        Self::of(Database::new().await)
    }

    fn of(database: Database) -> Self {
        let typed = [
            format!("export DATABASE_URL='{}'", database.url()),
            format!("export ROWCAST_JWT_SECRET={SECRET}"),
            "export ROWCAST_ALLOWED_ORIGINS=https://app.example.com".to_owned(),
            "export ROWCAST_MAX_CONNECTIONS=100".to_owned(),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let typed = typed.join("\n") + "\n";
        Self { database, folder, typed, flags: String::new(), bridges: Vec::new() }
    }

    /// Runs each statement by itself as the owner, or after `superuser:` as the superuser; `DB` is the database's name.
    async fn suffers(&self, statements: &[&str]) {
        let (owner, superuser) = (self.database.client().await, self.database.superuser().await);
        for statement in statements {
            let (client, sql) = match statement.strip_prefix("superuser:") {
                Some(sql) => (&superuser, sql),
                None => (&owner, *statement),
            };
            let sql = sql.replace("DB", self.name());
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }

    fn name(&self) -> &str {
        let (_, typed) = self.typed.split_once("DATABASE_URL='").expect("a URL");
        let (url, _) = typed.split_once('\'').expect("a URL");
        url.rsplit_once('/').expect("a name").1
    }

    fn types(&mut self, line: &str) {
        self.typed.push_str(line);
        self.typed.push('\n');
    }

    /// A shell with all that was typed so far, and `last` after it.
    fn shell(&self, last: &str) -> Command {
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars() {
            if name.starts_with("ROWCAST_") || name.starts_with("PG") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        let folder = Path::new(binary()).parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let (_, password) = self.database.url().split_once("://").map_or_else(
            || panic!("a URL"),
            |(_, rest)| (0, rest.split([':', '@']).nth(1).unwrap_or_default().to_owned()),
        );
        command.env("PATH", format!("{folder}:{path}")).env("PGPASSWORD", password);
        command.current_dir(self.folder.path());
        command.args(["-c", &format!("set -e\n{}{last}", self.typed)]);
        command
    }

    /// What the doctor says, and whether it ends well.
    fn examined(&self) -> (bool, Vec<Complaint>) {
        let line = format!("rowcast doctor --json --log error {}", self.flags);
        let output = self.shell(&line).output().expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8_lossy(&output.stdout);
        let json = text.lines().last().unwrap_or_default();
        let said: Value =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
        let checks = said["checks"].as_array().expect("checks").iter();
        let bad = checks.filter(|check| check["state"] != "ok");
        (output.status.success(), bad.map(Complaint::from).collect())
    }

    /// The doctor names what is wrong and nothing else that is broken; what it prints is done; and all is well.
    async fn recovers_from(&mut self, name: &str) {
        let (ok, complaints) = self.examined();
        let named = complaints.iter().find(|complaint| complaint.name == name);
        let named = named.unwrap_or_else(|| panic!("`{name}` is not named: {complaints:?}"));
        assert!(!named.remedy.is_empty(), "no remedy: {named:?}");
        assert!(!named.why.is_empty() && !named.found.is_empty(), "{named:?}");
        let failed = complaints.iter().any(|complaint| complaint.failed);
        assert_eq!(ok, !failed, "only failures end badly: {complaints:?}");
        let remedy = named.remedy.clone();
        self.takes(&remedy).await;
        let mut left = Vec::new();
        for _ in 0..ROUNDS {
            left = self.examined().1;
            let Some(next) = left.first() else { return };
            let remedy = next.remedy.clone();
            self.takes(&remedy).await;
        }
        panic!("{name}: {left:?} are left after {remedy:?}");
    }

    /// Does what a remedy says, line by line.
    async fn takes(&mut self, remedy: &[String]) {
        let (owner, superuser) = (self.database.client().await, self.database.superuser().await);
        for line in remedy {
            if line.starts_with("rowcast serve") {
                self.serves().await;
            } else if line.split(" -- ").next().is_some_and(|sql| sql.ends_with(';')) {
                let high = ["as a superuser", "as another superuser"];
                let client =
                    if high.iter().any(|who| line.contains(who)) { &superuser } else { &owner };
                client
                    .batch_execute(line)
                    .await
                    .unwrap_or_else(|error| panic!("{line}: {error:?}"));
            } else {
                self.types(line);
            }
        }
    }

    /// Starts a bridge, and waits until it is in the list of those that run and has written a checkpoint.
    async fn serves(&mut self) {
        let client = self.database.client().await;
        let before = nodes(&client).await;
        let line = "exec rowcast serve --log error --port 0 --admin-port 0 --grace 1s";
        let mut command = self.shell(line);
        command.process_group(0).stdout(Stdio::null());
        self.bridges.push(command.spawn().expect("a bridge"));
        until(&client, &format!("select count(*) > {before} from rowcast.nodes")).await;
        until(
            &client,
            "select count(*) > 0 from rowcast.checkpoints where at > now() - interval '1 minute'",
        )
        .await;
    }

    /// Stops the bridge that was started last, as its keeper would.
    async fn stops(&mut self) {
        let client = self.database.client().await;
        let before = nodes(&client).await;
        let mut bridge = self.bridges.pop().expect("a bridge");
        signal(&bridge, Signal::SIGTERM);
        bridge.wait().expect("an end");
        until(&client, &format!("select count(*) < {before} from rowcast.nodes")).await;
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        for bridge in &mut self.bridges {
            signal(bridge, Signal::SIGKILL);
            let _ = bridge.wait();
        }
    }
}

/// What does not hold.
#[derive(Debug)]
struct Complaint {
    name: String,
    failed: bool,
    found: String,
    why: String,
    remedy: Vec<String>,
}

impl From<&Value> for Complaint {
    fn from(check: &Value) -> Self {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let remedy = check["remedy"].as_array().into_iter().flatten();
        Self {
            name: format!("{} {}", text("check"), text("about")).trim_end().to_owned(),
            failed: check["state"] == "failed",
            found: text("found"),
            why: text("why"),
            remedy: remedy.map(|line| line.as_str().unwrap_or_default().to_owned()).collect(),
        }
    }
}

/// Each: what the doctor calls it, and the statements that bring it about in a database of its own.
async fn all_recover(cases: &[(&str, &[&str])]) {
    for (name, statements) in cases {
        let mut patient = Patient::new().await;
        patient.suffers(statements).await;
        patient.recovers_from(name).await;
    }
}

async fn nodes(client: &Client) -> i64 {
    client.query_one("select count(*) from rowcast.nodes", &[]).await.expect("a count").get(0)
}

async fn until(client: &Client, sql: &str) {
    let waiting = async {
        while !client.query_one(sql, &[]).await.expect(sql).get::<_, bool>(0) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::harness::app::PATIENCE, waiting).await.expect(sql);
}

fn signal(child: &Child, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal);
}

#[tokio::test]
async fn a_healthy_set_up_is_left_alone() {
    let patient = Patient::new().await;
    let (ok, complaints) = patient.examined();
    assert!(ok && complaints.is_empty(), "{complaints:?}");
    let output = patient.shell("rowcast doctor").output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("Everything is in order."), "{text}");
}
