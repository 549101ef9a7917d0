//! `rowcast doctor`: every precondition, and the remedy of each that fails.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use tokio::time::{Instant, timeout};

use super::{place::Folder, say};
use crate::{
    config::{Auth, Database},
    db::{Pool, Row, Target, listen::Listener, migrate, types::Micros},
    error::{Chain, Error, Result},
    lifecycle::Lifecycle,
};

/// How long an echo through the database may take.
const ECHO_DEADLINE: Duration = Duration::from_secs(2);
/// Tokens are judged by our clock, and times of messages are the database's.
const LARGEST_SKEW: Duration = Duration::from_secs(2);
/// The listener, and room for `migrate` and for people.
const BESIDE_THE_POOL: i64 = 3;
/// HS256 wants a key as long as its hash.
const SHORTEST_SECRET: usize = 32;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    auth: Auth,

    #[command(flatten)]
    folder: Folder,
}

/// One precondition.
struct Check {
    name: String,
    ok: bool,
    detail: String,
    remedy: String,
}

impl Check {
    fn new(name: &str, ok: bool, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.to_owned(), ok, detail: detail.into(), remedy: remedy.into() }
    }

    fn failed(name: &str, error: &Error, remedy: &str) -> Self {
        Self::new(name, false, Chain(error).to_string(), remedy)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    let mut checks = vec![keys(&args)];
    match connect(&args, &lifecycle).await {
        Ok((target, pool, took)) => {
            let detail = format!("{}, {} ms", target.describe(), took.as_millis());
            checks.push(Check::new("database", true, detail, ""));
            checks.extend(server(&pool, args.database.pool_size).await.unwrap_or_else(|error| {
                vec![Check::failed("server", &error, "look at the database's log")]
            }));
            checks.push(echo(&args, &target, &pool, &lifecycle).await);
            checks.extend(installation(&pool).await);
        }
        Err(error) => checks.push(Check::failed(
            "database",
            &error,
            "check the URL, the password, pg_hba.conf and that the server runs",
        )),
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    print(&checks);
    let words = if failed == 0 {
        "Everything is in order.".to_owned()
    } else {
        format!("{failed} of {} checks failed.", checks.len())
    };
    say(format_args!("\n{words}"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn connect(args: &Args, lifecycle: &Lifecycle) -> Result<(Target, Pool, Duration)> {
    let target = Target::parse(&args.folder.url_or_private(&args.database.url)?)?;
    let pool = Pool::new(&target, 1, args.database.database_timeout, lifecycle);
    let began = Instant::now();
    let _: i32 = pool.value("select 1", &[]).await?;
    Ok((target, pool, began.elapsed()))
}

fn keys(args: &Args) -> Check {
    let secret = args.folder.secret_or_private(args.auth.jwt_secret.as_ref());
    let length = secret.map(|secret| secret.reveal().chars().count());
    match length {
        Some(length) => Check::new(
            "token keys",
            length >= SHORTEST_SECRET,
            format!("a shared secret of {length} characters"),
            "choose a longer ROWCAST_JWT_SECRET, such as the output of: openssl rand -base64 48",
        ),
        None => Check::new(
            "token keys",
            args.auth.jwt_public_key.is_some() || args.auth.jwks.is_some(),
            if args.auth.jwks.is_some() {
                "a key set"
            } else if args.auth.jwt_public_key.is_some() {
                "a public key"
            } else {
                "none"
            },
            "set ROWCAST_JWT_SECRET, ROWCAST_JWT_PUBLIC_KEY or ROWCAST_JWKS",
        ),
    }
}

async fn server(pool: &Pool, pool_size: usize) -> Result<Vec<Check>> {
    let sql = "select current_setting('server_version'), current_setting('server_version_num')::int, \
        pg_is_in_recovery(), current_setting('max_connections')::bigint \
            - current_setting('superuser_reserved_connections')::bigint, \
        (select count(*) from pg_stat_activity where backend_type = 'client backend'), clock_timestamp()";
    let before = jiff::Timestamp::now().as_microsecond();
    let row = pool.query_one(sql, &[]).await?;
    let after = jiff::Timestamp::now().as_microsecond();
    let (version, number): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let standby: bool = row.try_get(2)?;
    let (room, used): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    let Micros(theirs) = row.try_get(5)?;
    let wanted = i64::try_from(pool_size).unwrap_or(i64::MAX).saturating_add(BESIDE_THE_POOL);
    // The answer lies between the two: what is outside is skew.
    let skew = (before - theirs).max(theirs - after).max(0).unsigned_abs();
    Ok(vec![
        Check::new(
            "version",
            number >= 130_000,
            format!("PostgreSQL {version}"),
            "upgrade to PostgreSQL 13 or newer",
        ),
        Check::new(
            "primary",
            !standby,
            if standby { "a standby" } else { "yes" },
            "connect to the primary: standbys neither take NOTIFY nor know all transactions",
        ),
        Check::new(
            "connections",
            room - used + 1 >= wanted,
            format!("{used} of {room} in use, a node wants {wanted}"),
            "raise max_connections, or lower ROWCAST_POOL_SIZE",
        ),
        Check::new(
            "clock",
            skew <= LARGEST_SKEW.as_micros() as u64,
            format!("{} ms apart", skew / 1_000),
            "run a time service (chrony, systemd-timesyncd) on both machines",
        ),
    ])
}

/// LISTEN through a pooler is accepted and then silently dropped: only an echo tells.
async fn echo(args: &Args, target: &Target, pool: &Pool, lifecycle: &Lifecycle) -> Check {
    let remedy = "set ROWCAST_LISTEN_URL to a direct connection: a pooler in transaction mode drops LISTEN; without it changes are polled for, at 50 Hz";
    let listen = match args.database.listen_url.as_ref().map(Target::parse).transpose() {
        Ok(listen) => listen.unwrap_or_else(|| target.clone()),
        Err(error) => return Check::failed("notifications", &error, remedy),
    };
    let token = uuid::Uuid::new_v4().to_string();
    let began = Instant::now();
    let heard = timeout(ECHO_DEADLINE, async {
        let mut listener = Listener::open(&listen, "rowcast_echo", lifecycle).await?;
        pool.execute("select pg_notify('rowcast_echo', $1)", &[&token]).await?;
        while let Some(payload) = listener.next().await {
            if payload == token {
                return Ok(true);
            }
        }
        Ok(false)
    });
    match heard.await {
        Ok(Ok(true)) => {
            let detail = format!(
                "an echo through {} took {} ms",
                listen.describe(),
                began.elapsed().as_millis()
            );
            Check::new("notifications", true, detail, "")
        }
        Ok(Err(error)) => Check::failed("notifications", &error, remedy),
        _ => Check::new(
            "notifications",
            false,
            format!("no echo from {}", listen.describe()),
            remedy,
        ),
    }
}

async fn installation(pool: &Pool) -> Vec<Check> {
    if let Err(error) = migrate::check(pool).await {
        return vec![Check::failed("installation", &error, "rowcast migrate")];
    }
    let mut checks = vec![Check::new("installation", true, "current", "")];
    let sql = "select check_name, ok, detail, remedy from rowcast.doctor()";
    let read = |row: &Row| -> Result<Check> {
        let remedy: Option<String> = row.try_get(3)?;
        let detail: Option<String> = row.try_get(2)?;
        let ok: Option<bool> = row.try_get(1)?;
        let name: &str = row.try_get(0)?;
        Ok(Check::new(
            name,
            ok.unwrap_or(false),
            detail.unwrap_or_default(),
            remedy.unwrap_or_default(),
        ))
    };
    let found = pool
        .query(sql, &[])
        .await
        .and_then(|rows| rows.iter().map(read).collect::<Result<Vec<_>>>());
    checks.extend(found.unwrap_or_else(|error| {
        vec![Check::failed("rowcast.doctor()", &error, "rowcast migrate")]
    }));
    let nodes = nodes(pool).await;
    checks.push(nodes.unwrap_or_else(|error| Check::failed("nodes", &error, "rowcast migrate")));
    checks
}

async fn nodes(pool: &Pool) -> Result<Check> {
    let sql = "select name, version, extract(epoch from clock_timestamp() - seen_at)::bigint from rowcast.nodes order by name, seen_at";
    let rows = pool.query(sql, &[]).await?;
    let node = |row: &Row| -> Result<String> {
        let (name, version, age): (String, String, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(format!("{name} {version}, seen {age} s ago"))
    };
    let nodes = rows.iter().map(node).collect::<Result<Vec<_>>>()?;
    let detail = if nodes.is_empty() { "none runs".to_owned() } else { nodes.join("; ") };
    Ok(Check::new("nodes", true, detail, ""))
}

fn print(checks: &[Check]) {
    let colour = std::io::stdout().is_terminal();
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for check in checks {
        let mark = if check.ok { paint("32", "ok  ") } else { paint("31", "FAIL") };
        say(format_args!("{mark}  {:<width$}  {}", check.name, check.detail));
        if !check.ok && !check.remedy.is_empty() {
            say(format_args!("      {:<width$}  → {}", "", check.remedy));
        }
    }
}
