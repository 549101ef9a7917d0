//! What is installed, the log, and who follows it.

use super::{Patient, all_recover};
use crate::harness::Database;

#[tokio::test]
async fn what_was_broken_in_our_own_tables_is_named_and_mended() {
    all_recover(&[
        ("triggers of chat.messages", &["alter table chat.messages disable trigger user"]),
        ("triggers of chat.members", &["drop trigger _900_rowcast_update on chat.members"]),
        ("triggers of rowcast.changes", &["drop trigger ring on rowcast.changes"]),
        ("log index", &["drop index rowcast.changes_topic_xid"]),
        ("log durability", &["alter table rowcast.changes set unlogged"]),
        ("log vacuum", &["alter table rowcast.changes set (autovacuum_enabled = off)"]),
        (
            "hidden rows",
            &[
                "alter table chat.messages enable row level security",
                "alter table chat.messages force row level security",
            ],
        ),
        (
            "capture failures",
            &["insert into rowcast.failures (relation, op, sqlstate, message) values ('public.x', 'INSERT', '22P02', 'no')"],
        ),
        (
            "retention",
            &[
                "insert into rowcast.changes (topic, relation, op, at) values ('table:x', 'x', 'INSERT', now() - interval '48 hours')",
                // All that ended by then: what other tests of this cluster have open must not hold it back.
                "insert into rowcast.checkpoints (at, snapshot)
                select now() - interval '30 hours', format('%1$s:%1$s:', pg_snapshot_xmax(pg_current_snapshot()))::pg_snapshot",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_installation_that_lacks_something_is_named_and_mended() {
    let mut patient = Patient::of(Database::empty().await);
    patient.recovers_from("installation").await;
    all_recover(&[
        ("installation", &["update rowcast.migrations set hash = 'x' where version = 0"]),
        ("installation", &["update rowcast.migrations set hash = 'x' where version = 1"]),
        ("installation", &["drop function rowcast._doctor_log()"]),
    ])
    .await;
}

#[tokio::test]
async fn a_database_ahead_of_the_bridge_is_named() {
    let patient = Patient::new().await;
    let ahead = "insert into rowcast.migrations (version, name, hash, breaking) values (9999, '9999_x.sql', 'x', true)";
    patient.suffers(&[ahead]).await;
    let (ok, complaints) = patient.examined();
    assert!(!ok && complaints[0].name == "installation", "{complaints:?}");
    assert!(complaints[0].remedy[0].contains("newer one"), "{complaints:?}");
}

#[tokio::test]
async fn what_holds_others_up_is_named_and_ended() {
    let mut patient = Patient::new().await;
    patient.flags = "--open-for 1ms".to_owned();
    let client = patient.database.client().await;
    client.batch_execute("begin; select pg_current_xact_id()").await.expect("open");
    patient.recovers_from("open transactions").await;

    let mut patient = Patient::new().await;
    patient.flags = "--open-for 1ms".to_owned();
    patient
        .suffers(&["begin; select pg_current_xact_id(); prepare transaction 'forgotten in DB'"])
        .await;
    patient.recovers_from("prepared transactions").await;

    let mut patient = Patient::new().await;
    patient.flags = "--log-size 8kB".to_owned();
    let (ok, complaints) = patient.examined();
    assert!(ok && complaints[0].name == "log size", "only advice: {complaints:?}");
    patient.flags = "--log-size 1TB".to_owned();
    assert!(patient.examined().1.is_empty());
}

#[tokio::test]
async fn a_log_that_nobody_follows_is_named_and_a_bridge_follows_it() {
    let old = "insert into rowcast.changes (topic, relation, op, at) values ('table:x', 'x', 'INSERT', now() - interval '1 minute')";
    let restored = "update rowcast.state set history = '1:00000001:1:1'";
    all_recover(&[("checkpoints", &[old]), ("history", &[restored])]).await;
}

#[tokio::test]
async fn bridges_with_one_name_lost_ones_and_old_ones_are_named() {
    let mut patient = Patient::new().await;
    patient.serves().await;
    patient.serves().await;
    let (_, complaints) = patient.examined();
    assert_eq!(complaints[0].name, "bridge names", "{complaints:?}");
    // One of them starts again, with what the remedy exports.
    patient.stops().await;
    let remedy = complaints[0].remedy.clone();
    patient.takes(&remedy).await;
    patient.serves().await;
    assert!(patient.examined().1.is_empty());
    patient.stops().await;
    patient.stops().await;

    let seen = |version: &str| {
        format!(
            "select rowcast.heartbeat('22222222-2222-4222-8222-222222222222', 'b', '{version}', now(), null)"
        )
    };
    patient.suffers(&[&seen("0.0.1")]).await;
    let (ok, complaints) = patient.examined();
    assert!(ok && complaints[0].name == "bridge versions", "{complaints:?}");
    assert!(complaints[0].remedy[0].contains("b 0.0.1"), "{complaints:?}");
    // It starts again with this version.
    patient.suffers(&[&seen(env!("CARGO_PKG_VERSION"))]).await;
    assert!(patient.examined().1.is_empty());

    patient.suffers(&["update rowcast.nodes set seen_at = now() - interval '2 minutes'"]).await;
    patient.recovers_from("lost bridges").await;
}
