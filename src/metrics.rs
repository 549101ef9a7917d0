//! The names of all metrics, with what each says; the exporter's text is `/metrics`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Open client connections, by dialect.
pub const CONNECTIONS: &str = "rowcast_connections";
/// Client connections ever opened, by dialect.
pub const CONNECTIONS_TOTAL: &str = "rowcast_connections_total";
/// Connections that we closed, by reason.
pub const CLOSED_TOTAL: &str = "rowcast_closed_total";
/// Frames handed to clients, by dialect.
pub const DELIVERIES_TOTAL: &str = "rowcast_deliveries_total";
/// From capture of a change to its frame's flush, by dialect.
pub const COMMIT_TO_SOCKET: &str = "rowcast_commit_to_socket_seconds";
/// Age of the newest change when the feed read it.
pub const FEED_LAG: &str = "rowcast_feed_lag_seconds";
/// Changes read from the log.
pub const FEED_CHANGES_TOTAL: &str = "rowcast_feed_changes_total";
/// How often clients were told that the log lacks changes.
pub const GAPS_TOTAL: &str = "rowcast_gaps_total";
/// Reads of the log, by what caused them.
pub const FEED_READS_TOTAL: &str = "rowcast_feed_reads_total";
/// 1 while the listener is connected.
pub const LISTENER_UP: &str = "rowcast_listener_up";
/// Times that the listener had to connect again.
pub const LISTENER_RECONNECTS_TOTAL: &str = "rowcast_listener_reconnects_total";
/// Rows read to fill the gap after the listener was away.
pub const GAP_FILL_ROWS_TOTAL: &str = "rowcast_gap_fill_rows_total";
/// Rows read from the log for resuming or lagging clients.
pub const REPLAY_ROWS_TOTAL: &str = "rowcast_replay_rows_total";
/// Changes that resuming or lagging clients were told of from memory.
pub const REMEMBERED_ROWS_TOTAL: &str = "rowcast_remembered_rows_total";
/// Clients whose mailbox overflowed and that replayed from the log.
pub const LAGGED_TOTAL: &str = "rowcast_lagged_total";
/// Clients disconnected because they did not read, by dialect.
pub const SLOW_DISCONNECTS_TOTAL: &str = "rowcast_slow_disconnects_total";
/// Clients told to resynchronise.
pub const RESYNC_TOTAL: &str = "rowcast_resync_total";
/// How full Postgres's notification queue is, 0 to 1.
pub const QUEUE_USAGE: &str = "rowcast_notification_queue_usage";
/// Log rows that retention removed.
pub const PRUNED_TOTAL: &str = "rowcast_pruned_rows_total";
/// HTTP requests, by status class.
pub const HTTP_REQUESTS_TOTAL: &str = "rowcast_http_requests_total";
/// Polls that wait for a change.
pub const PARKED_POLLS: &str = "rowcast_parked_polls";
/// Topics that somebody holds.
pub const TOPICS: &str = "rowcast_topics";
/// Tasks of the runtime that have not ended.
pub const TASKS: &str = "rowcast_tasks";
/// Channels that clients have joined.
pub const CHANNELS: &str = "rowcast_channels";
/// Joins of channels that were refused, by reason.
pub const JOINS_REFUSED_TOTAL: &str = "rowcast_joins_refused_total";
/// Broadcasts of clients, by how they came.
pub const BROADCASTS_TOTAL: &str = "rowcast_broadcasts_total";
/// Frames of clients that no protocol knows, by dialect.
pub const MALFORMED_FRAMES_TOTAL: &str = "rowcast_malformed_frames_total";
/// 1 with the version that runs, as a label.
pub const BUILD_INFO: &str = "rowcast_build_info";
/// 1 while changes are being delivered, as `/ready` has it.
pub const READY: &str = "rowcast_ready";
/// Size of the log with its indexes, in bytes.
pub const LOG_BYTES: &str = "rowcast_log_bytes";
/// From the newest checkpoint to the newest change.
pub const CHECKPOINT_LAG: &str = "rowcast_checkpoint_lag_seconds";
/// Errors of capture in the last hour.
pub const CAPTURE_FAILURES: &str = "rowcast_capture_failures";
/// Age of the oldest change in the log.
pub const LOG_AGE: &str = "rowcast_log_age_seconds";
/// Bridges that serve this database.
pub const BRIDGES: &str = "rowcast_bridges";
/// Connections of the pool, by state.
pub const POOL_CONNECTIONS: &str = "rowcast_pool_connections";
/// Calls that wait for a connection of the pool.
pub const POOL_WAITING: &str = "rowcast_pool_waiting";
/// Reads of the log for resuming or lagging clients.
pub const REPLAY_SECONDS: &str = "rowcast_replay_seconds";
/// Statements that let in many who came at once.
pub const ADMISSIONS_SECONDS: &str = "rowcast_admissions_seconds";
/// People whom such statements were about.
pub const ADMISSIONS_TOTAL: &str = "rowcast_admissions_total";
/// Statements that ask who may see changes.
pub const PERMIT_SECONDS: &str = "rowcast_permit_seconds";
/// Questions that such statements answered.
pub const PERMIT_QUESTIONS_TOTAL: &str = "rowcast_permit_questions_total";
/// Items that a client's mailbox held when it was emptied.
pub const MAILBOX_ITEMS: &str = "rowcast_mailbox_items";
/// Reloads of the settings, by how they ended.
pub const RELOADS_TOTAL: &str = "rowcast_reloads_total";

