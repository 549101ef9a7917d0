//! The overview: the same numbers as `/metrics`, read from the recorder's text and put in order for the page.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use warp::reply::Response;

use super::{Console, said};
use crate::{feed::Mode, metrics};

/// One line of the recorder's text.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

/// All lines.
struct Figures<'a>(Vec<Sample<'a>>);

impl Console {
    /// What the process counts; the database is not asked.
    pub(super) fn overview(&self) -> Response {
        let text = self.recorder.render();
        let figures = Figures(text.lines().filter_map(sample).collect());
        let (ready, mode, reason) = match self.status.ready() {
            _ if self.services.lifecycle.is_draining() => {
                (false, None, Some("the server is going away"))
            }
            Ok(Mode::Notify) => (true, Some("notify"), None),
            Ok(Mode::Poll) => (true, Some("poll"), None),
            Err(reason) => (false, None, Some(reason)),
        };
        let pool = self.services.pool.status();
        let body = json!({
            "at": jiff::Timestamp::now().as_millisecond(),
            "node": self.node,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().unwrap_or_default().as_secs(),
            "writes": self.gate.writes(),
            "ready": ready,
            "mode": mode,
            "reason": reason,
            "sessions": self.services.lifecycle.sessions(),
            "max_connections": self.services.settings.now().max_connections,
            "connections": figures.by(metrics::CONNECTIONS, "dialect"),
            "opened": figures.by(metrics::CONNECTIONS_TOTAL, "dialect"),
            "deliveries": figures.by(metrics::DELIVERIES_TOTAL, "dialect"),
            "slow": figures.by(metrics::SLOW_DISCONNECTS_TOTAL, "dialect"),
            "closed": figures.by(metrics::CLOSED_TOTAL, "reason"),
            "requests": figures.by(metrics::HTTP_REQUESTS_TOTAL, "status"),
            "latency": figures.histogram(metrics::COMMIT_TO_SOCKET, "dialect"),
            "changes": figures.sum(metrics::FEED_CHANGES_TOTAL),
            "feed_lag_seconds": figures.sum(metrics::FEED_LAG),
            "listener_up": figures.sum(metrics::LISTENER_UP) > 0.0,
            "reconnects": figures.sum(metrics::LISTENER_RECONNECTS_TOTAL),
            "gap_rows": figures.sum(metrics::GAP_FILL_ROWS_TOTAL),
            "replay_rows": figures.sum(metrics::REPLAY_ROWS_TOTAL),
            "lagged": figures.sum(metrics::LAGGED_TOTAL),
            "resyncs": figures.sum(metrics::RESYNC_TOTAL),
            "queue_usage": figures.sum(metrics::QUEUE_USAGE),
            "parked_polls": self.services.hub.presence().parked(),
            "topics": figures.sum(metrics::TOPICS),
            "channels": figures.sum(metrics::CHANNELS),
            "pool": { "size": pool.size, "most": pool.max_size, "idle": pool.available, "waiting": pool.waiting },
        });
        said(body.to_string())
    }
}

impl Figures<'_> {
    fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|one| one.name == name).map(|one| one.value).sum()
    }

    /// Sums by a label's value.
    fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for one in self.0.iter().filter(|one| one.name == name) {
            if let Some(value) = one.label(label) {
                *sums.entry(value).or_default() += one.value;
            }
        }
        sums
    }

    /// By a label's value: `[upper bound in seconds, so many up to there]`; the last bound is null.
    fn histogram(&self, name: &str, label: &str) -> BTreeMap<&str, Vec<Value>> {
        let mut all: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let buckets = self.0.iter().filter(|one| one.name.strip_suffix("_bucket") == Some(name));
        for one in buckets {
            if let (Some(value), Some(bound)) = (one.label(label), one.label("le")) {
                all.entry(value).or_default().push(json!([
                    bound.parse::<f64>().ok().filter(|le| le.is_finite()),
                    one.value
                ]));
            }
        }
        all
    }
}

impl Sample<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }
}

/// Reads `name{label="value",…} number`; none for a comment or anything else.
fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.trim_end().rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample { name: series, labels: Vec::new(), value });
    };
    let mut labels = Vec::new();
    let mut rest = rest.strip_suffix('}')?;
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"")?;
        let (text, after) = unquoted(quoted)?;
        labels.push((label, text));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample { name, labels, value })
}

/// The text up to the closing quote, and what comes after that.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, quoted.get(at + 1..)?)),
            '\\' => text.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_recorders_text_is_read() {
        let read = |line| sample(line).map(|one| (one.name, one.labels, one.value));
        assert_eq!(read("rowcast_topics 3"), Some(("rowcast_topics", vec![], 3.0)));
        let labels = vec![("dialect", "a\"b,c}\n".to_owned()), ("le", "+Inf".to_owned())];
        let line = r#"x_bucket{dialect="a\"b,c}\n",le="+Inf"} 1e3"#;
        assert_eq!(read(line), Some(("x_bucket", labels, 1000.0)));
        for bad in ["", "# HELP x y", "x", "x{a=\"b} 1", "x{a} 1", "x y"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn histograms_and_sums_are_by_label() {
        let text = "c{dialect=\"a\"} 1\nc{dialect=\"b\"} 2\nh_bucket{dialect=\"a\",le=\"0.5\"} 1\nh_bucket{dialect=\"a\",le=\"+Inf\"} 4";
        let figures = Figures(text.lines().filter_map(sample).collect());
        assert_eq!(figures.sum("c"), 3.0);
        assert_eq!(figures.by("c", "dialect"), BTreeMap::from([("a", 1.0), ("b", 2.0)]));
        let wanted = vec![json!([0.5, 1.0]), json!([null, 4.0])];
        assert_eq!(figures.histogram("h", "dialect"), BTreeMap::from([("a", wanted)]));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".*") {
            let _ = sample(&line);
        }
    }
}
