//! From an error of Postgres or of the driver to ours: SQLSTATE class RC is for the client, the rest for the log.

use tokio_postgres::error::{DbError, SqlState};

use crate::error::{Error, Kind};

/// How long a client that was told RC429 waits when SQL does not say, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(raised) => match for_client(raised) {
                Some(ours) => ours,
                None if is_passing(raised.code()) => Self::unavailable(error),
                None => Self::internal(error),
            },
            None if is_of_the_connection(&error) => Self::unavailable(error),
            None => Self::internal(error),
        }
    }
}

/// Reads `raise exception '…' using errcode = 'RC4xx'`: the message is made to be shown.
fn for_client(raised: &DbError) -> Option<Error> {
    let message = raised.message().to_owned();
    let kind = match raised.code().code() {
        "RC400" => Kind::Malformed,
        "RC401" => Kind::Unauthorized,
        "RC402" => Kind::Payment,
        "RC403" => Kind::Forbidden,
        "RC404" => Kind::Missing,
        "RC409" => Kind::Conflict,
        "RC413" => Kind::TooLarge,
        "RC429" => {
            let wait = raised.hint().and_then(|hint| hint.parse().ok()).unwrap_or(RETRY_AFTER_MS);
            return Some(Error::too_many(message, wait));
        }
        _ => return None,
    };
    Some(Error::new(kind, message))
}

/// Whether the same call may well work in a moment.
fn is_passing(code: &SqlState) -> bool {
    let code = code.code();
    // connection, resources (53300: too many connections), shut down and starting up, cancelled (statement_timeout)
    ["08", "53", "57P0"].iter().any(|class| code.starts_with(class))
        // query cancelled, lock not available, deadlock, serialization, read-only after a failover
        || ["57014", "57P05", "55P03", "40P01", "40001", "25006"].contains(&code)
}

fn is_of_the_connection(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
    let text = error.to_string();
    // the driver keeps its kinds to itself
    error.is_closed()
        || io
        || ["error connecting", "error performing TLS", "timeout waiting"]
            .iter()
            .any(|kind| text.starts_with(kind))
}
