//! The writer never pays: its transaction commits whatever has become of us, and the doctor says what is wrong.

use std::{path::PathBuf, process::Command, time::Duration};

use tokio::time::timeout;
use tokio_postgres::Client;

use super::{PAIR, messages, open, say};
use crate::{harness::Database, history::ground::Ground};

/// A database with the pair in it, and no bridge.
async fn pair() -> (Database, Client) {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(PAIR).await.expect("done");
    (database, client)
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(&format!("select count(*) from {sql}"), &[]).await.expect(sql).get(0)
}

/// What the doctor calls wrong, with the remedy.
async fn complaints(client: &Client) -> Vec<(String, String)> {
    let sql = "select check_name, coalesce(detail, '') || ' → ' || coalesce(remedy, '') \
        from rowcast.doctor() where not ok";
    let rows = client.query(sql, &[]).await.expect("done");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn complains_of(client: &Client, check: &str, word: &str) {
    let complaints = complaints(client).await;
    let found = complaints.iter().find(|(name, _)| name == check);
    assert!(found.is_some_and(|(_, words)| words.contains(word)), "{check}: {complaints:?}");
}

#[tokio::test]
async fn a_stopped_bridge_holds_no_writer_up_and_delivers_when_it_is_back() {
    let ground = Ground::start(PAIR, &[]).await;
    let (_, cursor) = open(&ground, 1, None).await;
    let client = ground.client().await;
    let quick = Duration::from_secs(20);
    ground.bridge.freeze(true).await;
    timeout(quick, client.batch_execute(&say("to one that sleeps"))).await.expect("done").unwrap();
    ground.bridge.freeze(false).await;
    ground.bridge.kill().await;
    timeout(quick, client.batch_execute(&say("to nobody"))).await.expect("done").unwrap();
    ground.bridge.run().await;
    let (mut socket, _) = open(&ground, 1, Some(&cursor)).await;
    assert_eq!(messages(&mut socket, 2).await.0, ["to one that sleeps", "to nobody"]);
}

#[tokio::test]
async fn a_row_of_a_megabyte_is_committed_and_delivered() {
    let ground = Ground::start(PAIR, &[]).await;
    let (mut socket, cursor) = open(&ground, 1, None).await;
    let large = "x".repeat(1 << 20);
    ground.sql(&say(&large)).await;
    assert_eq!(messages(&mut socket, 1).await.0, std::slice::from_ref(&large));
    let (mut late, _) = open(&ground, 1, Some(&cursor)).await;
    assert_eq!(messages(&mut late, 1).await.0, [large]);
}

#[tokio::test]
async fn a_capture_that_raises_is_counted_and_named() {
    let (_database, client) = pair().await;
    client
        .batch_execute(
            "create or replace function chat._member_record(bigint, bigint, bigint, bigint)
             returns jsonb language plpgsql stable as $$ begin raise exception 'broken here'; end $$",
        )
        .await
        .unwrap_err();
    client
        .batch_execute(
            "drop function chat._member_record(bigint, bigint, bigint, bigint);
             create function chat._member_record(bigint, bigint, bigint, bigint)
             returns jsonb language plpgsql stable as $$ begin raise exception 'broken here'; end $$;
             delete from chat.members where user_id = 2",
        )
        .await
        .expect("done");
    assert_eq!(count(&client, "chat.members where user_id = 2").await, 0);
    assert_eq!(count(&client, "rowcast.failures where relation = 'chat.members'").await, 1);
    complains_of(&client, "capture failures", "broken here").await;
}

#[tokio::test]
async fn a_watched_table_that_lost_a_column_goes_on_and_is_named() {
    let (_database, client) = pair().await;
    client
        .batch_execute(
            "create schema todo;
             create table todo.items (id int primary key, title text, note text);
             select rowcast.watch('todo.items', columns => array['id', 'title', 'note']);
             insert into todo.items values (1, 'whole', 'yes');
             alter table todo.items drop column note;
             insert into todo.items values (2, 'less');
             update todo.items set title = 'least' where id = 1;
             delete from todo.items where id = 1",
        )
        .await
        .expect("done");
    assert_eq!(count(&client, "todo.items").await, 1);
    assert_eq!(count(&client, "rowcast.changes where topic = 'table:todo.items'").await, 1);
    assert_eq!(count(&client, "rowcast.failures where relation = 'todo.items'").await, 3);
    complains_of(&client, "watched table todo.items", "a column it names is gone").await;
    complains_of(&client, "capture failures", "note").await;
}

#[tokio::test]
async fn a_log_that_takes_nothing_takes_no_writer_down() {
    let (_database, client) = pair().await;
    client
        .batch_execute("alter table rowcast.changes add constraint full_up check (false) not valid")
        .await
        .expect("done");
    client.batch_execute(&say("all the same")).await.expect("done");
    assert_eq!(count(&client, "chat.messages").await, 1);
    assert_eq!(count(&client, "rowcast.failures where relation = 'chat.messages'").await, 1);
    complains_of(&client, "capture failures", "full_up").await;

    // Even when the failure itself cannot be kept.
    client.batch_execute("alter table rowcast.failures rename to elsewhere").await.expect("done");
    client.batch_execute(&say("and again")).await.expect("done");
    assert_eq!(count(&client, "chat.messages").await, 2);
}

/// A file system of two megabytes, where this may be had; unmounted with the value.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    pub(crate) fn mount() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("rowcast-small-{}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=1777", "tmpfs"])
            .arg(&folder)
            .output();
        let disk = Self(folder);
        mounted.is_ok_and(|output| output.status.success()).then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_full_disk_under_the_log_fails_no_writer_and_heals() {
    let Some(disk) = SmallDisk::mount() else { return };
    let ground = Ground::start(PAIR, &[]).await;
    let (mut socket, _) = open(&ground, 1, None).await;
    let (client, superuser) = (ground.client().await, ground.superuser().await);
    let role: String =
        client.query_one("select current_user::text", &[]).await.expect("done").get(0);
    let location = disk.0.join("space");
    std::fs::create_dir(&location).expect("done");
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&location, open_to_all).expect("done");
    ground.postgres.own(&location);
    superuser
        .batch_execute(&format!(
            "create tablespace small owner {role} location '{}'",
            location.display()
        ))
        .await
        .expect("done");
    client.batch_execute("alter table rowcast.changes set tablespace small").await.expect("done");

    let mut written = 0;
    while count(&client, "rowcast.failures").await == 0 {
        client.batch_execute(&say("x".repeat(1_500))).await.expect("done");
        written += 1;
        assert!(written < 10_000, "two megabytes are not to be filled");
    }
    assert_eq!(count(&client, "chat.messages").await, written);
    complains_of(&client, "capture failures", "No space left").await;

    client
        .batch_execute("alter table rowcast.changes set tablespace pg_default")
        .await
        .expect("done");
    // The client hears that one is missing, and is live after that.
    socket.until("resync_required").await;
    client.batch_execute(&say("room again")).await.expect("done");
    loop {
        let frame = socket.next().await;
        if frame["type"] == "resync_required" {
            // It was slow, too, and what it should read in the log is not all there: it begins after this.
            client.batch_execute(&say("room again")).await.expect("done");
        }
        if frame["data"]["content"] == "room again" {
            break;
        }
    }
}
