//! The pool: deadlines, errors that SQL raises, connections that die or are left busy.

use std::time::Duration;

use rowcast::{
    cursor::Snapshot,
    db::{
        Pool,
        types::{Micros, Xid},
    },
    error::Kind,
};

use crate::harness::Database;

#[tokio::test]
async fn types_agree_with_the_database() {
    let database = Database::empty().await;
    let pool = database.pool();
    let row = pool
        .query_one(
            "select '10:20:10,15'::pg_snapshot, '18446744073709551615'::xid8, \
                 '2026-11-20T10:00:00.123456Z'::timestamptz, pg_current_snapshot(), \
                 $1::pg_snapshot::text, $2::xid8::text, $3::timestamptz::text",
            &[&Snapshot::parse("3:9:4,8").expect("legal"), &Xid(7), &Micros(1_000_001)],
        )
        .await
        .expect("a row");
    assert_eq!(row.get::<_, Snapshot>(0).to_string(), "10:20:10,15");
    assert_eq!(row.get::<_, Xid>(1), Xid(u64::MAX));
    assert_eq!(row.get::<_, Micros>(2), Micros(1_795_168_800_123_456));
    let _: Snapshot = row.get(3);
    assert_eq!(row.get::<_, &str>(4), "3:9:4,8");
    assert_eq!(row.get::<_, &str>(5), "7");
    assert_eq!(row.get::<_, &str>(6), "1970-01-01 00:00:01.000001+00");
}

#[tokio::test]
async fn an_error_made_for_the_client_keeps_its_message_and_any_other_does_not() {
    let database = Database::empty().await;
    let pool = database.pool();
    database
        .client()
        .await
        .batch_execute(
            "create function public.fail(code text) returns void language plpgsql as \
            $$begin raise exception 'It is %', code using errcode = code; end$$",
        )
        .await
        .expect("a function");
    for (code, kind) in
        [("RC400", Kind::Malformed), ("RC403", Kind::Forbidden), ("RC429", Kind::TooMany)]
    {
        let error = pool.query("select public.fail($1)", &[&code]).await.expect_err("raised");
        assert_eq!((error.kind, error.message.as_ref()), (kind, format!("It is {code}").as_str()));
    }
    let error = pool.query("select public.fail('22023')", &[]).await.expect_err("raised");
    assert_eq!(error.kind, Kind::Internal);
    assert!(!error.message.contains("22023"));
    assert_eq!(pool.status().size, 1, "an error leaves the connection good");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_its_work_is_cancelled() {
    let database = Database::empty().await;
    let pool = Pool::new(&database.target(), 1, Duration::from_millis(300), database.lifecycle());
    let error = pool.query("select pg_sleep(60)", &[]).await.expect_err("too long");
    assert_eq!(error.kind, Kind::Unavailable);
    let one: i32 = pool.value("select 1", &[]).await.expect("a fresh connection");
    assert_eq!(one, 1);

    let lease = pool.raw().await.expect("the only connection");
    let error = pool.query("select 1", &[]).await.expect_err("none is free");
    assert_eq!(error.kind, Kind::Unavailable);
    lease.done();
    assert!(pool.query("select 1", &[]).await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_given_up_never_hands_its_connection_on() {
    let database = Database::empty().await;
    let pool = Pool::new(&database.target(), 1, Duration::from_secs(30), database.lifecycle());
    let sleeping =
        tokio::time::timeout(Duration::from_millis(100), pool.query("select pg_sleep(60)", &[]));
    assert!(sleeping.await.is_err());
    let started = tokio::time::Instant::now();
    let _: i32 = pool.value("select 1", &[]).await.expect("another connection");
    assert!(started.elapsed() < Duration::from_secs(20));
    let running = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active' and datname = current_database()";
    for _ in 0..100 {
        if pool.value::<i64>(running, &[]).await.expect("a count") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the statement was not cancelled");
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_without_anybody_noticing() {
    let database = Database::empty().await;
    let pool = database.pool();
    let pid: i32 = pool.value("select pg_backend_pid()", &[]).await.expect("a pid");
    let client = database.client().await;
    client.execute("select pg_terminate_backend($1)", &[&pid]).await.expect("killed");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other: i32 = pool.value("select pg_backend_pid()", &[]).await.expect("another");
    assert_ne!(pid, other);
}

#[tokio::test]
async fn a_plan_that_a_migration_outdated_is_prepared_again() {
    let database = Database::empty().await;
    let pool = database.pool();
    let client = database.client().await;
    client.batch_execute("create table public.t as select 1 as a").await.expect("a table");
    let sql = "select * from public.t";
    assert_eq!(pool.query_one(sql, &[]).await.expect("a row").len(), 1);
    client.batch_execute("alter table public.t add b text").await.expect("altered");
    assert_eq!(pool.query_one(sql, &[]).await.expect("a row").len(), 2);
}
