//! Whether a connection is encrypted, and whose certificate is believed: `sslmode` and `sslrootcert`, as libpq
//! means them.
//!
//! | `sslmode` | encrypted | certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `allow`, `prefer` | if the server offers it | any |
//! | `require` | yes | any; with `sslrootcert` as `verify-ca` |
//! | `verify-ca` | yes | signed by a trusted authority |
//! | `verify-full` | yes | the same, and it names the host |
//!
//! Authorities are those in the file `sslrootcert`, or those of the system. Without `sslmode` it is `prefer` on
//! this machine and `require` elsewhere, so that no password is sent in plain text to another machine unless
//! somebody has written so.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    Never,
    IfOffered,
    Always,
}

/// What a server's certificate must prove.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Nothing,
    /// That an authority has signed it.
    Authority,
    /// And that it is the host's.
    Host,
}

/// The rules for connections to a server.
#[derive(Debug, Clone)]
pub(super) struct TlsRules {
    pub encryption: Encryption,
    pub config: ClientConfig,
}

/// What `sslrootcert` stands for.
enum Roots<'a> {
    System,
    File(&'a str),
}

impl TlsRules {
    /// The rules for these parameters. `is_here` says that the server is on this machine.
    pub(super) fn read(
        sslmode: Option<&str>,
        sslrootcert: Option<&str>,
        is_here: bool,
    ) -> Result<Self, String> {
        let roots = match sslrootcert {
            None | Some("system") => Roots::System,
            Some(path) => Roots::File(path),
        };
        let is_system = sslrootcert == Some("system");
        let (encryption, proof) = match sslmode {
            Some("disable") => (Encryption::Never, Proof::Nothing),
            Some("allow" | "prefer" | "require") if is_system => {
                return Err("with sslrootcert=system, sslmode must be verify-full".to_owned());
            }
            Some("verify-ca") if is_system => {
                return Err("with sslrootcert=system, sslmode must be verify-full".to_owned());
            }
            None if is_system => (Encryption::Always, Proof::Host),
            Some("allow" | "prefer") => (Encryption::IfOffered, Proof::Nothing),
            None if is_here && sslrootcert.is_none() => (Encryption::IfOffered, Proof::Nothing),
            Some("require") | None if sslrootcert.is_none() => (Encryption::Always, Proof::Nothing),
            Some("require" | "verify-ca") | None => (Encryption::Always, Proof::Authority),
            Some("verify-full") => (Encryption::Always, Proof::Host),
            Some(other) => return Err(format!("{other:?} is not a value of sslmode")),
        };
        Ok(Self { encryption, config: client_config(&proof, &roots)? })
    }
}

fn client_config(proof: &Proof, roots: &Roots<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, listed) = match (proof, roots) {
        (Proof::Nothing, _) => (None, Vec::new()),
        (_, Roots::System) => (Some(chain_verifier(system_certificates()?, &provider)?), Vec::new()),
        (_, Roots::File(path)) => {
            let listed = certificates_of(path)?;
            let chain =
                chain_verifier(listed.clone(), &provider).map_err(|error| format!("{path}: {error}"))?;
            (Some(chain), listed)
        }
    };
    let checks_name = *proof == Proof::Host;
    let verifier = Verifier { provider: Arc::clone(&provider), chain, listed, checks_name };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn system_certificates() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!(
            "this system has no certificates of authorities; name a file in sslrootcert. {}",
            errors.join("; ")
        ));
    }
    Ok(found.certs)
}

fn certificates_of(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("sslrootcert {path} cannot be read: {error}"))?;
    if certificates.is_empty() {
        Err(format!("sslrootcert {path} has no certificate"))
    } else {
        Ok(certificates)
    }
}

fn chain_verifier(
    certificates: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    // A system may have some of a form that is no longer in use.
    roots.add_parsable_certificates(certificates);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

/// Decides whether a server's certificate is believed.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` believes every certificate.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are believed as they are. So a server may have a certificate that it has signed
    /// itself, such as Debian's.
    listed: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        if self.listed.contains(end_entity) {
            if self.checks_name {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, so everything else is right.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mode_only_this_machine_may_be_reached_in_plain_text() {
        let encryption = |mode, is_here| TlsRules::read(mode, None, is_here).unwrap().encryption;
        assert_eq!(encryption(None, true), Encryption::IfOffered);
        assert_eq!(encryption(None, false), Encryption::Always);
        for mode in ["prefer", "allow"] {
            assert_eq!(encryption(Some(mode), false), Encryption::IfOffered);
        }
        assert_eq!(encryption(Some("disable"), false), Encryption::Never);
    }

    #[test]
    fn wrong_values_are_told() {
        for (mode, roots, wanted) in [
            (Some("always"), None, "is not a value of sslmode"),
            (Some("require"), Some("system"), "must be verify-full"),
            (Some("verify-ca"), Some("/nowhere.pem"), "/nowhere.pem"),
        ] {
            let error = TlsRules::read(mode, roots, true).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
