//! A publication that is followed: by the command that takes it over, and by the bridge from then on.

use std::process::Command;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use super::client::{Phoenix, token_of};
use crate::harness::{app::App, binary};

/// How soon a running bridge is in step, by its own word; and what a crowded machine may add.
const NOTICED: Duration = Duration::from_secs(10);
const CROWDED: Duration = Duration::from_secs(10);

fn table(name: &str) -> String {
    format!(
        "create table public.{name} (id int primary key); grant select on public.{name} to anon;"
    )
}

/// Waits until a table is watched, or no longer.
async fn until(app: &App, name: &str, watched: bool) {
    let began = Instant::now();
    let sql = format!("select exists (select from rowcast.watches where name = 'public.{name}')");
    while app.value::<bool>(&sql).await != watched {
        assert!(began.elapsed() < NOTICED + CROWDED, "{name} is not noticed");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn change(client: &mut Phoenix) -> Value {
    loop {
        let frame = client.next().await;
        if frame[3] == "postgres_changes" {
            let data = &frame[4]["data"];
            return json!([data["table"], data["record"]["id"]]);
        }
    }
}

#[tokio::test]
async fn a_running_bridge_keeps_in_step_with_the_publication_that_was_taken_over() {
    let app = App::start().await;
    app.sql(&format!("{}{}{}", table("one"), table("two"), table("not_published"))).await;
    app.sql("create publication supabase_realtime for table public.one").await;
    let mut client = Phoenix::connect(&app, &token_of("anon")).await;
    let wishes = json!([{ "event": "*", "schema": "public", "table": "*" }]);
    client.join("db", json!({ "postgres_changes": wishes })).await;

    let mut command = Command::new(binary());
    command.args(["watch", "--publication", "supabase_realtime"]);
    let output = command.env("DATABASE_URL", app.database.url()).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("public.one: watched"), "{text}");

    // A subscription that was there before hears of tables that come.
    app.sql("insert into public.one values (1)").await;
    assert_eq!(change(&mut client).await, json!(["one", 1]));
    app.sql("alter publication supabase_realtime add table public.two").await;
    until(&app, "two", true).await;
    app.sql("insert into public.two values (1)").await;
    assert_eq!(change(&mut client).await, json!(["two", 1]));
    app.sql("alter publication supabase_realtime drop table public.one").await;
    until(&app, "one", false).await;
    app.sql("insert into public.one values (2); insert into public.not_published values (1); insert into public.two values (2)").await;
    assert_eq!(change(&mut client).await, json!(["two", 2]));
}

#[tokio::test]
async fn a_publication_that_is_not_there_is_named() {
    let app = App::start().await;
    let mut command = Command::new(binary());
    command.args(["watch", "--publication", "nowhere"]).env("DATABASE_URL", app.database.url());
    let output = command.output().expect("the program");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("there is no publication 'nowhere'"),
        "{text}"
    );
}
