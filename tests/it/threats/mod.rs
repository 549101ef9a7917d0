//! What an attacker would try, against the real app: the page of threats, row by row.

mod cookies;
mod cursors;
mod database;
mod doors;
mod endpoints;
mod feed;
mod role;
mod silent;
mod terminal;
mod walk;
mod wire;

use std::fs;

use regex::Regex;

/// The page has a table of threats; the last column names the tests, and `tests/it/docs` looks whether they exist.
#[test]
fn every_threat_on_the_page_has_a_test() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/threats.md")).expect("docs/threats.md");
    let test = Regex::new(r"`(?:tests|src)/[\w./-]+\.(?:rs|js|sql)`: `[^`]+`").expect("a pattern");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .filter(|line| !line.starts_with("| somebody"))
        .collect();
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "a row has a threat, an answer and its tests: {row}");
        assert!(test.is_match(cells[2]), "no test is named as `file`: `test` in: {row}");
    }
    assert!(rows.len() >= 30, "{} threats only", rows.len());
}
