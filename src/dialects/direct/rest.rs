//! The `direct` REST endpoints: each verifies, limits, and answers with one call of one SQL function.

use http::{Method, StatusCode};
use serde_json::Value;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::codec;
use crate::{
    change::Json,
    chat::Standing,
    claims::Claims,
    dialects::{
        door::{self, Ask},
        reading, socketio,
    },
    error::{Error, Kind, Result},
    session::{self, Limited, Services},
};

/// Messages in an answer when the client does not say, and at most.
const HISTORY_LIMIT: (i32, i32) = (50, 200);

/// All endpoints.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let most = services.settings.now().max_frame;
    let services = services.clone();
    let with = move || {
        let services = services.clone();
        warp::any().map(move || services.clone()).and(door::ask(most))
    };
    let named = |folder: &'static str, name: &'static str| {
        warp::path("api")
            .and(warp::path(folder))
            .and(warp::path(name))
            .and(warp::path::param::<String>())
            .and(warp::path::end())
    };
    let single = |folder: &'static str, name: &'static str| {
        warp::path("api").and(warp::path(folder)).and(warp::path(name)).and(warp::path::end())
    };

    let send = single("messages", "send").and(warp::post()).and(with()).then(send);
    let read = named("messages", "read").and(warp::post()).and(with()).then(read);
    let history = named("messages", "conversation").and(warp::get()).and(with()).then(history);
    let list = single("messages", "conversations").and(warp::get()).and(with()).then(list);
    let profile = named("users", "profile").and(warp::get()).and(with()).then(profile);
    let block = named("users", "block")
        .and(warp::post().or(warp::delete()).unify())
        .and(with())
        .then(block);
    let log_out = single("auth", "logout").and(warp::post()).and(with()).then(log_out);

    send.or(read)
        .unify()
        .or(history)
        .unify()
        .or(list)
        .unify()
        .boxed()
        .or(profile)
        .unify()
        .or(block)
        .unify()
        .or(log_out)
        .unify()
        .map(|answer: Result<Response>| answer.unwrap_or_else(|error| refusal(&error)))
        .boxed()
}

fn refusal(error: &Error) -> Response {
    error.log("answering a direct request");
    door::refusal(error, socketio::body(error))
}

/// Who asks: verified, in good standing, within their rate.
async fn caller(services: &Services, ask: &Ask, limited: Limited) -> Result<(Standing, Claims)> {
    let claims = door::claims(services, ask).await?;
    let standing = services.chat.admit(&claims).await?;
    services.limits.take(standing.user, limited)?;
    session::touch(services, &standing).await;
    Ok((standing, claims))
}

async fn send(services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let (caller, _) = caller(&services, &ask, Limited::Message).await?;
    let body = reading::object(&ask, false)?;
    let receiver = codec::id(&body, "receiver_id")?;
    let content = services.limits.content(&codec::content(&body)?)?;
    let price = services.settings.now().direct_price;
    let sent = services.chat.direct_send(caller.user, &receiver, &content, price).await?;
    Ok(answer(StatusCode::CREATED, &sent))
}

async fn read(partner: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let (caller, _) = caller(&services, &ask?, Limited::Rest).await?;
    let partner = reading::checked(&partner, "user_id")?;
    Ok(answer(StatusCode::OK, &services.chat.direct_read(caller.user, &partner).await?))
}

async fn history(partner: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let (caller, _) = caller(&services, &ask, Limited::Rest).await?;
    let partner = reading::checked(&partner, "user_id")?;
    let limit = reading::limit(&ask, HISTORY_LIMIT)?;
    let since = reading::instant(&ask, "since")?;
    let before = ask.parameter("before").filter(|before| !before.is_empty());
    let before = before.map(|before| reading::checked(&before, "before")).transpose()?;
    let page = services
        .chat
        .direct_history(caller.user, &partner, before.as_deref(), since, limit)
        .await?;
    Ok(answer(StatusCode::OK, &page))
}

async fn list(services: Services, ask: Result<Ask>) -> Result<Response> {
    let (caller, _) = caller(&services, &ask?, Limited::Rest).await?;
    let rows = services.chat.direct_conversations(caller.user).await?;
    let one = |(partner, body): &(i64, Json)| {
        format!(r#"{{"is_online":{},{}"#, is_online(&services, *partner), inside(body))
    };
    let list: Vec<String> = rows.iter().map(one).collect();
    let body = format!(r#"{{"conversations":[{}]}}"#, list.join(","));
    Ok(door::json(StatusCode::OK, body))
}

async fn profile(user: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let (caller, _) = caller(&services, &ask?, Limited::Rest).await?;
    let user = reading::checked(&user, "user_id")?;
    let (id, body) = services.chat.profile(caller.user, &user).await?;
    let body = format!(r#"{{"is_online":{},{}"#, is_online(&services, id), inside(&body));
    Ok(door::json(StatusCode::OK, body))
}

/// Presence is the bridge's to know; all else in these answers is made by SQL.
fn is_online(services: &Services, user: i64) -> bool {
    services.hub.presence().is_online(user)
}

/// An object without its opening brace, for something to be put before.
fn inside(object: &Json) -> &str {
    object.as_str().trim_start().strip_prefix('{').unwrap_or("}")
}

async fn block(user: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let (caller, _) = caller(&services, &ask, Limited::Rest).await?;
    let user = reading::checked(&user, "user_id")?;
    let wanted = ask.method == Method::POST;
    Ok(answer(StatusCode::OK, &services.chat.block(caller.user, &user, wanted).await?))
}

async fn log_out(services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let (caller, claims) = caller(&services, &ask, Limited::Rest).await?;
    let body = reading::object(&ask, true)?;
    let everywhere = match body.get("everywhere") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(everywhere)) => *everywhere,
        Some(_) => {
            return Err(Error::new(Kind::Malformed, "`everywhere` must be true or false"));
        }
    };
    let done = services.chat.log_out(caller.user, &claims, everywhere).await?;
    Ok(answer(StatusCode::OK, &done))
}

fn answer(status: StatusCode, body: &Json) -> Response {
    door::json(status, body.bytes())
}
