//! What a registration says, read and bounded.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{CertificateRequest, KeyAlgorithm, SubjectPublicKey};
use sealift_protocol::AgentId;
use sealift_protocol::agent::registration::{Register, parameters, version_text};
use uuid::Uuid;

use super::KnownAgent;
use super::answer::Refusal;
use crate::agents::agent::Status;
use crate::agents::{capability, enrollment_token};

/// Characters of a machine's name.
const MAX_MACHINE: usize = 256;
/// Longest certificate request, in base64 characters.
const MAX_CSR: usize = 16_384;
/// Longest enrollment token that is looked at, in bytes.
const MAX_TOKEN: usize = 256;
/// Smallest RSA key that gets an identity, in bits.
const MIN_RSA_BITS: u32 = 2_048;

/// A registration.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client_machine: String,
    pub(super) platform: i16,
    pub(super) version: String,
    pub(super) speaks_extensions: bool,
    pub(super) capabilities: Vec<String>,
    /// The key that signed the request for a certificate.
    pub(super) key: Option<AskedKey>,
    /// Hash of the enrollment token.
    pub(super) enrollment_token: Option<[u8; 32]>,
}

/// A key that someone proved to hold, by signing a request with it.
#[derive(Debug)]
pub(super) struct AskedKey {
    pub(super) public_key: SubjectPublicKey,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(super) fingerprint: [u8; 32],
}

impl Asked {
    /// Reads a registration.
    pub(super) fn parse(request: Register) -> Result<Self, Refusal> {
        let parameter = |name: &str| {
            let mut found =
                request.client_parameters.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        let token = parameter(parameters::ENROLLMENT_TOKEN).filter(|token| token.len() <= MAX_TOKEN);
        Ok(Self {
            client_machine: machine(&request.client_machine)?,
            platform: i16::try_from(request.agent_platform).unwrap_or_default(),
            version: version_text(request.agent_version),
            speaks_extensions: parameter(parameters::EXTENSIONS).is_some(),
            enrollment_token: token.map(enrollment_token::hash),
            key: match request.csr.as_deref().map(str::trim).filter(|csr| !csr.is_empty()) {
                Some(csr) => Some(key(csr)?),
                None => None,
            },
            capabilities: capability::parse(request.capabilities)
                .map_err(|error| Refusal::invalid(&error.to_string()))?,
        })
    }

    /// The row of a first contact.
    pub(super) fn first_row(&self, id: AgentId, username: &str) -> KnownAgent {
        KnownAgent {
            id,
            client_machine: self.client_machine.clone(),
            username: username.to_owned(),
            platform: self.platform,
            version: self.version.clone(),
            speaks_extensions: self.speaks_extensions,
            status: Status::New.number(),
            capabilities: self.capabilities.clone(),
            key_fingerprint: self.key.as_ref().map(|key| key.fingerprint.to_vec()),
            certificate: None,
            thumbprint: None,
            legacy_thumbprint: None,
            last_thumbprint_used: None,
            identity_expires_at: None,
            last_seen_at: None,
            reenrollment: 0,
        }
    }
}

fn machine(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    match name.is_empty() || name.chars().count() > MAX_MACHINE || name.chars().any(char::is_control) {
        true => {
            Err(Refusal::invalid(&format!("ClientMachine must be 1 to {MAX_MACHINE} printable characters")))
        }
        false => Ok(name.to_owned()),
    }
}

/// The key of a request for a certificate. Nothing else of it counts: the subject is the server's choice.
fn key(csr: &str) -> Result<AskedKey, Refusal> {
    if csr.len() > MAX_CSR {
        return Err(Refusal::bad_request("it is too long"));
    }
    let compact: String = csr.split_ascii_whitespace().collect();
    let der =
        STANDARD.decode(compact).map_err(|_| Refusal::bad_request("it is not base64 of DER on one line"))?;
    let request =
        CertificateRequest::parse(&der).map_err(|error| Refusal::bad_request(&error.to_string()))?;
    match request.key_algorithm() {
        KeyAlgorithm::Rsa(bits) if bits < MIN_RSA_BITS => {
            Err(Refusal::bad_request("its RSA key is too short"))
        }
        KeyAlgorithm::Unknown => Err(Refusal::bad_request("the algorithm of its key is unknown")),
        _ => {
            let public_key = request.public_key().clone();
            let mut fingerprint = [0; 32];
            fingerprint.copy_from_slice(digest(&SHA256, public_key.der()).as_ref());
            Ok(AskedKey { public_key, fingerprint })
        }
    }
}

/// The token of a session that is not stored: our own agent needs none.
pub(super) fn unused_token() -> Uuid {
    Uuid::new_v4()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sealift_pki::{DistinguishedName, PrivateKey};

    use super::*;

    fn request(csr: Option<String>) -> Register {
        Register {
            client_machine: " web1.example.test ".to_owned(),
            agent_platform: 5,
            csr,
            ..Register::default()
        }
    }

    fn refused(request: Register) -> String {
        let answer = Asked::parse(request).unwrap_err().answer();
        assert_eq!((answer.result.status, answer.session.is_none()), (3, true));
        answer.result.error.unwrap().message.unwrap()
    }

    #[test]
    fn a_request_proves_its_key() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let subject: DistinguishedName = "CN=anything".parse().unwrap();
        let csr = CertificateRequest::create(&key, &subject, &[]).unwrap();
        let asked = Asked::parse(request(Some(STANDARD.encode(csr.der())))).unwrap();
        assert_eq!(asked.client_machine, "web1.example.test");
        let asked_key = asked.key.unwrap();
        assert_eq!(asked_key.public_key.der(), key.public_key());
        assert_eq!(asked_key.fingerprint.as_slice(), digest(&SHA256, key.public_key()).as_ref());

        let mut forged = csr.der().to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(refused(request(Some(STANDARD.encode(&forged)))).contains("CSR"));
    }

    #[test]
    fn bad_requests_are_refused_in_few_words() {
        for csr in ["!!", "AAAA", &"A".repeat(MAX_CSR + 4), &STANDARD.encode([0x30; 2_000])] {
            let message = refused(request(Some(csr.to_owned())));
            assert!(message.contains("CSR") && message.len() < 900, "{message}");
        }
        for machine in ["", "  ", "a\nb", &"x".repeat(257)] {
            assert!(
                refused(Register { client_machine: machine.to_owned(), ..request(None) })
                    .contains("ClientMachine")
            );
        }
        let capabilities = vec!["x".to_owned(); 201];
        assert!(refused(Register { capabilities, ..request(None) }).contains("Capabilities"));
    }

    #[test]
    fn parameters_are_found_in_any_case_and_bounded() {
        let with = |name: &str, value: &str| Register {
            client_parameters: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..request(None)
        };
        assert!(Asked::parse(with("sealiftextensions", "1")).unwrap().speaks_extensions);
        assert!(!Asked::parse(with("Site", "oslo")).unwrap().speaks_extensions);
        let token = Asked::parse(with("enrollmenttoken", " sle_x ")).unwrap().enrollment_token;
        assert_eq!(token, Some(enrollment_token::hash("sle_x")));
        assert!(Asked::parse(with("EnrollmentToken", &"x".repeat(257))).unwrap().enrollment_token.is_none());
    }

    #[test]
    fn versions_and_platforms_out_of_bounds_do_not_stop_a_registration() {
        let asked =
            Asked::parse(Register { agent_platform: i32::MAX, agent_version: u64::MAX, ..request(None) })
                .unwrap();
        assert_eq!((asked.platform, asked.version.as_str()), (0, "65535.65535.65535.65535"));
    }
}
