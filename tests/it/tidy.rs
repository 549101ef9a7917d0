//! The shape of the tree: floors, dialects apart, crates at home, short files that say what they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Imports go down only, and above the vocabulary neighbours do not know each other.
const FLOORS: &[&[&str]] = &[
    &[
        "change",
        "claims",
        "config",
        "cursor",
        "error",
        "lifecycle",
        "live",
        "metrics",
        "network",
        "signal",
        "topic",
        "trace",
    ],
    &["auth", "db", "hub"],
    &["chat", "cluster", "feed"],
    &["session"],
    &["dialects"],
    &["app", "fuzz"],
    &["cli"],
];

/// Crates that only some modules may name.
const HOMES: &[(&str, &[&str])] = &[
    ("ammonia", &["chat", "session"]),
    ("anyhow", &["cli", "main"]),
    ("async_nats", &["cluster"]),
    ("clap", &["cli", "config", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("deadpool_postgres", &["db"]),
    ("engineioxide", &["dialects"]),
    ("governor", &["session"]),
    ("hyper_util", &["app", "dialects", "session"]),
    ("jsonwebtoken", &["auth"]),
    ("metrics_exporter_prometheus", &["app"]),
    ("opentelemetry", &["app", "cli"]),
    ("opentelemetry_http", &["app"]),
    ("opentelemetry_otlp", &["cli"]),
    ("opentelemetry_sdk", &["app", "cli"]),
    ("nix", &["app", "cli", "db"]),
    ("postgres_types", &["chat", "db", "feed", "session"]),
    ("reqwest", &["auth", "cli", "dialects"]),
    ("rust_embed", &["app", "db"]),
    ("rustls", &["db"]),
    ("tikv_jemalloc_ctl", &["main"]),
    ("tikv_jemallocator", &["main"]),
    ("tokio_postgres", &["chat", "db", "feed", "session"]),
    ("tokio_tungstenite", &["cli", "dialects", "session"]),
    ("tracing_opentelemetry", &["app", "cli"]),
    ("tracing_subscriber", &["cli", "main"]),
    ("warp", &["app", "dialects"]),
];

/// What may not be made, changed or dropped outside `sql/`.
const OBJECTS: &[&str] =
    &["table", "index", "function", "or replace", "view", "schema", "trigger", "type", "sequence"];

/// Folders of `src/dialects` that are no dialects, but what several are built from.
const SHARED: &[&str] = &["socketio"];

const LONGEST: usize = 400;

#[test]
fn imports_go_down_the_floors_only() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let home = module(&path);
        if matches!(home.as_str(), "lib" | "main") {
            continue;
        }
        let Some(mine) = floor(&home) else {
            wrong.push(format!("{}: `{home}` stands on no floor of this test", path.display()));
            continue;
        };
        for other in imported(&code).into_iter().filter(|other| *other != home) {
            match floor(&other) {
                Some(theirs) if theirs < mine || (mine == 0 && theirs == 0) => {}
                _ => wrong.push(format!("{}: `{home}` may not know `{other}`", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dialects_do_not_know_each_other() {
    let names = dialects();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let Ok(inside) = path.strip_prefix("src/dialects") else { continue };
        let mine = inside.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        for other in names.iter().filter(|other| names.contains(mine) && *other != mine) {
            let known = [format!("dialects::{other}"), format!("super::{other}")];
            if known.iter().any(|name| code.contains(name.as_str())) {
                wrong.push(format!("{}: `{mine}` knows `{other}`", path.display()));
            }
        }
    }
    // And what they are built from does not know them.
    for (path, code) in sources() {
        let Ok(inside) = path.strip_prefix("src/dialects") else { continue };
        if !SHARED.iter().any(|shared| inside.starts_with(shared)) {
            continue;
        }
        for other in names.iter().filter(|other| code.contains(&format!("dialects::{other}"))) {
            wrong.push(format!("{}: shared, and knows `{other}`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dialect_has_transcripts_and_a_row_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for name in dialects() {
        let golden = root().join("tests/golden").join(&name);
        let transcripts = fs::read_dir(&golden).map(Iterator::count).unwrap_or_default();
        assert!(transcripts > 0, "{} has no golden transcript", golden.display());
        assert!(readme.contains(&format!("| `{name}` |")), "the README has no row for `{name}`");
    }
}

#[test]
fn crates_stay_at_home() {
    let mut wrong = Vec::new();
    let tests = |path: &Path| path.components().any(|part| part.as_os_str() == "tests");
    for (path, code) in sources().into_iter().filter(|(path, _)| !tests(path)) {
        let home = module(&path);
        for (name, homes) in HOMES.iter().filter(|(_, homes)| !homes.contains(&home.as_str())) {
            if names_crate(&code, name) {
                wrong.push(format!("{}: `{name}` lives in {}", path.display(), homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for path in files(
        &["src", "sql", "tests", "client/src", "client/test"],
        &["rs", "sql", "js", "mjs", "ts", "css", "html"],
    ) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST && !path.starts_with("tests/golden") {
            wrong.push(format!("{}: {lines} lines, {LONGEST} at most", path.display()));
        }
        if path.extension().is_some_and(|end| end == "rs") && !text.starts_with("//! ") {
            wrong.push(format!("{}: the first line is `//! ` and what it is", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_database_is_made_in_sql_and_lints_are_not_silenced() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let lower = code.to_lowercase();
        for verb in ["create", "alter", "drop"] {
            for object in
                OBJECTS.iter().filter(|object| lower.contains(&format!("{verb} {object} ")))
            {
                wrong.push(format!("{}: `{verb} {object}` belongs in sql/", path.display()));
            }
        }
        if code.contains("#[allow(") || code.contains("#![allow(") {
            wrong.push(format!("{}: write #[expect(…, reason = \"…\")]", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths below the root with one of these endings.
fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "node_modules") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| endings.iter().any(|one| end == *one)) {
                found.push(path.strip_prefix(root()).expect("below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The crate's sources without their comments.
fn sources() -> Vec<(PathBuf, String)> {
    let code = |path: &Path| {
        let text = fs::read_to_string(root().join(path)).expect("a source");
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    files(&["src"], &["rs"]).into_iter().map(|path| (path.clone(), code(&path))).collect()
}

/// The module at the crate's top that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.iter().nth(1).expect("a module").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn dialects() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src/dialects")).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !SHARED.contains(&name.as_str())).collect()
}

/// Modules that the code names by `crate::name` or in `crate::{name, …}`.
fn imported(code: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = BTreeSet::new();
    for (_, rest) in
        code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..]))
    {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ if depth > 0 => {}
                c if c.is_ascii_lowercase() && !inside_path(&group[..at]) => {
                    names.insert(word(&group[at..]));
                }
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Whether what follows goes on with a word or a path.
fn inside_path(before: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let rest = &code[at + name.len()..];
        let (path, whole) = (rest.starts_with("::"), rest.starts_with([';', ' ']));
        let used = path || (whole && code[..at].ends_with("use "));
        used && !inside_path(&code[..at])
    })
}

#[test]
fn every_link_between_pages_leads_to_a_heading() {
    let pages = ["README.md", "client/README.md", "docs/benchmarks.md", "docs/history-checker.md"];
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let twice = headings(&text).len() - headings(&text).iter().collect::<BTreeSet<_>>().len();
        assert_eq!(twice, 0, "{page} has two headings of one name");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for (file, anchor) in links.filter_map(|link| link.split_once('#')) {
            if file.contains("://") {
                continue;
            }
            let at = root().join(page);
            let target = if file.is_empty() { at } else { at.parent().unwrap().join(file) };
            let found = fs::read_to_string(target)
                .is_ok_and(|text| headings(&text).iter().any(|heading| heading == anchor));
            if !found {
                wrong.push(format!("{page}: {file}#{anchor}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The anchors of a page, as GitHub makes them of its headings.
fn headings(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| {
        let title = line.trim_start_matches('#').strip_prefix(' ')?;
        line.starts_with('#').then_some(title)
    });
    let anchor = |title: &str| -> String {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    lines.map(anchor).collect()
}
