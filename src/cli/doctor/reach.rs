//! The way to the database: who answers, and whether a pooler stands in between that drops what it does not know.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Args, check::Check};
use crate::{
    db::{
        Target,
        listen::Listener,
        plain_row,
        pooler::{self, Dialled},
    },
    error::{Error, Result},
    lifecycle::Lifecycle,
};

/// How long an echo through the database may take, or a statement that finds no connection of a pooler's free.
const PATIENCE: Duration = Duration::from_secs(2);
const OLDEST: u32 = 130_000;

/// What the server says of itself.
pub(super) struct Reached {
    pub(super) standby: bool,
    version: String,
    number: u32,
    user: String,
    database: String,
    /// Where the server itself listens, as it sees it: behind a pooler, the pooler's other side.
    own: Option<String>,
    /// Where a standby gets its log from, if this role may know.
    primary: Option<String>,
    took: Duration,
}

/// Asks in the simplest way there is, so that anything that is there answers.
pub(super) async fn reach(target: &Target, lifecycle: &Lifecycle) -> Result<Reached> {
    let sql = "select current_setting('server_version'), current_setting('server_version_num'), \
        pg_is_in_recovery(), current_user, current_database(), \
        host(inet_server_addr()) || ':' || inet_server_port(), \
        (select w.sender_host || ':' || w.sender_port from pg_stat_wal_receiver w limit 1)";
    let began = Instant::now();
    let client = target.client(lifecycle).await?;
    let row =
        timeout(PATIENCE * 2, plain_row(&client, sql)).await.map_err(Error::unavailable)??;
    let text = |nth: usize| row.get(nth).cloned().flatten();
    let number = text(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    Ok(Reached {
        standby: text(2).as_deref() == Some("t"),
        version: text(0).unwrap_or_default(),
        number,
        user: text(3).unwrap_or_default(),
        database: text(4).unwrap_or_default(),
        own: text(5),
        primary: text(6),
        took: began.elapsed(),
    })
}

impl Reached {
    pub(super) fn checks(&self, target: &Target) -> Vec<Check> {
        let place = format!("{}, {} ms", target.describe(), self.took.as_millis());
        vec![
            Check::fine("database", place),
            Check::new(
                "version",
                self.number >= OLDEST,
                format!("PostgreSQL {}", self.version),
                "pg_upgrade # to PostgreSQL 13 or newer",
            ),
            Check::new(
                "primary",
                !self.standby,
                if self.standby { "this is a standby" } else { "yes" },
                format!("export DATABASE_URL={}", self.url(self.primary.as_deref())),
            ),
        ]
    }

    /// The database at another place; the password is the shell's to put in.
    fn url(&self, place: Option<&str>) -> String {
        let (user, database) = (&self.user, &self.database);
        format!("\"postgres://{user}:$PGPASSWORD@{}/{database}\"", place.unwrap_or("HOST:5432"))
    }
}

/// Whether our connections are the server's own, so that what is prepared on one stays there.
pub(super) async fn prepared(target: &Target, reached: &Reached) -> Check {
    let name = "prepared statements";
    let remedy = format!("export DATABASE_URL={} # direct", reached.url(reached.own.as_deref()));
    match timeout(PATIENCE, pooler::dial(target)).await {
        Ok(Ok(Dialled { pooled: false, .. })) => Check::fine(name, "kept"),
        Ok(Ok(_)) => {
            Check::new(name, false, "not kept: a pooler is in between, each is sent whole", remedy)
        }
        Ok(Err(error)) => Check::failed(name, &error, remedy),
        Err(_) => {
            Check::new(name, false, "no answer: a pooler with no connection to spare", remedy)
        }
    }
}

/// LISTEN through a pooler is accepted and then silently dropped: only an echo tells.
pub(super) async fn echo(
    args: &Args,
    target: &Target,
    reached: &Reached,
    lifecycle: &Lifecycle,
) -> Check {
    let name = "notifications";
    let remedy =
        format!("export ROWCAST_LISTEN_URL={} # direct", reached.url(reached.own.as_deref()));
    let listen = args.config.database.listen_url.as_ref();
    let listen = match listen.filter(|url| !url.is_empty()).map(Target::parse).transpose() {
        Ok(listen) => listen.unwrap_or_else(|| target.clone()),
        Err(error) => return Check::failed(name, &error, remedy),
    };
    let token = uuid::Uuid::new_v4().to_string();
    let began = Instant::now();
    let hearing = async {
        let mut listener = Listener::open(&listen, "rowcast_echo", lifecycle).await?;
        let teller = target.client(lifecycle).await?;
        plain_row(&teller, &format!("select pg_notify('rowcast_echo', '{token}')")).await?;
        while let Some(payload) = listener.next().await {
            if payload == token {
                return Ok(true);
            }
        }
        Ok::<_, Error>(false)
    };
    match timeout(PATIENCE, hearing).await {
        Ok(Ok(true)) => {
            let took = began.elapsed().as_millis();
            Check::fine(name, format!("an echo through {} took {took} ms", listen.describe()))
        }
        Ok(Err(error)) => Check::failed(name, &error, remedy),
        _ => Check::new(name, false, format!("no echo from {}", listen.describe()), remedy),
    }
}
