//! What traces are made of: spans of this target go to the collector and not into the log.

use tracing::Span;

/// The target of all spans; where no collector is named, none of them is made.
pub const TRACE: &str = "rowcast::trace";

/// A span of one call of the database, in a request that is traced; otherwise none: chores are no part of a trace.
pub fn sql(statement: &str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACE,
        "sql",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.query.text = statement,
        error.type = tracing::field::Empty,
    )
}
