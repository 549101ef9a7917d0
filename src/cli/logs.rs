//! Logs, to standard error: for people or a JSON object a line, by a filter that a reload replaces. And traces, where they are wanted.

use std::{
    io::{self, IsTerminal, Write},
    panic,
    sync::OnceLock,
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, LevelFilter, ParseError, filter_fn},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::{config::Traces, trace::TRACE};

/// One call of the collector.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);
/// What has not reached the collector by then, after everything has ended, does not.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Crates that write what passes through them below `info`: parameters of statements, frames, headers. That is people's
/// messages and tokens, so these have to be named to be heard.
const TALKATIVE: &[&str] = &[
    "engineioxide",
    "engineioxide_core",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "tokio_postgres",
    "tokio_tungstenite",
    "tungstenite",
];

/// The filter of now.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Flushes traces when it goes.
pub(super) struct Logs(Option<SdkTracerProvider>);

/// Parses what is logged.
pub(super) fn directives(text: &str) -> Result<String, String> {
    let good = EnvFilter::try_new(text).map(|_| text.to_owned());
    good.map_err(|error| {
        format!("{error}; write a level, or directives such as rowcast=debug,warn")
    })
}

/// Begins to log and to trace. Not to be called on a runtime's thread: the exporter has a client that blocks.
pub(super) fn start(
    directives: &str,
    format: Format,
    traces: Option<(&Traces, &str)>,
) -> anyhow::Result<Logs> {
    let (filter, handle) = reload::Layer::new(filter(directives));
    // Spans are the collector's: in the log they would stand before every line. Its hint is needed: without one both
    // together have none, and whatever any crate could say at any level is looked at.
    let lines_only = filter_fn(|about| about.target() != TRACE);
    let filter = filter.and(lines_only.with_max_level_hint(LevelFilter::TRACE));
    let coloured = format == Format::Text && io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(coloured)
        .with_writer(move || Lines { inner: io::stderr(), coloured });
    let lines = match format {
        Format::Text => lines.with_target(false).boxed(),
        Format::Json => lines.json().with_current_span(false).with_span_list(false).boxed(),
    };
    let provider = match traces {
        Some((traces, node)) => provider(traces, node)?,
        None => None,
    };
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("rowcast"))
            .with_location(false)
            .with_threads(false)
            .with_filter(
                filter_fn(|about| about.target() == TRACE).with_max_level_hint(LevelFilter::INFO),
            )
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).init();
    let _ = FILTER.set(handle);
    if format == Format::Json {
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("no words"));
        }));
    }
    Ok(Logs(provider))
}

/// Logs by other directives from here on.
pub(super) fn change(directives: &str) {
    if let Some(handle) = FILTER.get()
        && let Err(error) = handle.reload(filter(directives))
    {
        tracing::error!(%error, "the log's filter stays: {error}");
    }
    // Crates that speak through `log` were told at the start from which level on nobody listens.
    if let Ok(level) = LevelFilter::current().to_string().parse() {
        log::set_max_level(level);
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_DEADLINE)
        {
            tracing::warn!(%error, "the last traces did not reach the collector: {error}");
        }
    }
}

fn filter(directives: &str) -> EnvFilter {
    discreet(directives).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// The filter of some directives, with the talkative crates as they are wanted.
fn discreet(directives: &str) -> Result<EnvFilter, ParseError> {
    let mut filter = EnvFilter::try_new(directives)?;
    if filter.max_level_hint().is_some_and(|level| level <= LevelFilter::INFO) {
        return Ok(filter);
    }
    let named = |name: &str| {
        directives.split(',').any(|one| one.trim().split(['=', ':']).next() == Some(name))
    };
    for name in TALKATIVE.iter().filter(|name| !named(name)) {
        filter = filter.add_directive(format!("{name}=warn").parse()?);
    }
    Ok(filter)
}

/// Sends spans in batches, from a thread and a bounded queue of its own: what does not fit is dropped, and nobody waits.
fn provider(traces: &Traces, node: &str) -> anyhow::Result<Option<SdkTracerProvider>> {
    let endpoint = traces.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let Some(endpoint) = endpoint else { return Ok(None) };
    let base = endpoint.trim_end_matches('/');
    let url =
        if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(EXPORT_DEADLINE)
        .build()
        .context("--otlp-endpoint is no collector's URL, such as http://127.0.0.1:4318")?;
    let about = Resource::builder()
        .with_service_name("rowcast")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .with_attribute(KeyValue::new("rowcast.node", node.to_owned()))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.trace_ratio)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(about)
        .with_sampler(sampler)
        .build();
    Ok(Some(provider))
}

