//! What is known of a request before a route sees it: whose it is, behind trusted proxies too, and whether its address may ask.

use std::{future::Future, net::IpAddr, pin::Pin};

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, service::Service};
use tracing::Instrument;

use super::{addresses::Addresses, connection::Answers, traced};
use crate::{
    config::Network,
    dialects::door::{Client, SCHEME},
    live::Live,
    session::Settings,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// What says who a client is or where it came in: the word of a trusted proxy, or nothing.
const WORDS: [HeaderName; 6] = [
    header::FORWARDED,
    FORWARDED_FOR,
    FORWARDED_HOST,
    SCHEME,
    HeaderName::from_static("x-forwarded-port"),
    REAL_IP,
];

/// A service with one connection's peer.
#[derive(Clone)]
pub(super) struct Asked<S> {
    pub(super) inner: S,
    pub(super) peer: IpAddr,
    pub(super) settings: Live<Settings>,
    pub(super) addresses: Addresses,
}

impl<S: Answers> Service<Request<Incoming>> for Asked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let trusted = &self.settings.now().trusted_proxies;
        let address = settle(request.headers_mut(), self.peer.to_canonical(), trusted);
        let wait = self.addresses.asks(address, is_handshake(&request));
        if let Some(wait) = wait {
            tracing::debug!(%address, wait, "{address} asks too often and has to wait {wait} ms");
        }
        request.extensions_mut().insert(Client { address, wait });
        let span = traced::request(&request, address);
        let answer = span.in_scope(|| self.inner.call(request));
        let addresses = self.addresses.clone();
        Box::pin(async move {
            let answer = answer.instrument(span.clone()).await?;
            traced::answered(&span, answer.status());
            if answer.status() == StatusCode::UNAUTHORIZED {
                tracing::debug!(%address, "a request from {address} had no good token");
                addresses.failed(address);
            }
            Ok(answer)
        })
    }
}

/// Whether a request opens a socket: of WebSocket, or of Engine.IO's long-polling.
fn is_handshake<B>(request: &Request<B>) -> bool {
    let socket_io = request.uri().path().starts_with("/socket.io/");
    let mut parameters = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
    let goes_on = parameters.any(|(name, _)| name == "sid");
    (socket_io || request.headers().contains_key(header::UPGRADE)) && !(socket_io && goes_on)
}

/// Finds whose request it is, and leaves of the headers that say so what is true.
///
/// Each proxy adds the address that it was called from at the end, so the list counts from there, as far as it was written
/// by proxies that are trusted. `Forwarded` counts where there is no `X-Forwarded-For`.
fn settle(headers: &mut HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    if !trusts(trusted, peer) {
        WORDS.iter().for_each(|name| drop(headers.remove(name)));
        return peer;
    }
    let hops = hops(headers);
    let client = called_from(&hops, peer, trusted);
    let last = hops.into_iter().next_back();
    let (host, scheme) = last.map_or((None, None), |hop| (hop.host, hop.scheme));
    let host = list(headers, FORWARDED_HOST).next_back().or(host);
    let scheme = list(headers, SCHEME).next_back().or(scheme);
    let scheme = scheme.and_then(|scheme| match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(HeaderValue::from_static("http")),
        "https" | "wss" => Some(HeaderValue::from_static("https")),
        _ => None,
    });
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(&host).ok()) {
        headers.insert(header::HOST, host);
    }
    if let (Some(kept), Ok(real)) =
        (headers.get_mut(REAL_IP), HeaderValue::from_str(&client.to_string()))
    {
        *kept = real;
    }
    headers.remove(SCHEME);
    if let Some(scheme) = scheme {
        headers.insert(SCHEME, scheme);
    }
    client
}

fn trusts(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// What proxies say, the last one last.
fn hops(headers: &HeaderMap) -> Vec<Hop> {
    match headers.contains_key(FORWARDED_FOR) {
        true => list(headers, FORWARDED_FOR).map(|one| Hop::called_from(&one)).collect(),
        false => list(headers, header::FORWARDED).map(|one| Hop::read(&one)).collect(),
    }
}

/// The address that proxies which are trusted were called from.
fn called_from(hops: &[Hop], peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        // What is no address, `unknown` say, ends what is known.
        let Some(address) = hop.address else { break };
        client = address;
        if !trusts(trusted, address) {
            break;
        }
    }
    client
}

/// A service of operators: it is told whom a request comes from, and nothing is counted or changed.
#[derive(Clone)]
pub(super) struct Told<S> {
    pub(super) inner: S,
    pub(super) peer: IpAddr,
    pub(super) settings: Live<Settings>,
}

