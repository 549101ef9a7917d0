//! Installs and upgrades the SQL in the database: tables once and in order, functions and rights whenever they changed.

mod files;
mod mending;

use std::fmt::Write as _;

use tokio_postgres::{Client, types::Type};

use self::files::{Migration, functions, hash_of_all, migrations, text};
pub use self::mending::{discrepancies, forget_functions};
use super::{Pool, Target};
use crate::{
    error::{Error, Kind, Result},
    lifecycle::Lifecycle,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The row of `rowcast.migrations` that stands for all functions and rights; files start at 1.
const FUNCTIONS: i32 = 0;
/// Taken in each transaction: works through poolers, and others wait. `sql/bootstrap.sql` lists all such locks.
const LOCK: &str = "select pg_advisory_xact_lock(1919907683, 3)";
/// A role's own time-outs and search path are not for us.
const SETTINGS: &str = "set local statement_timeout = 0; set local search_path = pg_catalog; set local client_min_messages = warning; set local check_function_bodies = off";

/// A row of `rowcast.migrations`.
struct Applied {
    version: i32,
    name: String,
    hash: String,
    breaking: bool,
}

/// Applies what is missing; `report` hears a sentence for each step. Any number may run at once.
///
/// No statement has a name: behind a pooler the next message may go to another connection of the server's.
pub async fn run(
    target: &Target,
    lifecycle: &Lifecycle,
    mut report: impl FnMut(&str) + Send,
) -> Result<()> {
    let mut client = target.client(lifecycle).await?;
    refuse_without_rights(&client).await?;
    let migrations = migrations()?;
    apply(&mut client, "sql/bootstrap.sql", &text("bootstrap.sql")?).await?;
    for migration in &migrations {
        if apply_once(&mut client, &migrations, migration).await? {
            report(&format!("applied {}", migration.file));
        }
    }
    match apply_functions(&mut client).await? {
        0 => report("the functions are up to date"),
        count => report(&format!("replaced the functions and rights of {count} files")),
    }
    for note in own(&client).await?.into_iter().chain(install_realtime(&mut client).await?) {
        report(&note);
    }
    Ok(())
}

/// Returns everything as plain SQL, in one transaction and safe to run again; `psql -v ON_ERROR_STOP=1` takes it.
pub fn print() -> Result<String> {
    let mut out = format!(
        "-- Rowcast {VERSION}: tables, functions and rights, as `rowcast migrate` installs them.\n\
         -- Run it as the role that shall own them: psql -v ON_ERROR_STOP=1 -f this-file.sql\n\n\
         begin;\n{SETTINGS};\n{LOCK};\n\n{}\n",
        text("bootstrap.sql")?
    );
    for Migration { version, file, sql, hash, breaking } in migrations()? {
        let _ = write!(
            out,
            "do $rowcast$\nbegin\nif not exists (select from rowcast.migrations where version = {version}) then\n\
             insert into rowcast.migrations (version, name, hash, breaking) values ({version}, '{file}', '{hash}', {breaking});\n\
             execute $rowcast_{version}$\n{sql}\n$rowcast_{version}$;\nend if;\nend\n$rowcast$;\n\n"
        );
    }
    let functions = functions()?;
    for (name, sql) in &functions {
        let _ = write!(out, "-- {name}\n\n{sql}\n");
    }
    let _ = write!(
        out,
        "insert into rowcast.migrations (version, name, hash) values ({FUNCTIONS}, 'functions of {VERSION}', '{}')\n\
         on conflict (version) do update set name = excluded.name, hash = excluded.hash, applied_at = clock_timestamp();\n\n\
         select rowcast.install_realtime();\n\n\
         commit;\n",
        hash_of_all(&functions)
    );
    Ok(out)
}

/// The data that `rowcast dev` starts with, as SQL.
pub fn demo() -> Result<String> {
    text("demo.sql")
}

/// Says what a bridge of this version misses in the database; the answer to all of it is `rowcast migrate`.
pub async fn check(pool: &Pool) -> Result<()> {
    let found: bool =
        pool.value("select to_regclass('rowcast.migrations') is not null", &[]).await?;
    if !found {
        return Err(conflict("Rowcast is not installed in this database; run `rowcast migrate`"));
    }
    let rows = pool.query(LIST, &[]).await?;
    let applied = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let migrations = migrations()?;
    compare(&migrations, &applied)?;
    let missing: Vec<&str> = migrations
        .iter()
        .filter(|ours| applied.iter().all(|row| row.version != ours.version))
        .map(|ours| ours.file.as_str())
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(conflict(format!("The database lacks {missing}; run `rowcast migrate`")));
    }
    let known = applied.iter().find(|row| row.version == FUNCTIONS);
    let theirs = known.map(|row| row.name.trim_start_matches("functions of ")).unwrap_or_default();
    if known.is_none_or(|row| row.hash != hash_of_all(&functions().unwrap_or_default())) {
        if numbers(theirs) > numbers(VERSION) {
            tracing::warn!("the database has the functions of {theirs}, this is {VERSION}");
        } else {
            return Err(conflict(
                "The functions in the database are not those of this version; run `rowcast migrate`",
            ));
        }
    }
    let gone: Option<String> = pool
        .value(
            "select string_agg(signature, ', ') from rowcast.replaced where state = 'missing'",
            &[],
        )
        .await?;
    match gone {
        Some(gone) => Err(conflict(format!("The database lacks {gone}; run `rowcast migrate`"))),
        None => Ok(()),
    }
}

