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
/// From capture of a change to its frame's flush.
pub const COMMIT_TO_SOCKET: &str = "rowcast_commit_to_socket_seconds";
/// Age of the newest change when the feed read it.
pub const FEED_LAG: &str = "rowcast_feed_lag_seconds";
/// Changes read from the log.
pub const FEED_CHANGES_TOTAL: &str = "rowcast_feed_changes_total";
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
/// Clients whose mailbox overflowed and that replayed from the log.
pub const LAGGED_TOTAL: &str = "rowcast_lagged_total";
/// Clients disconnected because they did not read.
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

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_gauge!(CONNECTIONS, "Open client connections, by dialect.");
    describe_counter!(CONNECTIONS_TOTAL, "Client connections ever opened, by dialect.");
    describe_counter!(CLOSED_TOTAL, "Connections that the bridge closed, by reason.");
    describe_counter!(DELIVERIES_TOTAL, "Frames handed to clients, by dialect.");
    describe_histogram!(
        COMMIT_TO_SOCKET,
        Unit::Seconds,
        "From capture of a change to its frame's flush."
    );
    describe_gauge!(FEED_LAG, Unit::Seconds, "Age of the newest change when the feed read it.");
    describe_counter!(FEED_CHANGES_TOTAL, "Changes read from the log.");
    describe_counter!(
        FEED_READS_TOTAL,
        "Reads of the log, by cause: ring, reread, fallback, poll."
    );
    describe_gauge!(LISTENER_UP, "1 while the listener is connected.");
    describe_counter!(LISTENER_RECONNECTS_TOTAL, "Times that the listener had to connect again.");
    describe_counter!(
        GAP_FILL_ROWS_TOTAL,
        "Rows read to fill the gap after the listener was away."
    );
    describe_counter!(REPLAY_ROWS_TOTAL, "Rows read from the log for resuming or lagging clients.");
    describe_counter!(
        LAGGED_TOTAL,
        "Clients whose mailbox overflowed and that replayed from the log."
    );
    describe_counter!(SLOW_DISCONNECTS_TOTAL, "Clients disconnected because they did not read.");
    describe_counter!(RESYNC_TOTAL, "Clients told to resynchronise.");
    describe_gauge!(QUEUE_USAGE, "How full the notification queue of Postgres is, 0 to 1.");
    describe_counter!(PRUNED_TOTAL, "Log rows that retention removed.");
    describe_counter!(HTTP_REQUESTS_TOTAL, "HTTP requests, by status class.");
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
