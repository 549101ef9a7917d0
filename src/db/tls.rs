//! TLS to Postgres with libpq's rules: `require` encrypts, `verify-ca` knows the issuer, `verify-full` the name too.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::dsn::Dsn;

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
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match client_certificate(dsn)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("sslcert and sslkey do not work: {error}")),
        None => Ok(builder.with_no_client_auth()),
    }
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(dsn: &Dsn) -> Result<Option<ClientCertificate>, String> {
    let cert = dsn.cert.clone().or_else(|| default_file("postgresql.crt"));
    let key = dsn.key.clone().or_else(|| default_file("postgresql.key"));
    let (Some(cert), Some(key)) = (cert, key) else {
        let given = dsn.cert.is_some() || dsn.key.is_some();
        return if given { Err("sslcert and sslkey belong together".to_owned()) } else { Ok(None) };
    };
    let chain = read_certificates(&cert, "sslcert")?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| format!("sslkey `{key}` cannot be read: {error}"))?;
    Ok(Some((chain, key)))
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
        verify_tls13_signature(message, cert, dss, algorithms)
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
    }
}