const LIST: &str = "select version, name, hash, breaking from rowcast.migrations order by version";

fn read(row: &tokio_postgres::Row) -> Result<Applied> {
    Ok(Applied {
        version: row.try_get(0)?,
        name: row.try_get(1)?,
        hash: row.try_get(2)?,
        breaking: row.try_get(3)?,
    })
}

/// Refuses an edited file, and a database that is ahead in a way that we cannot live with.
fn compare(ours: &[Migration], applied: &[Applied]) -> Result<()> {
    let newest = ours.iter().map(|migration| migration.version).max().unwrap_or(FUNCTIONS);
    for row in applied.iter().filter(|row| row.version != FUNCTIONS) {
        match ours.iter().find(|migration| migration.version == row.version) {
            Some(migration) if migration.hash != row.hash => {
                return Err(conflict(format!(
                    "sql/migrations/{} was changed after it was applied; put it back and write a new file instead",
                    migration.file
                )));
            }
            None if row.version > newest && row.breaking => {
                return Err(conflict(format!(
                    "The database is ahead: {} is marked breaking, and this version ({VERSION}) does not know it; update Rowcast",
                    row.name
                )));
            }
            None => tracing::warn!("the database is ahead of {VERSION}: it has {}", row.name),
            Some(_) => {}
        }
    }
    Ok(())
}

async fn refuse_without_rights(client: &Client) -> Result<()> {
    let row = client
        .query_typed_one(
            "select current_user::text, current_database()::text, \
                 pg_catalog.has_database_privilege(current_database(), 'create'), \
                 (select pg_catalog.pg_get_userbyid(nspowner)::text from pg_catalog.pg_namespace \
                     where nspname = 'rowcast'), \
                 (select pg_catalog.pg_has_role(nspowner, 'usage') from pg_catalog.pg_namespace \
                     where nspname = 'rowcast'), \
                 current_setting('server_version_num')::int",
            &[],
        )
        .await?;
    let (user, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let (may_create, owner): (bool, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    let is_owner: Option<bool> = row.try_get(4)?;
    if row.try_get::<_, i32>(5)? < 130_000 {
        return Err(conflict("Rowcast needs PostgreSQL 13 or newer"));
    }
    match (owner, is_owner) {
        (None, _) if !may_create => Err(Error::forbidden(format!(
            "Role `{user}` may not create schemas in database `{database}`; \
             let its owner run: grant create on database \"{database}\" to \"{user}\""
        ))),
        (Some(owner), Some(false)) => Err(Error::forbidden(format!(
            "Schema `rowcast` belongs to `{owner}`, and `{user}` is no member of it; run `rowcast migrate` as `{owner}`"
        ))),
        _ => Ok(()),
    }
}

async fn apply(client: &mut Client, file: &str, sql: &str) -> Result<()> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute(sql).await.map_err(|error| explain(file, sql, error))?;
    Ok(transaction.commit().await?)
}

/// Applies a migration unless somebody has; its row comes first, so that a race is lost before anything happens.
async fn apply_once(client: &mut Client, all: &[Migration], this: &Migration) -> Result<bool> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(LOCK).await?;
    let rows = transaction.query_typed(LIST, &[]).await?;
    let applied = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    compare(all, &applied)?;
    if applied.iter().any(|row| row.version == this.version) {
        return Ok(false);
    }
    transaction
        .execute_typed(
            "insert into rowcast.migrations (version, name, hash, breaking) values ($1, $2, $3, $4)",
            &[
                (&this.version, Type::INT4),
                (&this.file, Type::TEXT),
                (&this.hash, Type::TEXT),
                (&this.breaking, Type::BOOL),
            ],
        )
        .await?;
    let file = format!("sql/migrations/{}", this.file);
    transaction.batch_execute(&this.sql).await.map_err(|error| explain(&file, &this.sql, error))?;
    transaction.commit().await?;
    Ok(true)
}