impl<S: Answers> Service<Request<Incoming>> for Told<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let (peer, trusted) = (self.peer.to_canonical(), &self.settings.now().trusted_proxies);
        let address = match trusts(trusted, peer) {
            true => called_from(&hops(request.headers()), peer, trusted),
            false => peer,
        };
        request.extensions_mut().insert(Client { address, wait: None });
        self.inner.call(request)
    }
}

/// One proxy's word.
#[derive(Debug, Default, PartialEq)]
struct Hop {
    address: Option<IpAddr>,
    host: Option<String>,
    scheme: Option<String>,
}

impl Hop {
    fn called_from(text: &str) -> Self {
        Self { address: address(text), ..Self::default() }
    }

    /// Reads an element of `Forwarded` (RFC 7239).
    fn read(text: &str) -> Self {
        let mut hop = Self::default();
        for pair in text.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hop.address = address(value),
                "host" => hop.host = Some(value.to_owned()),
                "proto" => hop.scheme = Some(value.to_owned()),
                _ => {}
            }
        }
        hop
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|one| one.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// The elements of a header that may come several times.
fn list(headers: &HeaderMap, name: HeaderName) -> std::vec::IntoIter<String> {
    let values = headers.get_all(name).into_iter();
    let texts = values.map(|value| value.to_str().unwrap_or_default());
    let parts = texts.flat_map(|text| text.split(',')).map(|one| one.trim().to_owned());
    parts.collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_engine_io_begins_without_its_id() {
        let begins =
            |path: &str| is_handshake(&Request::builder().uri(path).body(()).expect("legal"));
        assert!(begins("/socket.io/?EIO=4&transport=polling"));
        assert!(begins("/socket.io/?EIO=4&transport=polling&xsid=1"));
        assert!(!begins("/socket.io/?EIO=4&transport=polling&sid=1"));
        assert!(!begins("/api/chat/threads?sid=1"));
    }

    fn settled(peer: &str, lines: &[(&'static str, &str)]) -> (String, HeaderMap) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("inside:4000"));
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let address = settle(&mut headers, peer.parse().unwrap(), &trusted);
        (address.to_string(), headers)
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_what_they_wrote() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let cases: [Case; 12] = [
            ("192.0.2.9", &[("x-forwarded-for", "198.51.100.1")], "192.0.2.9"),
            ("192.0.2.9", &[("forwarded", "for=198.51.100.1")], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
            // The client wrote the first itself.
            ("10.0.0.1", &[("x-forwarded-for", "203.0.113.7, 198.51.100.1")], "198.51.100.1"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "10.9.9.9, 198.51.100.1, 10.0.0.2")],
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "198.51.100.1")],
                "198.51.100.1",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1:4711")], "198.51.100.1"),
            (
                "2001:db8::1",
                &[("forwarded", "for=\"[2001:db8:2::7]:4711\";proto=https")],
                "2001:db8:2::7",
            ),
            (
                "10.0.0.1",
                &[("forwarded", "for=203.0.113.7, For=198.51.100.1;by=10.0.0.1")],
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                &[("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "198.51.100.1")],
                "198.51.100.1",
            ),
        ];
        for (peer, lines, wanted) in cases {
            assert_eq!(settled(peer, lines).0, wanted, "{peer} {lines:?}");
        }
    }

    #[test]
    fn host_and_scheme_are_the_proxys_word_or_nobodys() {
        let lines = [("x-forwarded-host", "chat.example"), ("x-forwarded-proto", "WSS")];
        let (_, headers) = settled("10.0.0.1", &lines);
        assert_eq!(
            (&headers[header::HOST], &headers[SCHEME]),
            (&"chat.example".parse().unwrap(), &"https".parse().unwrap())
        );
        let (_, headers) = settled("192.0.2.9", &lines);
        assert_eq!(headers[header::HOST], "inside:4000");
        assert_eq!(headers.len(), 1, "{headers:?}");
        let (_, headers) =
            settled("10.0.0.1", &[("forwarded", "for=_x;host=\"chat.example\";proto=http")]);
        assert_eq!(
            (&headers[header::HOST], &headers[SCHEME]),
            (&"chat.example".parse().unwrap(), &"http".parse().unwrap())
        );
        let (_, headers) = settled("10.0.0.1", &[("x-forwarded-proto", "gopher")]);
        assert!(!headers.contains_key(SCHEME));
    }
}
