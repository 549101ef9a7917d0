//! The long-polling dialect (guide 000): JSON-RPC 2.0 over POST `/api/messaging/*`.

mod calls;
mod codec;
mod poll;
#[cfg(test)]
mod tests;

use http::{Method, StatusCode, header};
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

use self::{
    calls::{Caller, Calling, Recounts},
    codec::Call,
};
use crate::{
    auth::token::{self, Sources},
    chat,
    dialects::{
        door::{self, Ask},
        later::later,
    },
    error::{Error, Kind, Result},
    session::Services,
};

/// The dialect's routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let most = services.settings.now().max_frame;
    let recounts = calls::recounts(services);
    let services = services.clone();
    warp::path!("api" / "messaging" / ..)
        .and(warp::path::tail())
        .map(move |path: Tail| (services.clone(), recounts.clone(), path))
        .and(door::ask(most))
        .then(|(services, recounts, path): (Services, Recounts, Tail), ask| async move {
            answer(services, recounts, path, ask).await
        })
        .boxed()
}

/// Answers a request. What waits for up to a minute is the call alone: its answer is promised.
async fn answer(services: Services, recounts: Recounts, path: Tail, ask: Result<Ask>) -> Response {
    let (id, calling) = match Box::pin(admit(services, recounts, path, ask)).await {
        Ok(calling) => calling,
        Err(refused) => return *refused,
    };
    later(async move {
        match calling.await {
            Ok(result) => door::json(StatusCode::OK, codec::envelope(&id, "result", &result)),
            Err(error)
                if error.kind == Kind::Unauthorized || error.message == chat::DEACTIVATED =>
            {
                codec::dead_session(&id, &error)
            }
            Err(error) => codec::refused(&id, &error, StatusCode::OK),
        }
    })
}

/// Lets a call in: the transport's faults are answered by status, the application's by a JSON-RPC error in a 200.
async fn admit(
    services: Services,
    recounts: Recounts,
    path: Tail,
    ask: Result<Ask>,
) -> std::result::Result<(String, Calling), Box<Response>> {
    let ask =
        ask.map_err(|error| Box::new(codec::refused("null", &error, door::status(error.kind))))?;
    let Some(method) = codec::method(path.as_str()) else {
        let error = codec::error_body(-32_601, "There is no such method", None);
        let body = codec::envelope("null", "error", &error);
        return Err(Box::new(door::json(StatusCode::NOT_FOUND, body)));
    };
    if ask.method != Method::POST {
        let error = codec::error_body(-32_600, "Methods are called by POST", None);
        let body = codec::envelope("null", "error", &error);
        let mut response = door::json(StatusCode::METHOD_NOT_ALLOWED, body);
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
        return Err(Box::new(response));
    }
    let caller = caller(services, &ask).await.map_err(|error| {
        // No or a dead session is the transport's affair, as clients of this dialect know it.
        Box::new(match error.kind {
            Kind::Unauthorized | Kind::Forbidden => {
                let id = codec::parse(&ask.body).map_or_else(|(id, _)| id, |call| call.id);
                codec::dead_session(&id, &error)
            }
            _ => codec::refused("null", &error, StatusCode::OK),
        })
    })?;
    let Call { id, params } = codec::parse(&ask.body).map_err(|(id, refusal)| {
        Box::new(door::json(StatusCode::OK, codec::envelope(&id, "error", &refusal)))
    })?;
    match calls::limited(&caller, &method).await {
        Ok(()) => Ok((id, calls::call(caller, recounts, method, params))),
        Err(error) => Err(Box::new(codec::refused(&id, &error, StatusCode::OK))),
    }
}

async fn caller(services: Services, ask: &Ask) -> Result<Box<Caller>> {
    let claims = door::claims(&services, ask).await?;
    let standing = services.chat.admit(&claims).await?;
    let presented = token::presented(&ask.headers, Some(&ask.query), Sources::USUAL);
    let presented =
        presented.ok_or_else(|| Error::unauthorized("No session; send the cookie session_id"))?;
    let session = codec::session_key(&presented.credential);
    Ok(Box::new(Caller { services, claims, standing, session }))
}

/// Reads what a client could send, as a path and as a call with any parameters; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    let _ = codec::method(&String::from_utf8_lossy(data));
    if let Ok(Call { params, .. }) = codec::parse(data) {
        let _ =
            (params.thread(), params.optional_thread(), params.last_message(), params.timeout());
        let _ = (params.last_check(), params.status(), params.partners(), params.body());
    }
}
