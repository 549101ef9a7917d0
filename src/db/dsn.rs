//! A connection string, URL or `key=value`, taken apart: the TLS settings for us, the rest for the driver.

use std::fmt::Write as _;

/// The settings that libpq knows and that change nothing here.
const IGNORED: [&str; 5] =
    ["gssencmode", "sslcompression", "krbsrvname", "client_encoding", "fallback_application_name"];

/// What a connection string says about TLS, and the same string without it.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Dsn {
    /// What the driver understands.
    pub(super) rest: String,
    /// `sslmode`.
    pub(super) mode: Option<String>,
    /// `sslrootcert`.
    pub(super) root_cert: Option<String>,
    /// `sslcert`.
    pub(super) cert: Option<String>,
    /// `sslkey`.
    pub(super) key: Option<String>,
    /// `sslcertmode`: whether there is a client certificate at all.
    pub(super) cert_mode: Option<String>,
    /// `sslsni`: whether the server is told which host is meant; `0` for not.
    pub(super) sni: Option<String>,
    /// `ssl_min_protocol_version`.
    pub(super) oldest: Option<String>,
    /// `ssl_max_protocol_version`.
    pub(super) newest: Option<String>,
    /// `sslnegotiation`; the driver reads it, too.
    pub(super) negotiation: Option<String>,
    /// The names of all settings that were given, for those that have a default of ours.
    pub(super) given: Vec<String>,
}

impl Dsn {
    /// Takes a connection string apart. The error never quotes it: there is a password in it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            Self::parse_url(text)
        } else {
            Self::parse_pairs(text)
        }
    }

    fn parse_url(text: &str) -> Result<Self, String> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let mut dsn = Self { rest: base.to_owned(), ..Self::default() };
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !dsn.take(name, percent_decoded(value)?) {
                dsn.rest.push(separator);
                dsn.rest.push_str(pair);
                separator = '&';
            }
        }
        Ok(dsn)
    }

    fn parse_pairs(text: &str) -> Result<Self, String> {
        let mut dsn = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest
                .split_once('=')
                .ok_or("a connection string is a postgres:// URL or key=value pairs")?;
            let (value, after) = pair_value(after.trim_start())?;
            let name = name.trim();
            if !dsn.take(name, value.clone()) {
                let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
                let _ = write!(dsn.rest, "{name}='{quoted}' ");
            }
            rest = after.trim_start();
        }
        Ok(dsn)
    }

    /// Keeps a setting that is ours, or says that it is not.
    fn take(&mut self, name: &str, value: String) -> bool {
        self.given.push(name.to_owned());
        if name == "sslnegotiation" {
            self.negotiation = Some(value);
            return false;
        }
        let slot = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root_cert,
            "sslcert" => &mut self.cert,
            "sslkey" => &mut self.key,
            "sslcertmode" => &mut self.cert_mode,
            "sslsni" => &mut self.sni,
            "ssl_min_protocol_version" => &mut self.oldest,
            "ssl_max_protocol_version" => &mut self.newest,
            _ => return IGNORED.contains(&name),
        };
        *slot = Some(value);
        true
    }
}

/// Reads one value of a `key=value` string: bare up to white space, or in single quotes; a backslash escapes.
fn pair_value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if !quoted && char.is_whitespace() => return Ok((value, &text[at..])),
            _ => value.push(char),
        }
    }
    if quoted { Err("a quoted value is not closed".to_owned()) } else { Ok((value, "")) }
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let decoded = if byte == b'%' {
            let (hex, after) = rest.split_at_checked(2).ok_or("a % lacks its two digits")?;
            rest = after;
            let hex = std::str::from_utf8(hex).map_err(|_| "a % lacks its two digits")?;
            u8::from_str_radix(hex, 16).map_err(|_| "a % lacks its two digits")?
        } else {
            byte
        };
        bytes.push(decoded);
    }
    String::from_utf8(bytes).map_err(|_| "a value is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_and_pairs_say_the_same() {
        let url = Dsn::parse(
            "postgres://u:p%40s@h:1/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fa%20b.pem",
        )
        .expect("legal");
        assert_eq!(url.rest, "postgres://u:p%40s@h:1/d?connect_timeout=3");
        assert_eq!(url.mode.as_deref(), Some("verify-full"));
        assert_eq!(url.root_cert.as_deref(), Some("/a b.pem"));

        let pairs =
            Dsn::parse(r"host = h user='u v' password=a\'b sslmode=require sslrootcert='/a b.pem'")
                .expect("legal");
        assert_eq!(pairs.rest, r"host='h' user='u v' password='a\'b' ");
        assert_eq!(pairs.mode.as_deref(), Some("require"));
        assert_eq!(pairs.root_cert.as_deref(), Some("/a b.pem"));
    }

    #[test]
    fn nonsense_is_an_error_without_the_text() {
        for bad in
            ["secret", "host='secret", "postgres://h/d?sslmode=%zz", "postgres://h/d?sslkey=%e4"]
        {
            let why = Dsn::parse(bad).err().expect("an error");
            assert!(!why.contains("secret"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".*", url in any::<bool>()) {
            let _ = Dsn::parse(&if url { format!("postgres://{text}") } else { text });
        }

        #[test]
        fn quoting_is_undone_by_reading(value in ".*") {
            let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
            let dsn = Dsn::parse(&format!("sslkey='{quoted}'")).expect("legal");
            prop_assert_eq!(dsn.key.as_deref(), Some(value.as_str()));
        }
    }
}
