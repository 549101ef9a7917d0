//! What the pages name exists: commands, flags, settings, paths, links, metrics, SQL, routes, tests, frames.
//!
//! Only what stands as code or as a link is looked at. A test says `file:line` of all that does not exist.

mod frames;
mod names;
mod page;
mod routes;

use std::{
    fs,
    path::{Component, PathBuf},
};

use regex::Regex;

use page::{Page, below, page, pages, root};

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "these do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let link = pattern(r"\]\(([^)\s]+)\)");
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            for target in link.captures_iter(&line).map(|found| found[1].to_owned()) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
                if !leads(&page, path, anchor) {
                    wrong.push(format!("{}: {target}", page.place(number)));
                }
            }
        }
    }
    none(&wrong);
}

fn leads(from: &Page, path: &str, anchor: &str) -> bool {
    let folder = from.path.parent().map(PathBuf::from).unwrap_or_default();
    let target = if path.is_empty() { from.path.clone() } else { plain(folder.join(path)) };
    if !root().join(&target).exists() {
        return false;
    }
    let is_page = target.extension().is_some_and(|end| end == "md");
    anchor.is_empty()
        || !is_page
        || page(&target.display().to_string()).anchors().iter().any(|known| known == anchor)
}

/// A path without `..`.
fn plain(path: PathBuf) -> PathBuf {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts.into_iter().collect()
}

/// Everything at the root is a beginning of a path; `<name>` and `*` stand for anything.
#[test]
fn every_path_of_the_repository_exists() {
    let path = pattern(
        r"(?:^|[\s(=])((?:src|tests|docs|sql|scripts|client|examples|benches|packaging|\.ci)/[\w./*<>-]*)",
    );
    let all: Vec<String> = [
        "src",
        "tests",
        "docs",
        "sql",
        "scripts",
        "client",
        "examples",
        "benches",
        "packaging",
        ".ci",
    ]
    .iter()
    .flat_map(|folder| below(folder))
    .collect();
    let mut wrong = Vec::new();
    for page in pages() {
        // The client's own page speaks of the client's folder.
        let home = page.path.parent().map(PathBuf::from).unwrap_or_default();
        for code in page.code() {
            for found in path.captures_iter(&code.text) {
                // `src/module::a_test`: who has such a table has a test of its own for it.
                let end = found.get(1).map_or(0, |path| path.end());
                if code.text[end..].starts_with("::") {
                    continue;
                }
                let named = found[1].trim_end_matches(['.', ':']);
                let like = regex::escape(named.trim_end_matches('/'))
                    .replace(r"\*", "[^/]*")
                    .replace("<", "(?:<")
                    .replace(">", ">|[^/]+)");
                let like = pattern(&format!("^{like}(/|$)"));
                let inside = home.join(named);
                if !all.iter().any(|one| like.is_match(one)) && !root().join(inside).exists() {
                    wrong.push(format!("{}: {named}", code.place));
                }
            }
        }
    }
    none(&wrong);
}

/// `` `tests/it/pool.rs`: `name_of_a_test` `` and `` `tests/js/x.test.js`: `its title` ``, any number of them.
#[test]
fn every_test_that_is_named_is_there() {
    let named =
        pattern(r"`((?:tests|src|client)/[\w./-]+\.(?:rs|js|sql))`(:\s`[^`]+`(?:,\s`[^`]+`)*)");
    let one = pattern("`([^`]+)`");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        // A list of tests goes on over the end of a line.
        let whole = page.lines.join("\n");
        for found in named.captures_iter(&whole) {
            let text = fs::read_to_string(root().join(&found[1])).unwrap_or_default();
            let before = found.get(0).map_or(0, |whole| whole.start());
            let place = page.place(whole[..before].matches('\n').count());
            for title in one.captures_iter(&found[2]).map(|title| title[1].to_owned()) {
                if title.contains('/') {
                    continue;
                }
                count += 1;
                let there = match found[1].ends_with(".rs") {
                    true => text.contains(&format!("fn {title}(")),
                    false => text.contains(&title),
                };
                if !there {
                    wrong.push(format!("{place}: {} has no `{title}`", &found[1]));
                }
            }
        }
    }
    none(&wrong);
    assert!(count > 20, "docs/guarantees.md names {count} tests only");
}

#[test]
fn every_promise_names_tests() {
    let page = page("docs/guarantees.md");
    let mut promises = 0;
    for part in page
        .lines
        .join("\n")
        .split("\n## ")
        .skip(1)
        .filter(|part| part.starts_with(char::is_numeric))
    {
        promises += 1;
        let title = part.lines().next().unwrap_or_default();
        for heading in ["**How.**", "**What breaks it.**", "**Limits.**"] {
            assert!(part.contains(heading), "`{title}` does not say {heading}");
        }
        assert!(part.contains("`tests/") || part.contains("`src/"), "`{title}` names no test");
    }
    assert!(promises >= 9, "{promises} promises");
}
