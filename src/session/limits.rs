//! Rate limits per user and kind of event, on token buckets (`governor`).

use std::{num::NonZeroU32, sync::Arc};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DashMapStateStore,
};

use crate::{
    config::{ContentPolicy, Limits as Settings, Rate},
    error::{Error, Kind, Result},
    live::Live,
};

/// What is limited apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A REST request.
    Rest,
    /// A message sent.
    Message,
    /// A typing signal.
    Typing,
    /// A subscription or a join, and what else asks the database.
    Join,
}

/// Buckets with the rate that they were made for.
type Buckets = Arc<(Rate, RateLimiter<i64, DashMapStateStore<i64>, DefaultClock>)>;

/// A cheap handle to all buckets and the limits on content.
#[derive(Clone)]
pub struct Limits(Live<Inner>);

struct Inner {
    rest: Buckets,
    messages: Buckets,
    typing: Buckets,
    joins: Buckets,
    content: usize,
    policy: ContentPolicy,
}

impl Limits {
    /// Makes full buckets.
    pub fn new(settings: &Settings, policy: ContentPolicy) -> Self {
        Self(Live::new(Inner {
            rest: buckets(settings.rate_rest),
            messages: buckets(settings.rate_messages),
            typing: buckets(settings.rate_typing),
            joins: buckets(settings.rate_joins),
            content: settings.content_limit,
            policy,
        }))
    }

    /// Limits by other settings from here on. A bucket stays as empty as it is where its rate stays.
    pub fn change(&self, settings: &Settings, policy: ContentPolicy) {
        let now = self.0.now();
        let kept = |buckets: &Buckets, rate| match buckets.0 == rate {
            true => Arc::clone(buckets),
            false => self::buckets(rate),
        };
        self.0.replace(Inner {
            rest: kept(&now.rest, settings.rate_rest),
            messages: kept(&now.messages, settings.rate_messages),
            typing: kept(&now.typing, settings.rate_typing),
            joins: kept(&now.joins, settings.rate_joins),
            content: settings.content_limit,
            policy,
        });
    }

    /// Takes one token of a user's bucket, or says when there will be one.
    pub fn take(&self, user: i64, event: Event) -> Result<()> {
        let now = self.0.now();
        let buckets = match event {
            Event::Rest => &now.rest,
            Event::Message => &now.messages,
            Event::Typing => &now.typing,
            Event::Join => &now.joins,
        };
        buckets.1.check_key(&user).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            Error::too_many(format!("Rate limit exceeded; try again in {wait} ms"), wait)
        })
    }

    /// Checks a message's length in characters and applies the content policy.
    pub fn content(&self, text: &str) -> Result<String> {
        self.content_of("content", text)
    }

    /// The same, where the field that it came in has another name.
    pub fn content_of(&self, field: &str, text: &str) -> Result<String> {
        let now = self.0.now();
        let text = match now.policy {
            ContentPolicy::AsSent => text.to_owned(),
            ContentPolicy::Sanitize => ammonia::clean(text),
        };
        let most = now.content;
        if text.is_empty() {
            return Err(Error::malformed(format!(
                "`{field}` is empty; send 1 to {most} characters"
            )));
        }
        if text.contains('\0') {
            return Err(Error::malformed(format!(
                "`{field}` holds a NUL character, which cannot be stored"
            )));
        }
        let length = text.chars().count();
        if length > most {
            let message = format!("`{field}` has {length} characters; send 1 to {most}");
            return Err(Error::new(Kind::Malformed, message));
        }
        Ok(text)
    }

    /// Forgets users whose buckets have been full for a while.
    pub fn sweep(&self) {
        let now = self.0.now();
        for buckets in [&now.rest, &now.messages, &now.typing, &now.joins] {
            buckets.1.retain_recent();
            buckets.1.shrink_to_fit();
        }
    }
}

fn buckets(rate: Rate) -> Buckets {
    let one = NonZeroU32::MIN;
    let quota = Quota::per_second(NonZeroU32::new(rate.per_second).unwrap_or(one))
        .allow_burst(NonZeroU32::new(rate.burst).unwrap_or(one));
    Arc::new((rate, RateLimiter::dashmap(quota)))
}
