//! `rowcast dev`: a private Postgres with demo data, the bridge in front of it, and everything to try it with.

use std::{process::ExitCode, time::Duration};

use serde_json::Value;

use super::{
    place::{ADMIN_TOKEN, Folder, JWT_SECRET},
    say,
    token::claims,
};
use crate::{
    app::{self, Demo, DemoUser},
    auth,
    config::{Config, Secret},
    db::{
        Pool, Target,
        embedded::{Cluster, Options, keep_secret},
        migrate,
    },
    error::Result,
    lifecycle::Lifecycle,
};

/// The tokens of the demo's people.
const TTL: Duration = Duration::from_secs(30 * 86_400);
/// The people of `sql/demo.sql`.
const PEOPLE: [&str; 3] = ["ada", "grace", "linus"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: Config,

    #[command(flatten)]
    folder: Folder,

    /// Port of the private Postgres; 0 takes the one of last time, or any free one.
    #[arg(long, env = "ROWCAST_DATABASE_PORT", default_value_t = 0)]
    database_port: u16,
}

impl Args {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { mut config, folder, database_port } = args;
    let cluster = if config.database.url.is_empty() {
        say("Starting a private Postgres …");
        let options = Options {
            data_dir: folder.data_dir.clone(),
            port: database_port,
            durable: true,
            settings: Vec::new(),
        };
        let cluster = Box::pin(Cluster::start(&options)).await?;
        config.database.url = cluster.url();
        Some(cluster)
    } else {
        None
    };
    let result = Box::pin(serve(config, &folder)).await;
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(mut config: Config, folder: &Folder) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new();
    let target = Target::parse(&config.database.url)?;
    migrate::run(&target, &lifecycle, |step| say(format_args!("  {step}"))).await?;
    let timeout = config.database.database_timeout;
    let pool = Pool::new(&target, 1, timeout, &lifecycle);
    seed(&target, &pool, &lifecycle).await?;

    let auth = &mut config.auth;
    if auth.jwt_secret.is_none() && auth.jwt_public_key.is_none() && auth.jwks.is_none() {
        std::fs::create_dir_all(&folder.data_dir)?;
        auth.jwt_secret = Some(keep_secret(&folder.data_dir.join(JWT_SECRET))?);
    }
    if config.admin_token.is_none() {
        std::fs::create_dir_all(&folder.data_dir)?;
        config.admin_token = Some(keep_secret(&folder.data_dir.join(ADMIN_TOKEN))?);
    }
    let demo = Demo { users: people(&pool, &config).await? };
    config.demo_page = true;
    let (url, users) = (config.database.url.clone(), demo.users.clone());
    let token = config.admin_token.clone().unwrap_or_default();
    let ready = move |addresses: app::Addresses| announce(&addresses, &url, &token, &users);
    Box::pin(app::run(config, Some(demo), lifecycle, None, ready)).await?;
    Ok(())
}

/// Puts the demo's data where nobody is yet.
async fn seed(target: &Target, pool: &Pool, lifecycle: &Lifecycle) -> Result<()> {
    if pool.value("select exists (select from chat.users)", &[]).await? {
        return Ok(());
    }
    say("  loading the demo's people and threads");
    let client = target.client(lifecycle).await?;
    Ok(client.batch_execute(&migrate::demo()?).await?)
}

/// The demo's people with a token each; none when we cannot sign.
async fn people(pool: &Pool, config: &Config) -> Result<Vec<DemoUser>> {
    let Some(secret) = &config.auth.jwt_secret else { return Ok(Vec::new()) };
    let sql = "select full_name, uuid::text from chat.users where username = any($1) order by id";
    let rows = pool.query(sql, &[&PEOPLE.as_slice()]).await?;
    let user = |row: &_| demo_user(row, secret, config);
    rows.iter().map(user).collect()
}

fn demo_user(row: &crate::db::Row, secret: &Secret, config: &Config) -> Result<DemoUser> {
    let user_id: String = row.try_get(1)?;
    let mut claims = claims(&user_id, "authenticated", TTL);
    let pairs = [("iss", &config.auth.jwt_issuer), ("aud", &config.auth.jwt_audience)];
    for (name, value) in pairs.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)))
    {
        claims.insert(name.to_owned(), Value::from(value));
    }
    let token = auth::mint(secret.reveal(), &Value::Object(claims))?;
    Ok(DemoUser { name: row.try_get(0)?, user_id, token })
}

/// Says where everything is; the last line is for machines.
fn announce(addresses: &app::Addresses, url: &Secret, token: &Secret, users: &[DemoUser]) {
    let (http, admin, url) = (addresses.http, addresses.admin, url.reveal());
    say(format_args!("\nRowcast {} is running.\n", env!("CARGO_PKG_VERSION")));
    say(format_args!("  chat page   http://{http}/demo/"));
    say(format_args!("  two people  http://{http}/demo/?side-by-side"));
    // Browsers do not send what follows `#`.
    say(format_args!("  console     http://{admin}/admin/#token={}", token.reveal()));
    say(format_args!("  readiness   http://{admin}/ready"));
    say(format_args!("  database    {url}"));
    for DemoUser { name, user_id, token } in users {
        say(format_args!("\n  {name}, {user_id}\n  {token}"));
    }
    if let Some(DemoUser { name, token, .. }) = users.first() {
        say(format_args!(
            "\nTry it as {name}:\n\n  \
             websocat 'ws://{http}/?token={token}'\n\n  \
             curl -H 'Authorization: Bearer {token}' http://{http}/api/chat/unread-count\n\n\
             and write from anywhere:\n\n  \
             psql '{url}' -c \"insert into chat.messages (thread_id, sender_id, content) \
             select t.id, u.id, 'Hello from SQL' from chat.threads t, chat.users u \
             where t.name = 'Mathematics' and u.username = 'grace'\"\n"
        ));
    }
    say(format_args!("ready http=http://{http} database={url} admin=http://{admin}"));
}
