//! Clients of the time before `config`: the topic is the subscription, and its changes come bare.

use serde_json::{Value, json};

use super::client::{TODOS, token_of};
use crate::harness::app::{App, Socket};

async fn old(app: &App) -> Socket {
    let path = format!("/realtime/v1/websocket?apikey={}&eventsPerSecond=10", token_of("anon"));
    app.socket_at(&path, "unused").await.expect("a socket")
}

/// Joins with a payload and returns the reply's response.
async fn join(client: &mut Socket, topic: &str, payload: Value) -> Value {
    let reply = client
        .ask(json!({ "topic": topic, "event": "phx_join", "payload": payload, "ref": topic }))
        .await;
    assert_eq!((&reply["event"], &reply["ref"]), (&json!("phx_reply"), &json!(topic)), "{reply}");
    assert_eq!(reply.as_object().expect("a frame").len(), 4, "{reply}");
    assert_eq!(reply["payload"]["status"], "ok", "{reply}");
    reply["payload"]["response"].clone()
}

/// The next change that comes on a topic.
async fn change(client: &mut Socket, topic: &str, event: &str) -> Value {
    loop {
        let frame = client.next().await;
        if frame["topic"] != topic || frame["event"] == "system" {
            continue;
        }
        assert_eq!((&frame["event"], &frame["ref"]), (&json!(event), &Value::Null), "{frame}");
        return frame["payload"].clone();
    }
}

#[tokio::test]
async fn topics_of_old_clients_subscribe_and_get_bare_changes() {
    let app = App::start().await;
    app.sql(TODOS).await;
    let topics =
        ["realtime:*", "realtime:public", "realtime:public:todos", "realtime:public:todos:id=eq.1"];
    let mut clients = Vec::new();
    for topic in topics {
        let mut client = old(&app).await;
        let response = join(&mut client, topic, json!({ "user_token": token_of("anon") })).await;
        assert_eq!(response, json!({ "postgres_changes": [] }));
        let system = client.next().await;
        assert_eq!(system["payload"]["message"], "Subscribed to PostgreSQL", "{system}");
        clients.push((topic, client));
    }
    app.sql("insert into public.todos values (2, 'tea', 'abc'), (1, 'milk', 'abc')").await;
    app.sql("update public.todos set task = 'cream' where id = 1").await;
    app.sql("delete from public.todos where id = 1").await;
    for (topic, client) in &mut clients {
        if !topic.contains('=') {
            assert_eq!(change(client, topic, "INSERT").await["record"]["id"], 2, "{topic}");
        }
        let inserted = change(client, topic, "INSERT").await;
        let record = json!({ "id": 1, "task": "milk", "tags": "abc" });
        let said = ["schema", "table", "type"].map(|name| inserted[name].clone());
        assert_eq!(said, [json!("public"), json!("todos"), json!("INSERT")], "{topic}");
        assert_eq!((&inserted["record"], &inserted["errors"]), (&record, &Value::Null));
        assert!(inserted["commit_timestamp"].is_string() && inserted.get("ids").is_none());
        let updated = change(client, topic, "UPDATE").await;
        assert_eq!(updated["record"]["task"], "cream", "{topic}");
        assert_eq!(change(client, topic, "DELETE").await["old_record"], json!({ "id": 1 }));
    }
}

#[tokio::test]
async fn configs_of_other_libraries_are_taken_as_they_are() {
    let app = App::start().await;
    app.sql(TODOS).await;
    let mut client = old(&app).await;
    let wish = json!({ "event": "insert", "schema": "public", "table": "todos" });
    let config = json!({
        "broadcast": null,
        "presence": null,
        "postgres_changes": [null, wish],
        "private": "FALSE",
    });
    let response =
        join(&mut client, "realtime:py", json!({ "config": config, "access_token": null })).await;
    let mut echoed = response["postgres_changes"][0].clone();
    let id = echoed.as_object_mut().expect("an entry").remove("id").expect("an id");
    assert!(id.as_u64().is_some_and(|id| id > 0 && id < 1 << 53), "{id}");
    assert_eq!(echoed, wish);
    app.sql("insert into public.todos values (1, 'milk', 'abc')").await;
    let came = change(&mut client, "realtime:py", "postgres_changes").await;
    assert_eq!((&came["ids"], &came["data"]["record"]["id"]), (&json!([id]), &json!(1)));
    // A load generator's: a number for a ref, its token once more after the join.
    let reply = client
        .ask(json!({ "topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": 0 }))
        .await;
    assert_eq!((&reply["ref"], &reply["payload"]["status"]), (&json!(0), &json!("ok")));
    let again = json!({ "topic": "realtime:py", "event": "access_token", "payload": { "access_token": token_of("anon") }, "ref": 0 });
    client.send(again.to_string()).await;
    app.sql("insert into public.todos values (2, 'tea', 'abc')").await;
    let came = change(&mut client, "realtime:py", "postgres_changes").await;
    assert_eq!(came["data"]["record"]["id"], 2);
}
