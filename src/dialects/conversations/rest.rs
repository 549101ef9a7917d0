//! The `conversations` REST endpoints, the fallback for a socket that is away. Writes by cookie need a CSRF token.

use http::{HeaderValue, StatusCode, header};
use uuid::Uuid;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::codec::{self, CONVERSATION};
use crate::{
    auth::token::{Source, Sources, cookie, presented},
    change::Json,
    chat::{Conversation, Standing},
    dialects::{
        door::{self, Ask},
        reading, socketio,
    },
    error::{Error, Result},
    session::{self, Limited, Services},
};

/// Messages in an answer when the client does not say, and at most.
const PAGE_LIMIT: (i32, i32) = (50, 200);
/// The cookie that a page's script reads, and the header in which it repeats it.
const CSRF_COOKIE: &str = "csrf_token";
const CSRF_HEADER: &str = "x-csrf-token";

/// All endpoints.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let most = services.settings.now().max_frame;
    let services = services.clone();
    let with = move || {
        let services = services.clone();
        warp::any().map(move || services.clone()).and(door::ask(most))
    };
    let all = warp::path("api").and(warp::path("conversations"));
    let of = |name: &'static str| {
        all.and(warp::path::param::<String>()).and(warp::path(name)).and(warp::path::end())
    };

    let list = all.and(warp::path::end()).and(warp::get()).and(with()).then(list);
    let page = of("messages").and(warp::get()).and(with()).then(page);
    let send = of("messages").and(warp::post()).and(with()).then(send);
    let read = of("read").and(warp::post()).and(with()).then(read);

    list.or(page)
        .unify()
        .or(send)
        .unify()
        .or(read)
        .unify()
        .map(|answer: Result<Response>| answer.unwrap_or_else(|error| refusal(&error)))
        .boxed()
}

fn refusal(error: &Error) -> Response {
    error.log("answering a conversations request");
    door::refusal(error, socketio::body(error))
}

/// Who asks: verified, in good standing, within their rate.
async fn caller(services: &Services, ask: &Ask, limited: Limited) -> Result<Standing> {
    let claims = door::claims(services, ask).await?;
    let standing = services.chat.admit(&claims).await?;
    services.limits.take(standing.user, limited)?;
    session::touch(services, &standing).await;
    Ok(standing)
}

/// Who writes: a browser that sent a cookie by itself has to show that its page may read one, too.
async fn writer(services: &Services, ask: &Ask, limited: Limited) -> Result<Standing> {
    if by_cookie(ask) {
        let shown = ask.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
        let known = cookie(&ask.headers, CSRF_COOKIE);
        if known.is_none() || known.as_deref() != shown {
            return Err(Error::forbidden(
                "The X-CSRF-Token header must repeat the csrf_token cookie, which a GET sets",
            ));
        }
    }
    caller(services, ask, limited).await
}

fn by_cookie(ask: &Ask) -> bool {
    let presented = presented(&ask.headers, Some(&ask.query), Sources::USUAL);
    presented.is_some_and(|one| one.source == Source::Cookie)
}

async fn list(services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Rest).await?;
    let list = services.chat.conversations(caller.user).await?;
    Ok(with_csrf(&ask, answer(StatusCode::OK, &list)))
}

async fn page(conversation: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Rest).await?;
    let conversation = reading::checked(&conversation, CONVERSATION)?;
    let before = ask.parameter("before").filter(|before| !before.is_empty());
    let before = before.map(|before| reading::checked(&before, "before")).transpose()?;
    let page = Conversation {
        before: before.as_deref(),
        since: reading::instant(&ask, "since")?,
        limit: reading::limit(&ask, PAGE_LIMIT)?,
    };
    let page = services.chat.conversation_page(caller.user, &conversation, page).await?;
    Ok(with_csrf(&ask, answer(StatusCode::OK, &page)))
}

async fn send(conversation: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = writer(&services, &ask, Limited::Message).await?;
    let conversation = reading::checked(&conversation, CONVERSATION)?;
    let body = reading::object(&ask, false)?;
    let content = services.limits.content(&codec::content(&body)?)?;
    let kind = codec::message_type(&body)?;
    let sent = services.chat.conversation_send(caller.user, &conversation, &content, &kind).await?;
    Ok(answer(StatusCode::CREATED, &sent))
}

async fn read(conversation: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = writer(&services, &ask, Limited::Rest).await?;
    let conversation = reading::checked(&conversation, CONVERSATION)?;
    let upto = codec::message(&reading::object(&ask, true)?)?;
    let read = services.chat.conversation_read(caller.user, &conversation, upto.as_deref()).await?;
    Ok(answer(StatusCode::OK, &read))
}

fn answer(status: StatusCode, body: &Json) -> Response {
    door::json(status, body.bytes())
}

/// Gives a page that has a session cookie the token for its writes.
fn with_csrf(ask: &Ask, mut response: Response) -> Response {
    if by_cookie(ask) && cookie(&ask.headers, CSRF_COOKIE).is_none() {
        let secure = ask.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let secure = if secure { "; Secure" } else { "" };
        let token = Uuid::new_v4().simple();
        let cookie = format!("{CSRF_COOKIE}={token}; Path=/; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}