/// Tells the recorder what each metric means, and starts at zero those that have one series only: a rate of what has
/// never happened is then 0, not unknown.
pub fn describe() {
    describe_operating();
    for name in [
        FEED_CHANGES_TOTAL,
        LISTENER_RECONNECTS_TOTAL,
        GAP_FILL_ROWS_TOTAL,
        REPLAY_ROWS_TOTAL,
        REMEMBERED_ROWS_TOTAL,
        ADMISSIONS_TOTAL,
        LAGGED_TOTAL,
        SLOW_DISCONNECTS_TOTAL,
        RESYNC_TOTAL,
        PRUNED_TOTAL,
        PERMIT_QUESTIONS_TOTAL,
    ] {
        metrics::counter!(name).increment(0);
    }
    for name in [PARKED_POLLS, TOPICS, CHANNELS] {
        metrics::gauge!(name).increment(0.0);
    }
    describe_gauge!(CONNECTIONS, "Open client connections, by dialect.");
    describe_counter!(CONNECTIONS_TOTAL, "Client connections ever opened, by dialect.");
    describe_counter!(CLOSED_TOTAL, "Connections that the bridge closed, by reason.");
    describe_counter!(DELIVERIES_TOTAL, "Frames handed to clients, by dialect.");
    describe_histogram!(
        COMMIT_TO_SOCKET,
        Unit::Seconds,
        "From capture of a change to its frame's flush, by dialect."
    );
    describe_gauge!(FEED_LAG, Unit::Seconds, "Age of the newest change when the feed read it.");
    describe_counter!(FEED_CHANGES_TOTAL, "Changes read from the log.");
    describe_counter!(GAPS_TOTAL, "How often clients were told that the log lacks changes.");
    describe_counter!(
        FEED_READS_TOTAL,
        "Reads of the log, by cause: start, ring, reread, asked (by who comes back), fallback, poll."
    );
    describe_gauge!(LISTENER_UP, "1 while the listener is connected.");
    describe_counter!(LISTENER_RECONNECTS_TOTAL, "Times that the listener had to connect again.");
    describe_counter!(
        GAP_FILL_ROWS_TOTAL,
        "Rows read to fill the gap after the listener was away."
    );
    describe_counter!(REPLAY_ROWS_TOTAL, "Rows read from the log for resuming or lagging clients.");
    describe_counter!(
        REMEMBERED_ROWS_TOTAL,
        "Changes that resuming or lagging clients were told of from memory, without a read of the log."
    );
    describe_counter!(
        LAGGED_TOTAL,
        "Clients whose mailbox overflowed and that replayed from the log."
    );
    describe_counter!(
        SLOW_DISCONNECTS_TOTAL,
        "Clients disconnected because they did not read, by dialect."
    );
    describe_counter!(RESYNC_TOTAL, "Clients told to resynchronise.");
    describe_gauge!(QUEUE_USAGE, "How full the notification queue of Postgres is, 0 to 1.");
    describe_counter!(PRUNED_TOTAL, "Log rows that retention removed.");
    describe_counter!(HTTP_REQUESTS_TOTAL, "HTTP requests, by status class.");
    describe_counter!(RELOADS_TOTAL, "Reloads of the settings, by result: done, refused.");
    describe_gauge!(PARKED_POLLS, "Polls that wait for a change.");
    describe_gauge!(TOPICS, "Topics that somebody holds.");
    describe_gauge!(TASKS, "Tasks of the process that have not ended.");
    describe_gauge!(CHANNELS, "Channels that clients have joined.");
    describe_counter!(JOINS_REFUSED_TOTAL, "Joins of channels that were refused, by reason.");
    describe_counter!(BROADCASTS_TOTAL, "Broadcasts of clients, by how they came: socket, http.");
    describe_counter!(
        MALFORMED_FRAMES_TOTAL,
        "Frames of clients that no protocol knows and that were dropped, by dialect."
    );
}

/// What operators watch beside the traffic.
fn describe_operating() {
    describe_gauge!(BUILD_INFO, "1, with the version that runs.");
    describe_gauge!(READY, "1 while changes are being delivered, as /ready has it.");
    describe_gauge!(LOG_BYTES, Unit::Bytes, "Size of the change log with its indexes.");
    describe_gauge!(
        CHECKPOINT_LAG,
        Unit::Seconds,
        "From the newest checkpoint to the newest change; 0 when all is covered."
    );
    describe_gauge!(
        CAPTURE_FAILURES,
        "Errors of capture in the last hour: changes that are missing."
    );
    describe_gauge!(LOG_AGE, Unit::Seconds, "Age of the oldest change in the log.");
    describe_gauge!(BRIDGES, "Bridges that serve this database.");
    describe_gauge!(POOL_CONNECTIONS, "Connections of the pool, by state: busy, idle.");
    describe_gauge!(POOL_WAITING, "Calls that wait for a connection of the pool.");
    describe_histogram!(
        REPLAY_SECONDS,
        Unit::Seconds,
        "Reads of the log for resuming or lagging clients."
    );
    describe_histogram!(
        ADMISSIONS_SECONDS,
        Unit::Seconds,
        "Statements that let in many who came at once."
    );
    describe_counter!(ADMISSIONS_TOTAL, "People whom such statements were about.");
    describe_histogram!(PERMIT_SECONDS, Unit::Seconds, "Statements that ask who may see changes.");
    describe_counter!(PERMIT_QUESTIONS_TOTAL, "Questions that such statements answered.");
    describe_histogram!(MAILBOX_ITEMS, "Items that a client's mailbox held when it was emptied.");
}
