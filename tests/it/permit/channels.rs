//! Private channels: what the policies of realtime.messages allow, found out without a trace.

use std::time::Duration;

use rowcast::{
    db::Pool,
    session::{Permit, permit::Rights},
};
use serde_json::json;

use super::{start, subject, user};
use crate::harness::Database;

const POLICIES: &str = "
    create policy hear on realtime.messages for select to authenticated
        using (realtime.topic() like 'room:%' and extension in ('broadcast', 'presence'));
    create policy hear_others on realtime.messages for select to authenticated
        using (realtime.topic() = 'lobby' and extension = 'presence');
    create policy speak on realtime.messages for insert to authenticated
        with check (realtime.topic() = 'room:' || (auth.jwt() ->> 'room') and extension = 'broadcast');
    create policy broken on realtime.messages for select to anon using ((auth.jwt() ->> 'n')::int = 1);";

#[tokio::test]
async fn policies_say_who_hears_and_who_speaks() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(POLICIES).await.expect("policies");
    let ada = subject("authenticated", json!({ "sub": "not a uuid", "room": "1" }));
    let read = async |channel: &str, presence| {
        permit.may_read(&ada, channel, "{}", presence).await.expect("asked")
    };
    assert_eq!(read("room:1", true).await, Rights { broadcast: true, presence: true });
    assert_eq!(read("room:1", false).await, Rights { broadcast: true, presence: false });
    assert_eq!(read("lobby", true).await, Rights { broadcast: false, presence: true });
    assert_eq!(read("elsewhere'; --", true).await, Rights::default());
    let write = async |channel: &str, extension: &str| {
        permit.may_write(&ada, channel, "{}", extension).await.expect("asked")
    };
    assert!(write("room:1", "broadcast").await);
    assert!(!write("room:1", "presence").await && !write("room:2", "broadcast").await);

    let broken = subject("anon", json!({ "n": "x" }));
    let error = permit.may_read(&broken, "room:1", "{}", false).await.expect_err("broken");
    assert!(error.message.contains("22P02"), "{error}");
    for role in ["none", "rowcast_dev", "nobody"] {
        let who = subject(role, json!({}));
        assert!(permit.may_read(&who, "room:1", "{}", true).await.is_err(), "{role}");
        assert!(permit.may_write(&who, "room:1", "{}", "broadcast").await.is_err(), "{role}");
    }
    let left =
        "select (select count(*) from realtime.messages) + (select count(*) from rowcast.changes)";
    assert_eq!(client.query_one(left, &[]).await.expect("counted").get::<_, i64>(0), 0);
}

#[tokio::test]
async fn without_policies_nobody_hears_and_rights_do_not_stay_behind() {
    let database = Database::new().await;
    // The permit's only connection is the one that is looked at afterwards.
    let pool = Pool::new(&database.target(), 1, Duration::from_secs(30), database.lifecycle());
    let permit = Permit::start(pool.clone(), database.lifecycle());
    let before: i32 = pool.value("select pg_backend_pid()", &[]).await.expect("asked");
    for _ in 0..8 {
        let rights = permit.may_read(&user("a"), "room:1", "{}", true).await.expect("asked");
        assert_eq!(rights, Rights::default());
        assert!(!permit.may_write(&user("a"), "room:1", "{}", "broadcast").await.expect("asked"));
    }
    let who: String = pool.value("select current_user::text", &[]).await.expect("asked");
    let claims: Option<String> = pool
        .value("select nullif(current_setting('request.jwt.claims', true), '')", &[])
        .await
        .expect("asked");
    let after: i32 = pool.value("select pg_backend_pid()", &[]).await.expect("asked");
    assert_eq!((who.as_str(), claims, after), ("rowcast_dev", None, before));
}
