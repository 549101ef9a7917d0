//! Watched tables, broadcasts from SQL, publications.

use super::all_recover;

const NOTES: &str = "create table public.notes (id int primary key, body text not null)";
const WATCH: &str = "select rowcast.watch('public.notes')";
const NAME: &str = "watched table public.notes";

#[tokio::test]
async fn a_watched_table_that_is_no_longer_captured_is_named_and_watched_again() {
    all_recover(&[
        (NAME, &[NOTES, WATCH, "drop table public.notes"]),
        (NAME, &[NOTES, WATCH, "alter table public.notes rename to memos"]),
        (NAME, &[NOTES, WATCH, "alter table public.notes disable trigger user"]),
        (NAME, &[NOTES, WATCH, "drop trigger _900_rowcast_delete on public.notes"]),
        (NAME, &[NOTES, WATCH, "drop function rowcast._capture_1() cascade"]),
        (NAME, &[NOTES, WATCH, "alter table public.notes drop constraint notes_pkey"]),
        (
            NAME,
            &[
                NOTES,
                WATCH,
                "alter table public.notes drop constraint notes_pkey",
                "alter table public.notes add primary key (body)",
            ],
        ),
        (
            NAME,
            &[
                NOTES,
                "select rowcast.watch('public.notes', columns => array['id', 'body'])",
                "alter table public.notes drop column body",
            ],
        ),
        (
            NAME,
            &[
                "create table public.notes (body text)",
                "alter table public.notes replica identity full",
                WATCH,
                "alter table public.notes replica identity default",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_partition_that_came_or_went_is_named_and_watched_or_let_go() {
    let parts = "create table public.notes (id int primary key) partition by range (id)";
    let one = "create table public.notes_1 partition of public.notes for values from (0) to (10)";
    all_recover(&[
        (NAME, &[parts, WATCH, one]),
        (NAME, &[parts, one, WATCH, "alter table public.notes detach partition public.notes_1"]),
    ])
    .await;
}

#[tokio::test]
async fn watching_again_keeps_what_was_asked_for_at_first() {
    let mut patient = super::Patient::new().await;
    let watch = "select rowcast.watch('public.notes', topic => 'table:slips', columns => array['id'], identity => 'full')";
    let lost = "drop trigger _900_rowcast_insert on public.notes";
    patient.suffers(&[NOTES, watch, lost]).await;
    patient.recovers_from(NAME).await;
    let client = patient.database.client().await;
    let sql = "select topic, columns, identity from rowcast.watches";
    let row = client.query_one(sql, &[]).await.expect("a watch");
    let found: (String, Vec<String>, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(found, ("table:slips".to_owned(), vec!["id".to_owned()], "full".to_owned()));
}

#[tokio::test]
async fn a_watched_table_that_anybody_may_read_is_named() {
    let open = "grant select on public.notes to authenticated";
    all_recover(&[("row security of public.notes", &[NOTES, WATCH, open])]).await;
}

#[tokio::test]
async fn what_apps_made_for_supabase_miss_is_named_and_made() {
    let today = "do $$ begin execute format('drop table realtime.%I', 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD')); end $$";
    all_recover(&[
        ("functions for policies and broadcasts", &["drop function auth.uid()"]),
        ("broadcasts from SQL", &["drop trigger _900_rowcast_insert on realtime.messages"]),
        ("broadcasts from SQL", &["alter table realtime.messages disable trigger user"]),
        ("broadcasts from SQL", &["drop table realtime.messages cascade"]),
        ("broadcasts from SQL", &[today]),
        (
            "publication p",
            &[
                NOTES,
                "create publication p for table public.notes",
                "select rowcast.sync_publication('p')",
                "create table public.others (id int primary key)",
                "alter publication p add table public.others",
            ],
        ),
        (
            "publication p",
            &[
                NOTES,
                "create publication p for table public.notes",
                "select rowcast.sync_publication('p')",
                "drop publication p",
            ],
        ),
    ])
    .await;
}
