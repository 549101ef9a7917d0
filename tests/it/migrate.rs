//! `migrate`: any number at once, edited files, databases that are ahead, the printed form.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use rowcast::db::{Target, migrate};

use crate::harness::Database;

/// Everything installed, as the catalogs tell it.
async fn catalog(database: &Database) -> Vec<String> {
    let rows = database
        .client()
        .await
        .query(
            "select format('%s %s %s', 'function', p.oid::regprocedure, md5(p.prosrc)) from pg_proc p \
                 where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace) \
             union all select format('column %s.%s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)) \
                 from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                 where c.relnamespace in ('rowcast'::regnamespace, 'chat'::regnamespace) \
             union all select format('trigger %s %s', t.tgrelid::regclass, pg_get_triggerdef(t.oid)) from pg_trigger t \
                 where not t.tgisinternal \
             union all select format('migration %s %s', version, hash) from rowcast.migrations order by 1",
            &[],
        )
        .await
        .expect("the catalogs");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn run(target: &Target, database: &Database) -> Result<Vec<String>, String> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    migrate::run(target, database.lifecycle(), move |line| {
        heard.lock().expect("ours").push(line.to_owned());
    })
    .await
    .map_err(|error| error.to_string())?;
    let said = said.lock().expect("ours").clone();
    Ok(said)
}

#[tokio::test]
async fn twenty_at_once_install_once() {
    let database = Database::empty().await;
    let target = database.target();
    let results = join_all((0..20).map(|_| run(&target, &database))).await;
    let said: Vec<String> =
        results.into_iter().flat_map(|result| result.expect("installed")).collect();
    assert_eq!(said.iter().filter(|line| line.contains("0001_rowcast.sql")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|line| line.starts_with("replaced")).count(), 1, "{said:?}");
    assert_eq!(catalog(&database).await, catalog(&Database::new().await).await);
    migrate::check(&database.pool()).await.expect("nothing is missing");
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let database = Database::new().await;
    let before = catalog(&database).await;
    assert_eq!(
        run(&database.target(), &database).await,
        Ok(vec!["the functions are up to date".to_owned()])
    );
    assert_eq!(catalog(&database).await, before);
}

#[tokio::test]
async fn pages_that_were_jsonb_become_json_and_keep_their_rights() {
    let database = Database::new().await;
    let client = database.client().await;
    let before = catalog(&database).await;
    // `anon` is there in every cluster of tests
    client
        .batch_execute(
            "drop function chat.history_page(bigint, bigint, bigint, bigint, int); \
             create function chat.history_page(reader bigint, thread bigint, before bigint, after bigint, max int) \
                 returns jsonb language sql as 'select null::jsonb'; \
             update rowcast.installed set hash = md5('select null::jsonb') where signature like 'chat.history_page(%'; \
             revoke all on function chat.history_page from public; \
             grant execute on function chat.history_page, chat.offline_messages to anon",
        )
        .await
        .expect("as an older version left it");
    migrate::forget_functions(&database.target(), database.lifecycle()).await.expect("forgotten");
    run(&database.target(), &database).await.expect("upgraded");
    assert_eq!(catalog(&database).await, before);
    let may = client
        .query_one(
            "select has_function_privilege('anon', p.oid, 'execute'), \
                 has_function_privilege('authenticated', p.oid, 'execute'), \
                 has_function_privilege('anon', 'chat.offline_messages'::regproc, 'execute') \
             from pg_proc p where p.oid = 'chat.history_page'::regproc and p.prorettype = 'json'::regtype",
            &[],
        )
        .await
        .expect("a function that returns json");
    assert_eq!((may.get(0), may.get(1), may.get(2)), (true, false, true));
}

#[tokio::test]
async fn an_edited_migration_is_refused_by_name() {
    let database = Database::new().await;
    let client = database.client().await;
    client
        .batch_execute("update rowcast.migrations set hash = 'x' where version = 1")
        .await
        .expect("edited");
    let why = run(&database.target(), &database).await.expect_err("refused");
    assert!(why.contains("0001_rowcast.sql") && why.contains("changed after"), "{why}");
    let why = migrate::check(&database.pool()).await.expect_err("refused").to_string();
    assert!(why.contains("0001_rowcast.sql"), "{why}");
}

