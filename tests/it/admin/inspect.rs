//! The inspector: what a subscriber of any role gets and what is withheld, as the database decides.

use serde_json::{Value, json};

use super::{Events, FLAG, post};
use crate::harness::app::{App, PATIENCE, now, person};
use tokio::time::Instant;

const NOTES: &str = "
    create table public.notes (id int primary key, owner text not null, body text, secret text);
    alter table public.notes enable row level security;
    create policy own on public.notes for select to authenticated
        using (owner = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
    grant usage on schema public to authenticated, anon;
    grant select (id, owner, body) on public.notes to authenticated;
    select rowcast.watch('public.notes', identity => 'full')";

fn as_role(topic: &str, role: &str, claims: Value) -> Value {
    json!({ "topic": topic, "role": role, "claims": claims })
}

async fn notes() -> App {
    let app = App::start_with(&[FLAG]).await;
    app.sql(NOTES).await;
    app
}

#[tokio::test]
async fn rows_that_row_security_hides_are_withheld_and_columns_too() {
    let app = notes().await;
    let wish = as_role("table:public.notes", "authenticated", json!({ "sub": "ada" }));
    let (mut events, joined) = Events::inspect(&app, wish).await;
    assert_eq!((&joined["hears"], &joined["row_security"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&joined["readable"], &joined["unreadable"]),
        (&json!(["id", "owner", "body"]), &json!(["secret"]))
    );
    app.sql("insert into public.notes values (1, 'ada', 'Mine', 'x'), (2, 'eve', 'Hers', 'y')")
        .await;
    let (name, mine) = events.next().await;
    assert_eq!(
        (name.as_str(), &mine["record"]),
        ("shown", &json!({ "id": 1, "owner": "ada", "body": "Mine" }))
    );
    let (name, hers) = events.next().await;
    assert_eq!(name, "withheld");
    assert!(hers["why"].as_str().expect("a reason").contains("row security"), "{hers}");
    assert!(!hers.to_string().contains("Hers"), "{hers}");
    app.sql("delete from public.notes where id = 2").await;
    assert_eq!(events.next().await.0, "withheld");
    app.sql("delete from public.notes where id = 1").await;
    let (name, gone) = events.next().await;
    assert_eq!(
        (name.as_str(), &gone["old_record"]),
        ("shown", &json!({ "id": 1, "owner": "ada", "body": "Mine" }))
    );
}

#[tokio::test]
async fn a_role_without_the_key_hears_nothing_and_rights_count_from_now_on() {
    let app = notes().await;
    let (mut events, joined) =
        Events::inspect(&app, as_role("table:public.notes", "anon", json!({}))).await;
    assert_eq!(joined["hears"], false);
    app.sql("insert into public.notes values (1, 'ada', 'Mine', 'x')").await;
    let (name, change) = events.next().await;
    assert_eq!(name, "withheld");
    assert!(change["why"].as_str().expect("a reason").contains("SELECT"), "{change}");
    let refused =
        post(&app, "inspect", as_role("table:public.notes", "nobody_at_all", json!({}))).await;
    assert_eq!(refused.0, 400, "{refused:?}");
    let unwatched = post(&app, "inspect", as_role("table:public.other", "anon", json!({}))).await;
    assert_eq!(unwatched.0, 400);
    assert!(unwatched.1["message"].as_str().expect("words").contains("watch"), "{unwatched:?}");
}

#[tokio::test]
async fn the_bridges_own_role_cannot_be_taken_on() {
    let app = notes().await;
    let owner: String = app.value("select current_user::text").await;
    let (status, body) =
        post(&app, "inspect", as_role("table:public.notes", &owner, json!({}))).await;
    assert_eq!(status, 400, "{body}");
}

#[tokio::test]
async fn a_thread_is_for_its_members_from_joining_to_leaving() {
    let app = App::start_with(&[FLAG]).await;
    let say = "insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'Hello')";
    let wish = as_role("thread:1", "authenticated", json!({ "sub": person("eve") }));
    let (mut events, joined) = Events::inspect(&app, wish).await;
    assert_eq!((&joined["hears"], &joined["user"]), (&json!(false), &json!("eve")));
    app.sql(say).await;
    let (name, change) = events.next().await;
    assert_eq!((name.as_str(), &change["why"]), ("withheld", &json!("eve is not in thread 1")));
    assert!(!change.to_string().contains("Hello"));

    let message = async |events: &mut Events| loop {
        let (name, change) = events.next().await;
        if change["relation"] == "chat.messages" {
            return name;
        }
    };
    app.sql("insert into chat.members (thread_id, user_id) values (1, 4)").await;
    app.sql(say).await;
    assert_eq!(message(&mut events).await, "shown");
    app.sql("delete from chat.members where thread_id = 1 and user_id = 4").await;
    app.sql(say).await;
    assert_eq!(message(&mut events).await, "withheld");
    app.sql("update chat.users set active = false where id = 4").await;
    loop {
        let (name, body) = events.next().await;
        if name == "ended" {
            assert!(body["message"].as_str().expect("words").contains("deactivated"), "{body}");
            break;
        }
    }
}

#[tokio::test]
async fn another_users_topic_is_withheld_and_ones_own_is_shown() {
    let app = App::start_with(&[FLAG]).await;
    let ada = json!({ "sub": person("ada") });
    let (mut other, joined) =
        Events::inspect(&app, as_role("user:2", "authenticated", ada.clone())).await;
    assert_eq!(joined["hears"], false);
    let (mut own, joined) = Events::inspect(&app, as_role("user:1", "authenticated", ada)).await;
    assert_eq!(joined["hears"], true);
    app.sql("update chat.users set full_name = 'Somebody' where id in (1, 2)").await;
    assert_eq!(other.next().await.0, "withheld");
    assert_eq!(own.next().await.0, "shown");
    let unknown =
        post(&app, "inspect", as_role("user:1", "authenticated", json!({ "sub": "999" }))).await;
    assert_eq!(unknown.0, 400, "not 401: the console's token is right");
    let nobody = post(&app, "inspect", as_role("thread:1", "authenticated", json!({}))).await;
    assert!(nobody.1["message"].as_str().expect("words").contains("`sub`"), "{nobody:?}");
}

#[tokio::test]
async fn a_private_channel_goes_by_its_policies() {
    let app = App::start_with(&[FLAG]).await;
    let ada = json!({ "sub": "ada" });
    let (_, joined) =
        Events::inspect(&app, as_role("channel:room1", "authenticated", ada.clone())).await;
    assert_eq!(
        (&joined["topic"], &joined["hears"]),
        (&json!("channel:private:room1"), &json!(false))
    );
    app.sql("create policy hear on realtime.messages for select to authenticated using (realtime.topic() = 'room1')").await;
    let (mut events, joined) =
        Events::inspect(&app, as_role("channel:private:room1", "authenticated", ada.clone())).await;
    assert_eq!(joined["hears"], true);
    let (mut public, _) =
        Events::inspect(&app, as_role("channel:public:room1", "anon", json!({}))).await;
    app.sql("select realtime.send('{\"n\": 1}', 'ping', 'room1', true)").await;
    assert_eq!(events.next().await.0, "shown");
    app.sql("select realtime.send('{\"n\": 2}', 'ping', 'room1', false)").await;
    assert_eq!(public.next().await.0, "shown");
}

#[tokio::test]
async fn what_is_looked_at_ends_with_the_claims() {
    let app = notes().await;
    let claims =
        |seconds: i64| json!({ "sub": person("ada"), "exp": now().cast_signed() + seconds });
    for topic in ["table:public.notes", "thread:1", "channel:public:room"] {
        let past = post(&app, "inspect", as_role(topic, "authenticated", claims(-1))).await;
        assert_eq!(past.0, 400, "{topic}: {past:?}");
        let message = past.1["message"].as_str().expect("a message");
        assert!(message.contains("`exp`"), "{topic}: {message}");
        let wish = as_role(topic, "authenticated", claims(3));
        let (mut events, _) = Events::inspect(&app, wish).await;
        let began = Instant::now();
        // However much comes meanwhile.
        let (name, said) = loop {
            app.sql("insert into public.notes select coalesce(max(id), 0) + 1, 'eve', '', '' from public.notes;
                insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'Hi')").await;
            assert!(began.elapsed() < PATIENCE, "{topic} goes on");
            if topic.starts_with("channel") {
                break events.next().await;
            }
            let event = events.next().await;
            if event.0 == "ended" {
                break event;
            }
        };
        assert_eq!(name, "ended", "{topic}: {said}");
        assert!(said["message"].as_str().expect("a message").contains("`exp`"), "{topic}: {said}");
        assert!(events.ends().await, "{topic}");
    }
}
