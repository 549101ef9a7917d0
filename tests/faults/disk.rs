//! A full disk: the writer gets Postgres's own error, what was committed comes, and with room again all goes on.

use std::{fs, os::unix::fs::PermissionsExt};

use tokio_postgres::error::SqlState;

use super::report::Report;
use crate::{
    faults::{PAIR, messages, open, say, writer::SmallDisk},
    history::{Totals, ground::Ground},
};

/// Of 1,500 bytes each; two megabytes hold fewer.
const MANY: usize = 5_000;

pub(super) async fn play(report: &mut Report) {
    let Some(disk) = SmallDisk::mount() else {
        return report.skip("a full disk", "a small file system cannot be mounted here");
    };
    let ground = Ground::start(PAIR, &[]).await;
    let (mut socket, _) = open(&ground, 1, None).await;
    let (client, superuser) = (ground.client().await, ground.superuser().await);
    let role = "select current_user::text";
    let role: String = client.query_one(role, &[]).await.expect("a role").get(0);
    let location = disk.0.join("messages");
    fs::create_dir(&location).expect("a folder");
    fs::set_permissions(&location, fs::Permissions::from_mode(0o777)).expect("open");
    ground.postgres.own(&location);
    let place = location.display();
    superuser
        .batch_execute(&format!("create tablespace tight owner {role} location '{place}'"))
        .await
        .expect("a tablespace");
    client.batch_execute("alter table chat.messages set tablespace tight").await.expect("moved");

    let mut said = Vec::new();
    let error = loop {
        let content = format!("{}|{}", said.len(), "x".repeat(1_500));
        match client.batch_execute(&say(&content)).await {
            Ok(()) => said.push(content),
            Err(error) => break error,
        }
        assert!(said.len() < MANY, "two megabytes are not to be filled");
    };
    assert_eq!(error.code(), Some(&SqlState::DISK_FULL), "{error}");
    client
        .batch_execute("alter table chat.messages set tablespace pg_default")
        .await
        .expect("room");
    client.batch_execute(&say("room again")).await.expect("written");
    said.push("room again".to_owned());
    assert!(messages(&mut socket, said.len()).await.0 == said);
    let failures = "select count(*) from rowcast.failures";
    assert_eq!(client.query_one(failures, &[]).await.expect("none").get::<_, i64>(0), 0);
    let totals =
        Totals { changes: said.len(), clients: 1, deliveries: said.len(), ..Totals::default() };
    report.add("a full disk", totals, 1, "disk full 1");
}