#[tokio::test]
async fn a_database_ahead_is_refused_when_the_step_is_breaking() {
    let database = Database::new().await;
    let client = database.client().await;
    let ahead = "insert into rowcast.migrations (version, name, hash) values (9999, '9999_future.sql', 'x')";
    client.batch_execute(ahead).await.expect("ahead");
    migrate::check(&database.pool()).await.expect("a warning only");
    client
        .batch_execute("update rowcast.migrations set breaking = true where version = 9999")
        .await
        .expect("breaking");
    for why in [
        run(&database.target(), &database).await.expect_err("refused"),
        migrate::check(&database.pool()).await.expect_err("refused").to_string(),
    ] {
        assert!(why.contains("9999_future.sql") && why.contains("update Rowcast"), "{why}");
    }
}

#[tokio::test]
async fn check_names_what_is_missing_and_the_remedy() {
    let database = Database::empty().await;
    let why = migrate::check(&database.pool()).await.expect_err("nothing there").to_string();
    assert!(why.contains("rowcast migrate"), "{why}");
    run(&database.target(), &database).await.expect("installed");
    let client = database.client().await;
    client
        .batch_execute("update rowcast.migrations set hash = 'x' where version = 0")
        .await
        .expect("older");
    let why = migrate::check(&database.pool()).await.expect_err("older functions").to_string();
    assert!(why.contains("functions") && why.contains("rowcast migrate"), "{why}");
    let said = run(&database.target(), &database).await.expect("repaired");
    assert!(said.iter().any(|line| line.starts_with("replaced")), "{said:?}");
    migrate::check(&database.pool()).await.expect("all there");
}

#[tokio::test]
async fn the_printed_form_installs_the_same_and_runs_twice() {
    let database = Database::empty().await;
    let client = database.client().await;
    let sql = migrate::print().expect("SQL");
    for _ in 0..2 {
        client.batch_execute(&sql).await.expect("installed");
    }
    assert_eq!(catalog(&database).await, catalog(&Database::new().await).await);
    migrate::check(&database.pool()).await.expect("nothing is missing");
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_run() {
    let database = Database::empty().await;
    let superuser = database.superuser().await;
    let name = format!("guest_of_{}", database.url().rsplit_once('/').expect("a name").1);
    superuser
        .batch_execute(&format!("create role {name} login password 'x'"))
        .await
        .expect("a role");
    let (_, server) =
        database.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL");
    let url = rowcast::config::Secret::new(format!("postgres://{name}:x@{server}"));
    let target = Target::parse(&url).expect("a URL");
    let why = run(&target, &database).await.expect_err("no right");
    assert!(why.contains("grant create on database"), "{why}");
    run(&database.target(), &database).await.expect("installed by the owner");
    let why = run(&target, &database).await.expect_err("not the owner");
    assert!(why.contains("belongs to `rowcast_dev`"), "{why}");
}

#[tokio::test]
async fn without_the_right_to_make_roles_all_else_is_installed_and_a_note_says_so() {
    let database = Database::empty().await;
    let superuser = database.superuser().await;
    let database_name = database.url().rsplit_once('/').expect("a name").1.to_owned();
    let name = format!("plain_of_{database_name}");
    let sql = format!(
        "create role {name} login password 'x'; grant create on database {database_name} to {name}"
    );
    superuser.batch_execute(&sql).await.expect("a role");
    let (_, server) =
        database.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL");
    let url = rowcast::config::Secret::new(format!("postgres://{name}:x@{server}"));
    let target = Target::parse(&url).expect("a URL");
    let said = run(&target, &database).await.expect("installed");
    assert!(said.iter().any(|line| line.contains("grant anon to")), "{said:?}");
    superuser.batch_execute(&format!("set role {name}")).await.expect("the role");
    let sql = "select check_name from rowcast.doctor() where not ok order by 1";
    let failed = superuser.query(sql, &[]).await.expect("the doctor");
    let failed: Vec<String> = failed.iter().map(|row| row.get(0)).collect();
    assert_eq!(failed, ["role anon", "role authenticated", "role service_role"]);
}
