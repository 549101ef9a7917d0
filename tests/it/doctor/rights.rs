//! Rights that the bridge lacks, rights that others should not have, settings of a role or database.

use super::{Patient, all_recover};

/// A bridge with a role of its own, which `grants` gives rights to.
async fn with_role_of_its_own(attributes: &str, grants: &[&str]) -> Patient {
    let mut patient = Patient::new().await;
    let role = format!("bridge_of_{}", patient.name());
    let create = format!("superuser:create role {role} login {attributes} password 'x'");
    patient.suffers(&[&create]).await;
    for grant in grants {
        patient.suffers(&[&format!("superuser:{}", grant.replace("ROLE", &role))]).await;
    }
    let (_, server) = patient
        .database
        .url()
        .split_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a URL");
    patient.types(&format!("export DATABASE_URL='postgres://{role}:x@{server}'"));
    patient
}

const RIGHTS: [&str; 5] = [
    "grant usage on schema rowcast, chat to ROLE",
    "grant select, insert, update, delete on all tables in schema rowcast, chat to ROLE",
    "grant usage on all sequences in schema rowcast, chat to ROLE",
    "grant execute on all functions in schema rowcast, chat to ROLE",
    "grant anon, authenticated, service_role to ROLE",
];

#[tokio::test]
async fn a_role_without_rights_is_told_which_and_gets_them() {
    with_role_of_its_own("", &[]).await.recovers_from("access").await;
    with_role_of_its_own("", &RIGHTS).await.recovers_from("permissions").await;
    with_role_of_its_own("", &RIGHTS[..4]).await.recovers_from("role anon").await;
}

#[tokio::test]
async fn a_role_whom_row_security_keeps_from_trying_is_told_of_a_policy() {
    let mut rights = RIGHTS.to_vec();
    rights.push(
        "grant truncate on rowcast.changes, rowcast.checkpoints, chat.check_bookmarks to ROLE",
    );
    rights.push("grant usage on schema realtime to ROLE");
    rights.push("grant insert on realtime.messages to ROLE");
    with_role_of_its_own("", &rights).await.recovers_from("broadcasts from SQL").await;
    // With this right there is nothing to tell.
    rights.push("create policy mine on realtime.messages for insert to ROLE with check (true)");
    let (ok, complaints) = with_role_of_its_own("", &rights).await.examined();
    assert!(ok && complaints.is_empty(), "{complaints:?}");
    // What a policy lets everybody do, or only some of it, is not this right.
    rights.pop();
    rights.push("create policy mine on realtime.messages for insert to ROLE with check (private)");
    with_role_of_its_own("", &rights).await.recovers_from("broadcasts from SQL").await;
}

#[tokio::test]
async fn a_superuser_is_advised_to_be_less() {
    let mut patient = with_role_of_its_own("superuser", &RIGHTS).await;
    let (ok, complaints) = patient.examined();
    assert!(ok && complaints[0].name == "role of the bridge", "only advice: {complaints:?}");
    patient.recovers_from("role of the bridge").await;
}

#[tokio::test]
async fn what_strangers_may_is_named_and_taken_from_them() {
    all_recover(&[
        ("rights of strangers", &["grant select on rowcast.changes to anon"]),
        ("rights of strangers", &["grant select (record) on rowcast.changes to public"]),
        ("rights of strangers", &["grant execute on all functions in schema chat to public"]),
        ("rights of strangers", &["grant create on schema rowcast to authenticated"]),
    ])
    .await;
}

#[tokio::test]
async fn settings_that_stand_against_us_are_named_and_taken_back() {
    all_recover(&[
        (
            "setting session_replication_role",
            &["superuser:alter database DB set session_replication_role = replica"],
        ),
        ("setting row_security", &["superuser:alter database DB set row_security = off"]),
        (
            "setting synchronous_commit",
            &["superuser:alter role rowcast_dev in database DB set synchronous_commit = off"],
        ),
        (
            "setting default_transaction_read_only",
            &["superuser:alter database DB set default_transaction_read_only = on"],
        ),
    ])
    .await;
}