/// Applies all functions and rights when any of them differs from what was applied last; returns how many files.
async fn apply_functions(client: &mut Client) -> Result<usize> {
    let functions = functions()?;
    let hash = hash_of_all(&functions);
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(LOCK).await?;
    let known = transaction
        .query_typed_opt(
            "select hash, exists (select from rowcast.installed \
                 where pg_catalog.to_regprocedure(signature) is null) \
             from rowcast.migrations where version = $1",
            &[(&FUNCTIONS, Type::INT4)],
        )
        .await?;
    if let Some(row) = known {
        let (known, lacking): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        if known == hash && !lacking {
            return Ok(0);
        }
    }
    for (file, sql) in &functions {
        transaction.batch_execute(sql).await.map_err(|error| explain(file, sql, error))?;
    }
    transaction
        .execute_typed(
            "insert into rowcast.migrations (version, name, hash) values ($1, $2, $3) \
             on conflict (version) do update \
             set name = excluded.name, hash = excluded.hash, applied_at = clock_timestamp()",
            &[
                (&FUNCTIONS, Type::INT4),
                (&format!("functions of {VERSION}"), Type::TEXT),
                (&hash, Type::TEXT),
            ],
        )
        .await?;
    transaction.commit().await?;
    Ok(functions.len())
}

/// What a team has in the place of ours, a sentence each.
async fn own(client: &Client) -> Result<Vec<String>> {
    let sql = "select pg_catalog.format('kept your own %s', signature) from rowcast.replaced where state = 'replaced' \
        union all select pg_catalog.format('%s %s; `rowcast doctor` says what to do', relation, problem) from rowcast.misfits() \
        order by 1";
    client.query_typed(sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Makes what is missing for the `supabase` dialect, every time: rights may have been given since.
async fn install_realtime(client: &mut Client) -> Result<Vec<String>> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(LOCK).await?;
    let rows = transaction.query_typed("select rowcast.install_realtime()", &[]).await?;
    let notes = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<_>>>()?;
    transaction.commit().await?;
    Ok(notes)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn conflict(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Conflict, message)
}

/// Names the file and the line that an error of the database is about.
fn explain(file: &str, sql: &str, error: tokio_postgres::Error) -> Error {
    use tokio_postgres::error::ErrorPosition;
    let Some(raised) = error.as_db_error() else { return error.into() };
    let line = match raised.position() {
        Some(ErrorPosition::Original(at)) => {
            let before = sql.chars().take(*at as usize).filter(|&char| char == '\n').count();
            format!(" line {}", before + 1)
        }
        _ => String::new(),
    };
    conflict(format!("{file}{line}: {} ({})", raised.message(), raised.code().code()))
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(version: i32, hash: &str) -> Migration {
        let (file, sql) = (format!("{version:04}_x.sql"), String::new());
        Migration { version, file, sql, hash: hash.to_owned(), breaking: false }
    }

    fn row(version: i32, hash: &str, breaking: bool) -> Applied {
        Applied { version, name: format!("{version:04}_x.sql"), hash: hash.to_owned(), breaking }
    }

    #[test]
    fn an_edited_file_and_a_breaking_step_ahead_are_refused() {
        let files = [ours(1, "a"), ours(2, "b")];
        assert!(compare(&files, &[row(0, "f", false), row(1, "a", true)]).is_ok());
        let edited = compare(&files, &[row(1, "other", false)]).expect_err("edited");
        assert!(edited.message.contains("0001_x.sql"), "{edited}");
        assert!(compare(&files, &[row(3, "c", false)]).is_ok());
        let ahead = compare(&files, &[row(3, "c", true)]).expect_err("breaking");
        assert!(ahead.message.contains("0003_x.sql"), "{ahead}");
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("0.10.0") > numbers("0.9.3"));
        assert!(numbers("") < numbers(VERSION));
    }

    #[test]
    fn every_file_is_inside_and_in_order() {
        let versions: Vec<i32> =
            migrations().expect("files").iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=versions.len() as i32).collect::<Vec<_>>());
        assert!(print().expect("SQL").ends_with("commit;\n"));
    }
}
