//! What is installed in the database, and all that its own doctor says.

use std::time::Duration;

use super::check::Check;
use crate::{
    config::Config,
    db::{Pool, Row, migrate},
    error::Result,
};

/// A bridge prunes once a minute, a batch at a time.
const PRUNING_TAKES: Duration = Duration::from_secs(3_600);

pub(super) async fn checks(pool: &Pool, config: &Config) -> Vec<Check> {
    match access(pool).await {
        Ok(Some(check)) => return vec![check],
        Ok(None) => {}
        Err(error) => return vec![Check::failed("access", &error, "rowcast doctor --log debug")],
    }
    if let Err(error) = migrate::check(pool).await {
        return vec![Check::failed("installation", &error, installing(pool).await)];
    }
    let mut checks = vec![Check::fine("installation", "current")];
    match told(pool).await {
        Ok(found) => checks.extend(found),
        Err(error) => {
            checks.push(Check::failed("installation", &error, "rowcast migrate --force"));
        }
    }
    let rest =
        [("bridge versions", versions(pool).await), ("retention", retention(pool, config).await)];
    for (name, found) in rest {
        checks.push(
            found.unwrap_or_else(|error| Check::failed(name, &error, "rowcast migrate --force")),
        );
    }
    checks
}

/// Whether this role may look at what is there at all; the names of others' schemas are known to everybody.
async fn access(pool: &Pool) -> Result<Option<Check>> {
    let sql = "select quote_ident(current_user), bool_and(has_schema_privilege(n.oid, 'usage')), \
        bool_and(coalesce(t.may, true)), bool_and(coalesce(f.may, true)) \
        from pg_namespace n \
        cross join lateral (select bool_and(has_table_privilege(c.oid, 'select')) as may from pg_class c \
            where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v')) t \
        cross join lateral (select bool_and(has_function_privilege(p.oid, 'execute')) as may from pg_proc p \
            where p.pronamespace = n.oid and p.proname ~ '^_?doctor') f \
        where n.nspname in ('rowcast', 'chat')";
    let row = pool.query_one(sql, &[]).await?;
    let may =
        (1..=3).map(|nth| row.try_get::<_, Option<bool>>(nth)).collect::<Result<Vec<_>, _>>()?;
    if may.iter().all(|may| may.unwrap_or(true)) {
        return Ok(None);
    }
    let role: String = row.try_get(0)?;
    let grants = [
        "usage on schema rowcast, chat",
        "select, insert, update, delete on all tables in schema rowcast, chat",
        "truncate on rowcast.changes, rowcast.checkpoints, chat.check_bookmarks",
        "usage on all sequences in schema rowcast, chat",
        "execute on all functions in schema rowcast, chat",
    ];
    let grants =
        grants.map(|right| format!("grant {right} to {role}; -- as the role that migrated"));
    let found = format!("{role} has no rights on the schemas rowcast and chat");
    Ok(Some(Check::new("access", false, found, grants.join("\n"))))
}

/// What puts the installation right.
async fn installing(pool: &Pool) -> String {
    match migrate::discrepancies(pool).await {
        Ok(found) if !found.ahead.is_empty() => {
            "rowcast --version # has to be the version that migrated this database, or a newer one"
                .to_owned()
        }
        Ok(found) if !found.edited.is_empty() => found
            .edited
            .iter()
            .map(|(version, hash)| {
                format!(
                    "update rowcast.migrations set hash = '{hash}' where version = {version}; \
                     -- if its tables are as this version's file makes them; else put the file back"
                )
            })
            .collect::<Vec<_>>()
            .join("\n"),
        _ => "rowcast migrate".to_owned(),
    }
}

/// What `rowcast.doctor()` says.
async fn told(pool: &Pool) -> Result<Vec<Check>> {
    let read = |row: &Row| -> Result<Check> {
        let (name, ok): (String, Option<bool>) = (row.try_get(0)?, row.try_get(1)?);
        let (found, remedy): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        Ok(Check::new(
            name,
            ok.unwrap_or(false),
            found.unwrap_or_default(),
            remedy.unwrap_or_default(),
        ))
    };
    let sql = "select check_name, ok, detail, remedy from rowcast.doctor()";
    pool.query(sql, &[]).await?.iter().map(read).collect()
}

async fn versions(pool: &Pool) -> Result<Check> {
    let ours = env!("CARGO_PKG_VERSION");
    let sql = "select format('%s %s', n.name, n.version), n.version = $1 from rowcast.nodes n \
        where n.seen_at > clock_timestamp() - interval '30 seconds' order by n.name";
    let rows = pool.query(sql, &[&ours]).await?;
    let mut names = Vec::new();
    let mut other = Vec::new();
    for row in &rows {
        let (name, same): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        if !same {
            other.push(name.clone());
        }
        names.push(name);
    }
    let found = if names.is_empty() { "no bridge runs".to_owned() } else { names.join("; ") };
    let remedy =
        format!("rowcast --version # {ours} here: start again with it: {}", other.join("; "));
    Ok(Check::new("bridge versions", other.is_empty(), found, remedy))
}

async fn retention(pool: &Pool, config: &Config) -> Result<Check> {
    let sql = "select coalesce(extract(epoch from clock_timestamp() - l.oldest_change_at), 0)::bigint \
        from rowcast.lag l";
    let age: i64 = pool.value(sql, &[]).await?;
    let age = Duration::from_secs(age.max(0).unsigned_abs());
    let kept = config.retention;
    Ok(Check::new(
        "retention",
        age <= kept + PRUNING_TAKES,
        format!("the oldest change is of {} minutes ago", age.as_secs() / 60),
        format!(
            "select rowcast.prune(interval '{} seconds', 1000000); -- 0: look at \"open transactions\" first",
            kept.as_secs()
        ),
    ))
}
