//! TLS to Postgres with libpq's rules: `require` encrypts, `verify-ca` knows the issuer, `verify-full` the name too.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{certificate, dsn::Dsn};

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Never.
    Disable,
    /// Only when the server insists.
    Allow,
    /// When the server can.
    Prefer,
    /// Always, whoever the server is; like `VerifyCa` when a root certificate is given.
    Require,
    /// Always, with a certificate from a known issuer.
    VerifyCa,
    /// Always, with a certificate from a known issuer for this host.
    VerifyFull,
}

impl Mode {
    /// Reads the mode; libpq's default is `prefer`, and `verify-full` with the system's certificates.
    pub(super) fn of(dsn: &Dsn) -> Result<Self, String> {
        let system = dsn.root_cert.as_deref() == Some("system");
        let mode = match dsn.mode.as_deref() {
            None if system => Self::VerifyFull,
            None | Some("prefer") => Self::Prefer,
            Some("disable") => Self::Disable,
            Some("allow") => Self::Allow,
            Some("require") => Self::Require,
            Some("verify-ca") => Self::VerifyCa,
            Some("verify-full") => Self::VerifyFull,
            Some(other) => {
                return Err(format!(
                    "sslmode `{other}` is unknown; use disable, allow, prefer, require, verify-ca or verify-full"
                ));
            }
        };
        let weak = matches!(mode, Self::Disable | Self::Allow | Self::Prefer);
        if weak && dsn.negotiation.as_deref() == Some("direct") {
            return Err("sslnegotiation=direct wants sslmode=require, verify-ca or verify-full: there is no going back to plain text".to_owned());
        }
        if system && mode != Self::VerifyFull {
            return Err("sslrootcert=system wants sslmode=verify-full: anybody gets a certificate from a public authority".to_owned());
        }
        Ok(mode)
    }
}

/// Builds the TLS side of a connection; files are read now, once.
pub(super) fn client_config(mode: Mode, dsn: &Dsn) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = match (mode, &dsn.root_cert) {
        (Mode::VerifyFull, Some(word)) if word == "system" => Some(system_roots()?),
        (Mode::Require | Mode::VerifyCa | Mode::VerifyFull, Some(file)) => Some(read_roots(file)?),
        (Mode::Require, None) => {
            default_file("root.crt").map(|file| read_roots(&file)).transpose()?
        }
        (Mode::VerifyCa | Mode::VerifyFull, None) => {
            let file = default_file("root.crt").ok_or(
                "sslmode=verify-ca and verify-full want a root certificate: add sslrootcert=FILE, or sslrootcert=system with verify-full",
            )?;
            Some(read_roots(&file)?)
        }
        (Mode::Disable | Mode::Allow | Mode::Prefer, _) => None,
    };
    let verifier =
        Verifier { roots, name: mode == Mode::VerifyFull, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(dsn)?)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client_certificate(dsn)? {
        Some((chain, key)) => {
            let key = provider.key_provider.load_private_key(key);
            let key = key.map_err(|error| format!("sslkey does not work: {error}"))?;
            // Not by `with_client_auth_cert`, which refuses certificates of version 1.
            let pair = SingleCertAndKey::from(CertifiedKey::new(chain, key));
            builder.with_client_cert_resolver(Arc::new(pair))
        }
        None => builder.with_no_client_auth(),
    };
    // A server that is spoken to directly (sslnegotiation=direct) has to hear it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    config.enable_sni = dsn.sni.as_deref() != Some("0");
    Ok(config)
}

/// The versions between the oldest and the newest that are wanted; none below TLS 1.2 is spoken, as by libpq.
fn versions(dsn: &Dsn) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let number = |name: &str, given: &Option<String>, usual: u8| match given.as_deref() {
        None | Some("") => Ok(usual),
        Some("TLSv1" | "TLSv1.1") => Ok(1),
        Some("TLSv1.2") => Ok(2),
        Some("TLSv1.3") => Ok(3),
        Some(other) => Err(format!("{name} `{other}` is unknown; use TLSv1.2 or TLSv1.3")),
    };
    let oldest = number("ssl_min_protocol_version", &dsn.oldest, 2)?;
    let newest = number("ssl_max_protocol_version", &dsn.newest, 3)?;
    let spoken = [(2, &TLS12), (3, &TLS13)];
    let fits = |version: u8| oldest <= version && version <= newest;
    let versions: Vec<_> =
        spoken.into_iter().filter(|(nth, _)| fits(*nth)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        return Err("ssl_min_protocol_version and ssl_max_protocol_version leave none of TLSv1.2 and TLSv1.3".to_owned());
    }
    Ok(versions)
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(dsn: &Dsn) -> Result<Option<ClientCertificate>, String> {
    let wanted = match dsn.cert_mode.as_deref() {
        None | Some("allow") => false,
        Some("disable") => return Ok(None),
        Some("require") => true,
        Some(other) => {
            return Err(format!("sslcertmode `{other}` is unknown; use disable, allow or require"));
        }
    };
    let cert = dsn.cert.clone().or_else(|| default_file("postgresql.crt"));
    let key = dsn.key.clone().or_else(|| default_file("postgresql.key"));
    let (Some(cert), Some(key)) = (cert, key) else {
        let given = dsn.cert.is_some() || dsn.key.is_some();
        return match (given, wanted) {
            (true, _) => Err("sslcert and sslkey belong together".to_owned()),
            (false, true) => Err("sslcertmode=require wants sslcert and sslkey".to_owned()),
            (false, false) => Ok(None),
        };
    };
    let chain = read_certificates(&cert, "sslcert")?;
    refuse_open_key(&key)?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| format!("sslkey `{key}` cannot be read: {error}"))?;
    Ok(Some((chain, key)))
}

