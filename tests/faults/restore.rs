//! Restore from a dump, into a database of the same name under a running bridge: nothing goes on silently.

use std::{process::Command, time::Duration};

use super::{failover::ask, report::Report};
use crate::{
    faults::{PAIR, messages, open, say},
    history::{
        Totals,
        ground::{Ground, program, until},
    },
};

const CLIENTS: usize = 4;

pub(super) async fn play(report: &mut Report) {
    let ground = Ground::start(PAIR, &[]).await;
    let (Some(dump), Some(restore)) =
        (program(&ground.postgres, "pg_dump"), program(&ground.postgres, "pg_restore"))
    else {
        return report.skip("restore from dump", "pg_dump is not installed");
    };
    let mut live = Vec::new();
    for _ in 0..CLIENTS {
        live.push(open(&ground, 1, None).await.0);
    }
    let (_, away) = open(&ground, 2, None).await;
    ground.sql(&say("in the dump")).await;
    let superuser = ground.postgres.superuser_url();
    let (server, _) = superuser.reveal().rsplit_once('/').expect("a database");
    let url = format!("{server}/rowcast");
    let home = tempfile::tempdir().expect("a folder");
    ground.postgres.own(home.path());
    let file = home.path().join("dump");
    run(dump, &["-Fc", "-d", &url, "-f", file.to_str().expect("a path")]).await;
    ground.sql(&say("after the dump")).await;
    for socket in &mut live {
        assert_eq!(messages(socket, 2).await.0, ["in the dump", "after the dump"]);
    }

    let admin = ground.superuser().await;
    let owner = "select pg_get_userbyid(datdba)::text from pg_database where datname = 'rowcast'";
    let owner: String = admin.query_one(owner, &[]).await.expect("an owner").get(0);
    // As an administrator does it: into a fresh database, which then takes the name.
    admin
        .batch_execute(&format!("create database restored owner {owner} template template0"))
        .await
        .expect("created");
    let fresh = format!("{server}/restored");
    run(restore, &["-d", &fresh, file.to_str().expect("a path")]).await;
    loop {
        // The bridge comes back at once, until there is nothing to come back to.
        let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'rowcast'";
        admin.query_one(ended, &[]).await.expect("ended");
        if admin.batch_execute("alter database rowcast rename to old").await.is_ok() {
            break;
        }
    }
    admin.batch_execute("alter database restored rename to rowcast").await.expect("renamed");

    for socket in &mut live {
        socket.until("resync_required").await;
    }
    until("ready", Duration::from_secs(60), || async { ground.bridge.ready().await == Some(200) })
        .await;
    ground.sql(&say("after the restore")).await;
    for socket in &mut live {
        assert_eq!(messages(socket, 1).await.0, ["after the restore"]);
    }
    let (mut back, _) = open(&ground, 2, Some(&away)).await;
    back.until("resync_required").await;
    let (status, body) = ask(&ground, &format!("cursor={away}")).await;
    assert_eq!(status, 409, "{body}");
    let totals =
        Totals { changes: 3, clients: CLIENTS + 2, deliveries: 3 * CLIENTS, ..Totals::default() };
    report.add("restore from a dump", totals, 1, "restore 1");
}

async fn run(mut command: Command, arguments: &[&str]) {
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("an end");
    let output = output.expect("a program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
