//! Logs, to standard error: for people or a JSON object a line, by a filter that a reload replaces.

use std::{io::IsTerminal, sync::OnceLock};

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter of now.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Parses what is logged.
pub(super) fn directives(text: &str) -> Result<String, String> {
    let good = EnvFilter::try_new(text).map(|_| text.to_owned());
    good.map_err(|error| {
        format!("{error}; write a level, or directives such as rowcast=debug,warn")
    })
}

/// Begins to log.
pub(super) fn start(directives: &str, format: Format) {
    let (filter, handle) = reload::Layer::new(filter(directives));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => lines.with_target(false).boxed(),
        Format::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    let _ = FILTER.set(handle);
}

/// Logs by other directives from here on.
pub(super) fn change(directives: &str) {
    if let Some(handle) = FILTER.get()
        && let Err(error) = handle.reload(filter(directives))
    {
        tracing::error!(%error, "the log's filter stays: {error}");
    }
}

fn filter(directives: &str) -> EnvFilter {
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"))
}
