//! Commands, flags, variables, metrics and SQL objects.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory};
use rowcast::cli::Cli;

use super::{
    none,
    page::{Code, pages, text_of},
    pattern,
};
use crate::harness::Database;

fn code() -> Vec<Code> {
    pages().iter().flat_map(super::Page::code).collect()
}

/// The flags of each command, those of all included.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let mut cli = Cli::command();
    cli.build();
    let flags = |command: &Command| {
        let all = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
        all.chain(["help".to_owned(), "version".to_owned()]).collect::<BTreeSet<_>>()
    };
    let mut known: BTreeMap<_, _> =
        cli.get_subcommands().map(|one| (one.get_name().to_owned(), flags(one))).collect();
    known.insert("help".to_owned(), BTreeSet::new());
    known
}

#[test]
fn every_command_and_flag_exists() {
    let known = commands();
    let scripts =
        text_of(&["scripts", "client", "benches", "tests/it", ".ci"], &["", ".rs", ".json"]);
    let call = pattern(r"(?:^|[\s;&|(])rowcast ([a-z][\w-]*)([^;&|#]*)");
    let flag = pattern(r"(?:^|[\s`(])--([a-z][a-z0-9-]+)");
    let program = pattern(r"^\s*(?:[A-Z_]+=\S+ )*([\w./-]+)");
    let mut wrong = Vec::new();
    for Code { place, fence, text } in code() {
        let shell =
            matches!(fence.as_deref(), None | Some("sh" | "bash" | "shell" | "ini" | "yaml"));
        if !shell {
            continue;
        }
        let mut of_commands = false;
        for found in call.captures_iter(&text) {
            of_commands = true;
            match known.get(&found[1]) {
                None => wrong.push(format!("{place}: rowcast {}", &found[1])),
                Some(flags) => {
                    for named in
                        flag.captures_iter(&found[2]).filter(|named| !flags.contains(&named[1]))
                    {
                        wrong.push(format!("{place}: rowcast {} --{}", &found[1], &named[1]));
                    }
                }
            }
        }
        // A span that is a flag, or a script's call; other programs have their own.
        let first = program.captures(&text).map(|found| found[1].to_owned()).unwrap_or_default();
        if !of_commands && (text.starts_with("--") || first.starts_with("scripts/")) {
            for named in flag.captures_iter(&text).map(|named| named[1].to_owned()) {
                let ours = known.values().any(|flags| flags.contains(&named));
                if !ours && !scripts.contains(&format!("--{named}")) {
                    wrong.push(format!("{place}: --{named}"));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_variable_exists() {
    let mut cli = Cli::command();
    cli.build();
    let settings: BTreeSet<String> = cli
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .chain(cli.get_arguments())
        .filter_map(|arg| arg.get_env().and_then(|name| name.to_str()).map(str::to_owned))
        .collect();
    let elsewhere =
        text_of(&["scripts", "tests", "client/test", "benches", ".ci"], &["", ".rs", ".js"]);
    let variable = pattern(r"\bROWCAST_[A-Z_]*[A-Z]\b");
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.lines.iter().enumerate() {
            for name in variable.find_iter(line).map(|found| found.as_str()) {
                if !settings.contains(name) && !elsewhere.contains(name) {
                    wrong.push(format!("{}: {name}", page.place(number)));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_metric_exists() {
    let known = text_of(&["src/metrics.rs"], &[".rs"]);
    let elsewhere = text_of(&["src/db", "tests/it/harness", "sql"], &[".rs", ".sql"]);
    let metric = pattern(r"\browcast_[a-z0-9_]+\b");
    let mut wrong = Vec::new();
    for Code { place, text, .. } in code() {
        for name in metric.find_iter(&text).map(|found| found.as_str()) {
            let parts = ["", "_bucket", "_sum", "_count"];
            let base = parts.iter().filter_map(|part| name.strip_suffix(part));
            let metric = base.into_iter().any(|base| known.contains(&format!("\"{base}\"")));
            // Roles and channels are called so, too.
            if !metric && !elsewhere.contains(name) {
                wrong.push(format!("{place}: {name}"));
            }
        }
    }
    none(&wrong);
}

#[tokio::test]
async fn every_sql_object_exists() {
    let database = Database::new().await;
    let sql = "select n.nspname || '.' || x.name from pg_namespace n join ( \
            select pronamespace as home, proname::text as name from pg_proc \
            union select relnamespace, relname from pg_class \
            union select typnamespace, typname from pg_type) x on x.home = n.oid \
        where n.nspname in ('rowcast', 'chat', 'realtime', 'auth')";
    let rows = database.client().await.query(sql, &[]).await.expect("the catalogs");
    let mut known: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    // A setting, which has no row anywhere.
    known.insert("rowcast.silent".to_owned());
    let example = text_of(&["examples"], &[".sql"]);
    let tests = text_of(&["tests/js", "tests/it"], &[".js", ".rs"]);
    let object = pattern(r#"\b(rowcast|chat|realtime|auth|support)\.("?)([a-z_][a-z0-9_]*)"?"#);
    let file = pattern(r"^(?:js|ts|rs|md|sql|conf|service|example|test|spec|map|json|sh)$");
    let mut wrong = Vec::new();
    for Code { place, text, fence } in code() {
        // In programs these names are variables.
        if !matches!(fence.as_deref(), None | Some("sql")) {
            continue;
        }
        for found in object.captures_iter(&text) {
            let before = text[..found.get(0).map_or(0, |whole| whole.start())].chars().last();
            if file.is_match(&found[3]) || before.is_some_and(|char| "/.-@".contains(char)) {
                continue;
            }
            let name = format!("{}.{}", &found[1], &found[3]);
            let there = match &found[1] {
                "support" => example.contains(&name),
                // supabase-js has an object of that name.
                "auth" | "realtime" => known.contains(&name) || tests.contains(&name),
                _ => known.contains(&name),
            };
            if !there {
                wrong.push(format!("{place}: {name}"));
            }
        }
    }
    none(&wrong);
}