/// As libpq: a key that others may read is no secret; one of root's may be read by its group.
fn refuse_open_key(file: &str) -> Result<(), String> {
    #[cfg(unix)]
    if let Ok(found) = std::fs::metadata(file) {
        use std::os::unix::fs::MetadataExt;
        let others = if found.uid() == 0 { 0o037 } else { 0o077 };
        if found.mode() & others != 0 {
            return Err(format!("sslkey `{file}` may be read by others; run: chmod 0600 '{file}'"));
        }
    }
    Ok(())
}

fn read_certificates(file: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{what} `{file}` cannot be read: {why}");
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("no certificate in it".to_owned())) } else { Ok(found) }
}

fn read_roots(file: &str) -> Result<Roots, String> {
    let pinned = read_certificates(file, "sslrootcert")?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(pinned.iter().cloned());
    Ok(Roots { store, pinned })
}

fn system_roots() -> Result<Roots, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err("sslrootcert=system: this machine has no certificate authorities; install ca-certificates".to_owned());
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    Ok(Roots { store, pinned: Vec::new() })
}

/// A file of libpq's in `~/.postgresql`, if it is there.
fn default_file(name: &str) -> Option<String> {
    let file = PathBuf::from(std::env::var_os("HOME")?).join(".postgresql").join(name);
    file.is_file().then(|| file.to_string_lossy().into_owned())
}

/// Whom we trust: issuers, and certificates as they are (a self-signed server certificate is its own root).
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Verifier {
    roots: Option<Roots>,
    name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &roots.store,
            intermediates,
            now,
            algorithms,
        );
        match signed {
            // webpki refuses an authority's certificate as a server's; pinned, it is as good as OpenSSL holds it.
            Err(TlsError::InvalidCertificate(why))
                if !is_out_of_date(&why) && roots.pinned.iter().any(|root| root == end_entity) => {}
            other => other?,
        }
        if self.name {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match certificate::public_key(cert) {
            // Whose issuer is not asked for may be as old as this: libpq takes it, too.
            Some(key) => verify_tls13_signature_with_raw_key(message, &key.into(), dss, algorithms),
            None => verify_tls13_signature(message, cert, dss, algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_out_of_date(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Result<Mode, String> {
        Mode::of(&Dsn::parse(text).expect("legal"))
    }

    #[test]
    fn modes_are_those_of_libpq() {
        assert_eq!(mode("host=h"), Ok(Mode::Prefer));
        assert_eq!(mode("host=h sslmode=verify-ca"), Ok(Mode::VerifyCa));
        assert_eq!(mode("host=h sslrootcert=system"), Ok(Mode::VerifyFull));
        assert!(mode("host=h sslmode=require sslrootcert=system").is_err());
        assert!(mode("host=h sslmode=yes").is_err_and(|why| why.contains("verify-full")));
        assert_eq!(mode("host=h sslmode=require sslnegotiation=direct"), Ok(Mode::Require));
        assert!(mode("host=h sslnegotiation=direct").is_err_and(|why| why.contains("require")));
    }

    #[test]
    fn versions_are_those_between_the_bounds() {
        let count =
            |text: &str| versions(&Dsn::parse(text).expect("legal")).map(|found| found.len());
        assert_eq!(count("host=h"), Ok(2));
        assert_eq!(count("host=h ssl_min_protocol_version=TLSv1"), Ok(2));
        assert_eq!(count("host=h ssl_min_protocol_version=TLSv1.3"), Ok(1));
        assert_eq!(count("host=h ssl_max_protocol_version=TLSv1.2"), Ok(1));
        assert!(count("host=h ssl_max_protocol_version=TLSv1.1").is_err());
        assert!(
            count("host=h ssl_min_protocol_version=SSLv3").is_err_and(|why| why.contains("SSLv3"))
        );
    }
}
