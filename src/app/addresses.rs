//! What each client address has done lately: handshakes and bad tokens, in token buckets, for a bounded number of addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    config::Rate,
    live::Live,
    session::{Bucket, Settings},
};

/// Addresses that are remembered. Who has more than that at hand is not held by a limit per address anyway.
pub(super) const MOST: usize = 65_536;
/// Bits of an IPv6 address by which a site is known; it has all below them for itself.
const SITE: u32 = 64;

/// A cheap handle; clones share what they know.
#[derive(Clone)]
pub(super) struct Addresses {
    settings: Live<Settings>,
    known: Arc<Mutex<HashMap<IpAddr, Lately>>>,
}

struct Lately {
    handshakes: Option<Bucket>,
    failures: Option<Bucket>,
}

impl Addresses {
    pub(super) fn new(settings: Live<Settings>) -> Self {
        Self { settings, known: Arc::default() }
    }

    /// Notes that an address asks; milliseconds that it has to wait when it may not.
    pub(super) fn asks(&self, address: IpAddr, handshake: bool) -> Option<u64> {
        let settings = self.settings.now();
        let failing = settings.rate_failures.and_then(|rate| {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&site(address))?.failures.as_ref()?.wait(rate, 1.0)
        });
        let wait = failing.or_else(|| {
            let rate = settings.rate_handshakes.filter(|_| handshake)?;
            self.take(address, rate, |lately| &mut lately.handshakes)
        })?;
        Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// Notes that a token of an address was missing or bad.
    pub(super) fn failed(&self, address: IpAddr) {
        if let Some(rate) = self.settings.now().rate_failures {
            self.take(address, rate, |lately| &mut lately.failures);
        }
    }

    /// Takes a token; how long until there is one when there is none.
    fn take(
        &self,
        address: IpAddr,
        rate: Rate,
        of: impl Fn(&mut Lately) -> &mut Option<Bucket>,
    ) -> Option<std::time::Duration> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let site = site(address);
        if known.len() >= MOST && !known.contains_key(&site) {
            self.forget(&mut known);
            if known.len() >= MOST {
                return None;
            }
        }
        let lately = known.entry(site).or_insert(Lately { handshakes: None, failures: None });
        let bucket = of(lately).get_or_insert_with(|| Bucket::new(rate));
        if bucket.take(rate, 1.0) { None } else { bucket.wait(rate, 1.0) }
    }

    /// Forgets those that have been quiet for as long as a bucket takes to fill.
    pub(super) fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(&mut known);
        known.shrink_to_fit();
    }

    fn forget(&self, known: &mut HashMap<IpAddr, Lately>) {
        let settings = self.settings.now();
        let busy = |bucket: &Option<Bucket>, rate: Option<Rate>| {
            let (Some(bucket), Some(rate)) = (bucket, rate) else { return false };
            bucket.wait(rate, rate.burst.into()).is_some()
        };
        known.retain(|_, lately| {
            busy(&lately.handshakes, settings.rate_handshakes)
                || busy(&lately.failures, settings.rate_failures)
        });
    }
}

/// What an address is known by.
pub(super) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() >> (128 - SITE) << (128 - SITE)).into()
        }
    }
}
