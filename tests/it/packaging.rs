//! What operators are given beside the program: a dashboard and alerts that speak of metrics there are.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use crate::harness::app::{App, token};

/// Metrics that have a series only once something has happened that this test does not bring about.
const LATER: [&str; 6] = [
    "rowcast_replay_seconds",
    "rowcast_permit_seconds",
    "rowcast_closed_total",
    "rowcast_joins_refused_total",
    "rowcast_broadcasts_total",
    "rowcast_malformed_frames_total",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The metrics that a text names, without what a histogram adds.
fn named(text: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let names = text.split(part).filter(|word| word.starts_with("rowcast_"));
    names
        .map(|name| {
            let ends = ["_bucket", "_sum", "_count"];
            ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_metrics_that_a_running_bridge_has() {
    let app = App::start().await;
    let mut socket = app.socket("grace", "").await;
    socket.until("connection_established").await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'hello')")
        .await;
    socket.until("new_message").await;
    let (status, _) = app.ask("GET", "/api/chat/threads", &token("ada"), None).await;
    assert_eq!(status, 200);

    let declared = named(&read("src/metrics.rs"));
    let mut used = named(&read("packaging/grafana/rowcast.json"));
    used.extend(named(&read("packaging/prometheus/rowcast.rules.yml")));
    assert!(used.len() > 15, "{used:?}");
    let unknown: Vec<_> = used.difference(&declared).collect();
    assert!(unknown.is_empty(), "no such metrics: {unknown:?}");

    let url = format!("http://{}/metrics", app.addresses.admin);
    let expected: BTreeSet<String> =
        used.into_iter().filter(|name| !LATER.contains(&name.as_str())).collect();
    let mut missing = Vec::new();
    let looking = async {
        loop {
            let text = reqwest::get(&url).await.expect("an answer").text().await.expect("text");
            let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let found = named(&samples.join("\n"));
            missing = expected.difference(&found).cloned().collect();
            if missing.is_empty() {
                assert!(text.contains("rowcast_ready 1"), "{text}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let done = tokio::time::timeout(crate::harness::app::PATIENCE, looking).await;
    assert!(done.is_ok(), "not among the metrics: {missing:?}");
}

#[test]
fn every_alert_says_what_to_do() {
    let (rules, page) = (read("packaging/prometheus/rowcast.rules.yml"), read("docs/alerts.md"));
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        let heading = format!("## {alert}\n");
        let at = page.find(&heading).unwrap_or_else(|| panic!("docs/alerts.md lacks {alert}"));
        let words = page[at + heading.len()..].split("## ").next().unwrap_or_default();
        assert!(words.trim().len() > 60, "docs/alerts.md says too little of {alert}");
        let link = format!("docs/alerts.md#{}", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} has no runbook_url with {link}");
    }
    let headings = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(headings, alerts.len(), "docs/alerts.md and the rules differ");
}

/// What the compiler reads besides the sources has to be in the image that builds them.
#[test]
fn the_image_has_every_folder_that_is_built_from() {
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let mut folders = BTreeSet::from(["src".to_owned(), "sql".to_owned()]);
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let included = text.split("include_str!(\"").skip(1);
                let outside =
                    included.filter_map(|rest| rest.split('"').next()?.split("../docs/").nth(1));
                let parents = outside.filter_map(|file| Path::new(file).parent());
                folders.extend(parents.map(|parent| format!("docs/{}", parent.display())));
            }
        }
    }
    assert!(folders.len() > 2, "{folders:?}");
    for folder in folders {
        assert!(dockerfile.contains(&format!("COPY {folder} {folder}\n")), "no COPY of {folder}");
        assert!(ignored.lines().any(|line| line == format!("!{folder}")), "{folder} is ignored");
    }
}
