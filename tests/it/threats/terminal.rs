//! What commands print for an operator: names and rows are others' words, and write over nothing.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::harness::{Database, binary};

/// An escape sequence of either kind, a line's end, a bell.
const ODD: &str = "\u{1b}[2J\u{9b}31m\r\nforged\u{7}";

fn command(database: &Database, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("DATABASE_URL", database.url()).current_dir(std::env::temp_dir());
    command
}

fn holds_nothing_raw(text: &str) {
    let raw = text.chars().find(|char| char.is_control() && *char != '\n');
    assert_eq!(raw, None, "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
}

#[tokio::test]
async fn no_name_of_a_table_writes_over_what_the_doctor_prints() {
    let database = Database::new().await;
    let owner = database.client().await;
    owner
        .batch_execute(&format!(
            "create table public.good (id int primary key);
             select rowcast.watch('public.good'); alter table public.good rename to \"{ODD}\";
             insert into rowcast.failures (relation, op, sqlstate, message) values (E'{ODD}', 'INSERT', '42703', E'{ODD}')"
        ))
        .await
        .expect("odd names");
    for arguments in [&["doctor", "--log=error"][..], &["doctor", "--log=error", "--json"]] {
        let output = command(&database, arguments).output().expect("the program");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && text.contains("has a control character"), "{text}");
        assert!(text.contains("select rowcast.unwatch("), "{text}");
        holds_nothing_raw(&text);
    }
}

#[tokio::test]
async fn no_row_writes_over_what_tail_prints() {
    let database = Database::new().await;
    let owner = database.client().await;
    for flags in [&[][..], &["--json"]] {
        let arguments = [&["tail", "--log=error"][..], flags].concat();
        let mut child =
            command(&database, &arguments).stdout(Stdio::piped()).spawn().expect("the program");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // It tells from when it began: what is said before that is not for it.
        let line = tokio::task::spawn_blocking(move || lines.next());
        let insert = format!(
            "insert into rowcast.changes (topic, relation, op, record, link, ring)
             values ('table:public.a', E'{ODD}', 'INSERT', jsonb_build_object('said', E'{ODD}'), null, true)"
        );
        while !line.is_finished() {
            owner.batch_execute(&insert).await.expect("a change");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let line = line.await.expect("a line").expect("an output").expect("text");
        child.kill().and_then(|()| child.wait()).expect("its end");
        assert!(line.contains("table:public.a") && line.contains("forged"), "{line}");
        holds_nothing_raw(&line);
        if flags == ["--json"] {
            let change: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(
                (&change["relation"], &change["record"]["said"]),
                (&ODD.into(), &ODD.into())
            );
        }
    }
}
