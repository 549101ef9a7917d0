//! The SQL tests of `tests/sql`, each a transaction that it rolls back itself, and the golden schema.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::harness::{Database, cluster};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a client program of the Postgres that the tests run on.
async fn program(name: &str, args: &[&str]) -> Output {
    let program = cluster().await.binaries.program(name);
    Command::new(program).args(args).env("PGTZ", "UTC").output().expect("the program")
}

#[tokio::test]
async fn every_sql_test_passes() {
    let entries = fs::read_dir(root().join("tests/sql")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "sql"));
    files.sort();
    let mut failures = Vec::new();
    for file in files {
        let database = Database::new().await;
        let (url, file) = (database.url(), file.display().to_string());
        let args = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f", &file];
        let output = program("psql", &args).await;
        if !output.status.success() {
            failures.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What `migrate` installs is reviewed as a whole; `ROWCAST_BLESS=1` accepts a change.
#[tokio::test]
async fn the_schema_is_the_golden_one() {
    // Other versions print the same schema in other words.
    if cluster().await.binaries.major() != 15 {
        return;
    }
    let database = Database::new().await;
    let url = database.url();
    let args =
        ["--schema-only", "--no-owner", "--no-tablespaces", "-n", "rowcast", "-n", "chat", &url];
    let output = program("pg_dump", &args).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let schema = normal(&String::from_utf8_lossy(&output.stdout));
    let golden = root().join("tests/golden/schema.sql");
    if std::env::var_os("ROWCAST_BLESS").is_some() {
        fs::create_dir_all(root().join("tests/golden")).expect("a folder");
        fs::write(&golden, &schema).expect("written");
    }
    let known = fs::read_to_string(&golden).unwrap_or_default();
    let difference = schema.lines().zip(known.lines()).find(|(now, then)| now != then);
    assert!(
        schema == known,
        "the schema is another one; review it and run with ROWCAST_BLESS=1. The first difference: {difference:?}"
    );
}

/// Leaves out what differs from one version, machine or run to another.
fn normal(dump: &str) -> String {
    let mut out = String::new();
    for line in dump.lines() {
        let noise = line.starts_with("--")
            || line.starts_with("SET ")
            || line.starts_with("SELECT pg_catalog.set_config")
            || line.starts_with("\\restrict")
            || line.starts_with("\\unrestrict");
        if !noise && !(line.is_empty() && (out.is_empty() || out.ends_with("\n\n"))) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