/// Writes events, each in one call: control characters inside of one are escaped, for they are somebody else's words.
struct Lines<W> {
    inner: W,
    /// The formatter's own colours begin with an escape; it takes care of those in values itself.
    coloured: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let stays = |char: char| !char.is_control() || (char == '\u{1b}' && self.coloured);
        if line.chars().all(stays) {
            self.inner.write_all(event)?;
        } else {
            let escaped = |char: char| match stays(char) {
                true => char.to_string(),
                false => char.escape_default().to_string(),
            };
            let line: String = line.chars().map(escaped).collect();
            self.inner.write_all(format!("{line}{end}").as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(coloured: bool, event: &str) -> String {
        let mut lines = Lines { inner: Vec::new(), coloured };
        lines.write_all(event.as_bytes()).expect("memory");
        String::from_utf8(lines.inner).expect("text")
    }

    #[test]
    fn an_event_is_one_line_whatever_somebody_put_into_it() {
        let forged = "WARN a\r\n2026-01-01 ERROR forged\u{1b}[2J\u{9b}31m\0\n";
        let plain = written(false, forged);
        assert_eq!(plain, "WARN a\\r\\n2026-01-01 ERROR forged\\u{1b}[2J\\u{9b}31m\\u{0}\n");
        assert_eq!(
            written(true, "\u{1b}[33mWARN\u{1b}[0m a\nb\n"),
            "\u{1b}[33mWARN\u{1b}[0m a\\nb\n"
        );
        assert_eq!(written(false, "INFO Grüße 💥\n"), "INFO Grüße 💥\n");
    }

    #[test]
    fn what_passes_through_other_crates_is_heard_only_where_they_are_named() {
        for quiet in ["debug", "trace", "rowcast=trace,debug"] {
            assert!(discreet(quiet).expect("legal").to_string().contains("tokio_postgres=warn"));
        }
        assert!(!discreet("info").expect("legal").to_string().contains("tokio_postgres"));
        let named = discreet("debug,tokio_postgres=trace").expect("legal").to_string();
        assert!(named.contains("tokio_postgres=trace"), "{named}");
    }

    /// A process of its own, for its log is the process's.
    #[test]
    fn what_nobody_hears_is_not_looked_at_before_and_after_a_change() {
        const CHILD: &str = "ROWCAST_TEST_OF_LEVELS";
        if std::env::var_os(CHILD).is_some() {
            let _logs = start("info,rowcast=warn", Format::Text, None).expect("logs");
            assert_eq!(
                (LevelFilter::current(), log::max_level()),
                (LevelFilter::INFO, log::LevelFilter::Info)
            );
            change("warn,tokio_postgres=debug");
            assert_eq!(
                (LevelFilter::current(), log::max_level()),
                (LevelFilter::DEBUG, log::LevelFilter::Debug)
            );
            return;
        }
        let this = std::env::current_exe().expect("this program");
        let name = "cli::logs::tests::what_nobody_hears_is_not_looked_at_before_and_after_a_change";
        let child =
            std::process::Command::new(this).args(["--exact", name]).env(CHILD, "1").output();
        let child = child.expect("a process");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    }

    const CHILD: &str = "ROWCAST_TEST_OF_PANICS";

    /// A process of its own, for its log is the process's.
    #[test]
    fn a_panic_is_a_json_object_too() {
        if std::env::var_os(CHILD).is_some() {
            let _logs = start("info", Format::Json, None).expect("logs");
            let panicking = std::thread::spawn(|| panic!("on\npurpose"));
            assert!(panicking.join().is_err());
            return;
        }
        let this = std::env::current_exe().expect("this program");
        let name = "cli::logs::tests::a_panic_is_a_json_object_too";
        let args = ["--exact", name, "--nocapture"];
        let child = std::process::Command::new(this).args(args).env(CHILD, "1").output();
        let child = child.expect("a process");
        assert!(child.status.success());
        let text = String::from_utf8(child.stderr).expect("text");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["level"], "ERROR");
        assert_eq!(lines[0]["fields"]["message"], "panicked: on\npurpose");
        assert!(lines[0]["fields"]["place"].as_str().expect("a place").contains("logs.rs"));
    }
}
