//! The Phoenix socket: many channels on one connection.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use hyper::upgrade::OnUpgrade;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    bearer::{self, Bearer, Denied},
    channel::Channel,
    codec::{self, Version},
    work::{Done, Works},
};
use crate::{
    dialects::door::{self, Ask},
    error::{Error, Result},
    metrics::MALFORMED_FRAMES_TOTAL,
    session::{
        Bucket, Follower, Frame, Incoming, Next, Peer, Reason, Seat, Services, Who, drive, starting,
    },
};

/// What the topics of all channels begin with.
pub(super) const PREFIX: &str = "realtime:";
/// A day: what is never due.
const NEVER: Duration = Duration::from_secs(86_400);
/// What a frame holds besides the payload of a broadcast.
const ENVELOPE: usize = 16 * 1024;

/// `/realtime/v1/websocket` and `/socket/websocket`.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let services = services.clone();
    let gateway = warp::path!("realtime" / "v1" / "websocket");
    gateway
        .or(warp::path!("socket" / "websocket"))
        .unify()
        .and(warp::get())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(door::ask(0))
        .then(move |on_upgrade, ask: Result<Ask>| {
            let services = services.clone();
            async move {
                let answered = match ask {
                    Ok(ask) => accept(services, on_upgrade, ask).await,
                    Err(error) => Err(error),
                };
                answered.unwrap_or_else(|error| refusal(&error))
            }
        })
        .boxed()
}

async fn accept(services: Services, on_upgrade: Option<OnUpgrade>, ask: Ask) -> Result<Response> {
    door::room(&services)?;
    if !door::may_connect(&services, &ask.headers) {
        return Err(Error::forbidden("This page's origin may not connect"));
    }
    let Some(version) = Version::parse(ask.parameter("vsn").as_deref()) else {
        let mut response = Response::default();
        *response.status_mut() = ::http::StatusCode::FORBIDDEN;
        return Ok(response);
    };
    let key = bearer::of_socket(&ask.headers, ask.parameter("apikey"));
    let verified = match key {
        Some(key) => Bearer::verify(&services, &key).await,
        None => Err(Denied::NoKey),
    };
    let bearer = verified.map_err(|denied| denied.at_the_door())?;
    let headers = as_policies_see(&ask);
    let max_frame = services.settings.now().supabase.broadcast_limit + ENVELOPE;
    let socket = Socket::open(services.clone(), version, bearer, headers, ask.address)?;
    door::upgrade_for(&services, &ask, on_upgrade, max_frame, move |transport| {
        drive(socket, transport)
    })
}

/// The handshake's own headers, as `request.headers`: a JSON object of those that begin with `x-`.
pub(super) fn as_policies_see(ask: &Ask) -> Arc<str> {
    let named = |(name, value): (&::http::HeaderName, &::http::HeaderValue)| {
        let text = value.to_str().ok().filter(|_| name.as_str().starts_with("x-"))?;
        (name.as_str() != "x-api-key").then(|| (name.to_string(), Value::from(text)))
    };
    let headers: Map<String, Value> = ask.headers.iter().filter_map(named).collect();
    Value::from(headers).to_string().into()
}

fn refusal(error: &Error) -> Response {
    error.log("opening a socket");
    door::refusal(error, format!(r#"{{"error":{}}}"#, codec::quoted(&error.message)))
}

/// One connection's channels.
pub(super) struct Socket {
    pub(super) services: Services,
    pub(super) version: Version,
    /// Who connected; a join may come with a token of its own.
    pub(super) bearer: Bearer,
    pub(super) headers: Arc<str>,
    pub(super) follower: Follower,
    pub(super) seat: Seat,
    /// By their names, without `realtime:`.
    pub(super) channels: HashMap<String, Channel>,
    pub(super) works: Works,
    pub(super) joins: Bucket,
    pub(super) messages: Bucket,
    next: Vec<Next>,
    done: Option<Done>,
    /// When a channel's token is to be looked at, or the socket has been without one for too long.
    pub(super) due: Instant,
    /// Since when there has been no channel.
    pub(super) idle: Instant,
}

impl Socket {
    fn open(
        services: Services,
        version: Version,
        bearer: Bearer,
        headers: Arc<str>,
        address: Option<IpAddr>,
    ) -> Result<Self> {
        let settings = services.settings.now();
        let follower = Follower::open(&services.hub, services.pool.clone(), settings.mailbox, &[]);
        let follower = follower.ok_or_else(starting)?;
        let (sub, role) = (bearer.claims.sub.clone(), bearer.claims.role.clone());
        let who = Who { user: String::new(), sub, role, address };
        let settings = &settings.supabase;
        let (joins, messages) =
            (Bucket::new(settings.rate_channel_joins), Bucket::new(settings.rate_broadcasts));
        let now = Instant::now();
        Ok(Self {
            version,
            bearer,
            headers,
            seat: services.register.enter(Self::NAME, who, follower.window()),
            follower,
            channels: HashMap::new(),
            works: Works::default(),
            joins,
            messages,
            next: Vec::new(),
            done: None,
            due: now + services.settings.now().supabase.channel_idle,
            idle: now,
            services,
        })
    }
}

impl Peer for Socket {
    const NAME: &'static str = "supabase";

    fn services(&self) -> &Services {
        &self.services
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn open(&mut self, _out: &mut Vec<Frame>) {}

    async fn receive(&mut self, frame: Incoming, out: &mut Vec<Frame>) -> Result<()> {
        let push = codec::parse(self.version, &frame).inspect_err(|error| {
            metrics::counter!(MALFORMED_FRAMES_TOTAL, "dialect" => Self::NAME).increment(1);
            tracing::debug!(%error, "a malformed frame was dropped: {error}");
        })?;
        self.act(push, out)
    }

    async fn wait(&mut self) -> Result<()> {
        tokio::select! {
            came = self.follower.next(&mut self.next) => came?,
            done = self.works.next() => self.done = Some(done),
            () = sleep_until(self.due) => {}
        }
        Ok(())
    }

    async fn tell(&mut self, out: &mut Vec<Frame>) -> Option<Reason> {
        if let Some(done) = self.done.take() {
            self.answered(done, out);
        }
        for next in std::mem::take(&mut self.next) {
            self.pass_on(next, out);
        }
        if self.due <= Instant::now() { self.check(out) } else { None }
    }

    fn is_replaying(&self) -> bool {
        self.follower.is_replaying()
    }

    fn expires(&self) -> Instant {
        // A socket outlives its token: its channels do not.
        Instant::now() + NEVER
    }

    fn going_away(&self) -> Reason {
        Reason::Restart
    }
}
