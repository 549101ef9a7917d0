//! The people of a run: two thousand users, a hall that a thousand of them are in, small threads, and their tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use crate::{postgres::Postgres, say};

/// What tokens are signed with; the cluster and the bridge live for one run.
pub(crate) const SECRET: &str = "a secret of one run, known to all";
/// Users of the hall.
pub(crate) const HALL: usize = 1_000;
/// All users.
pub(crate) const USERS: usize = 2_000;
/// Threads that inserts are spread over.
pub(crate) const THREADS: i64 = 1_000;
const LIFETIME: Duration = Duration::from_secs(86_400);

/// Everybody is in four small threads; the first thousand are in the hall, the first user in a study, too.
const SQL: &str = "
    insert into chat.users (username, full_name)
    select 'user' || n, 'User ' || n from generate_series(1, 2000) n;
    insert into chat.threads (kind, name)
    select 'group', 'thread ' || n from generate_series(1, 1000) n;
    insert into chat.threads (kind, name) values ('group', 'hall'), ('group', 'study');
    insert into chat.members (thread_id, user_id)
    select (u.id * 7 + k * 13) % 1000 + 1, u.id from chat.users u, generate_series(1, 4) k;
    insert into chat.members (thread_id, user_id) select 1001, u.id from chat.users u where u.id <= 1000;
    insert into chat.members (thread_id, user_id) values (1002, 1);
    vacuum analyze chat.users;
    vacuum analyze chat.threads;
    vacuum analyze chat.members";

/// Who and where.
pub(crate) struct Crowd {
    /// The thread that a thousand are in.
    pub(crate) hall: i64,
    /// The thread that only the first user is in.
    pub(crate) study: i64,
    tokens: Vec<String>,
}

impl Crowd {
    /// The token of the n-th user, from 0.
    pub(crate) fn token(&self, nth: usize) -> &str {
        self.tokens.get(nth % USERS).map_or("", String::as_str)
    }
}

/// Makes everybody.
pub(crate) fn settle(postgres: &Postgres) -> Result<Crowd> {
    say(&format!("settling {USERS} users in {THREADS} threads"));
    for statement in SQL.split(';') {
        postgres.run(statement)?;
    }
    let tokens = (1..=USERS).map(token).collect::<Result<_>>()?;
    Ok(Crowd { hall: 1_001, study: 1_002, tokens })
}

/// A token for the user of an id.
pub(crate) fn token(user: usize) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let claims = json!({
        "sub": user.to_string(),
        "role": "authenticated",
        "iat": now.as_secs(),
        "exp": (now + LIFETIME).as_secs(),
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
}
