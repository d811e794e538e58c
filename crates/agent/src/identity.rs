//! Who the agent is: its key, its certificate and its id, kept so that no crash leaves it with halves.
//!
//! The key is made here and never leaves the machine. An identity that is turned down is asked for again with the key
//! it was issued for, by which the server can recognise the agent; every renewal brings a new key. A new key is
//! *staged* beside the one in use and stays the same through all tries until a certificate for it arrives; the answer
//! of the server is then written down in one file (`identity.next.json`), and from it the files in use are replaced.
//! A start that finds this file repeats the replacement, so whatever the moment of a crash, a whole identity is found.
//! The agent never discards its id.
//!
//! | file | holds |
//! |---|---|
//! | `identity.key` | the private key in use |
//! | `identity.pem` | its certificate |
//! | `identity.json` | the agent's id, and when and for how long the certificate was received |
//! | `identity.next.key` | the staged key |
//! | `identity.next.json` | an answer of the server that is being put in place |
//!
//! This file also holds the only look at the wall clock. It decides nothing but when to *ask* for a new certificate:
//! a wrong clock makes the agent ask too early, or later than it should but still when refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{Certificate, CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey};
use sealift_stores::atomic_file;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Longest id that is believed; the protocol says 36.
const MAX_ID: usize = 64;
/// Largest file that is read back, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Longest common name of X.520.
const MAX_COMMON_NAME: usize = 64;
const FILE_MODE: u32 = 0o600;

const KEY: &str = "identity.key";
const CERTIFICATE: &str = "identity.pem";
const RECORD: &str = "identity.json";
const NEXT_KEY: &str = "identity.next.key";
const NEXT: &str = "identity.next.json";

/// Why the identity cannot be read, made or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or removed.
    #[error("{path}: {source}; the agent must be able to read and write its data directory", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("the identity cannot be saved: {0}")]
    Unsaved(#[from] sealift_stores::Error),
    /// A file holds something else than it should.
    #[error("{path}: {reason}; restore it from a backup, or remove all identity.* files to register anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The server sent a certificate or id that cannot be ours.
    #[error("the server's answer is refused: {0}")]
    Answer(String),
    /// Making a key or request failed.
    #[error(transparent)]
    Pki(#[from] sealift_pki::Error),
}

/// A whole identity.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The id that the server gave.
    pub(crate) agent_id: String,
    key: PrivateKey,
    certificate: Certificate,
    received_at: DateTime<Utc>,
}

impl Identity {
    /// Certificate and key as PEM, as the TLS library wants them.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        let (key, certificate) = (self.key.to_pem(), self.certificate.to_pem());
        let mut text = Zeroizing::new(String::with_capacity(key.len() + certificate.len() + 1));
        text.push_str(&certificate);
        text.push('\n');
        text.push_str(&key);
        text
    }

    /// The key it was issued for.
    pub(crate) const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// When the certificate ends.
    pub(crate) fn expires(&self) -> DateTime<Utc> {
        self.certificate.not_after()
    }

    fn lifetime(&self) -> TimeDelta {
        self.certificate.not_after() - self.certificate.not_before()
    }

    /// Whether two thirds of the certificate's life are over: by its own dates, or by the time since it was received
    /// (which holds even where the clock has always been wrong by the same amount).
    pub(crate) fn renewal_due(&self, now: DateTime<Utc>) -> bool {
        let two_thirds = self.lifetime() / 3 * 2;
        now >= self.certificate.not_before() + two_thirds || now >= self.received_at + two_thirds
    }

    /// Shortest time between two requests for a new certificate, so that a wrong clock cannot make them a flood.
    pub(crate) fn renewal_pause(&self) -> std::time::Duration {
        let seconds = (self.lifetime() / 12).num_seconds().clamp(1, 3600);
        std::time::Duration::from_secs(seconds.unsigned_abs())
    }
}

/// `identity.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    agent_id: String,
    /// Seconds since 1970 by this machine's clock.
    received_at: i64,
    lifetime_seconds: i64,
}

/// `identity.next.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Next {
    agent_id: String,
    /// Base64 DER.
    certificate: String,
    received_at: i64,
}

/// The files of the identity.
#[derive(Debug, Clone)]
pub(crate) struct IdentityFiles {
    directory: PathBuf,
}

impl IdentityFiles {
    /// Uses the directory, which must exist.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The identity in use, after finishing what a crash interrupted; `None` before the first registration.
    pub(crate) fn load(&self) -> Result<Option<Identity>, IdentityError> {
        self.finish_replacement()?;
        self.peek()
    }

    /// The identity in use, as it lies there; nothing is changed.
    pub(crate) fn peek(&self) -> Result<Option<Identity>, IdentityError> {
        let Some(record) = self.read_json::<Record>(RECORD)? else { return Ok(None) };
        let (Some(key), Some(text)) = (self.read_key(KEY)?, self.read(CERTIFICATE)?) else { return Ok(None) };
        let damaged = |reason: String| IdentityError::Damaged { path: self.path(CERTIFICATE), reason };
        let certificates =
            sealift_pki::pem::certificates(&text).map_err(|error| damaged(error.to_string()))?;
        let certificate =
            certificates.into_iter().next().ok_or_else(|| damaged("holds no certificate".to_owned()))?;
        if !key.matches(&certificate) {
            return Err(damaged(format!("the certificate does not belong to {KEY}")));
        }
        let received_at = DateTime::from_timestamp(record.received_at, 0).unwrap_or_default();
        Ok(Some(Identity { agent_id: record.agent_id, key, certificate, received_at }))
    }

    /// The staged key, where there is one.
    pub(crate) fn staged(&self) -> Result<Option<PrivateKey>, IdentityError> {
        self.read_key(NEXT_KEY)
    }

    /// The staged key; made, and on disk, where there is none.
    pub(crate) fn staged_key(&self) -> Result<PrivateKey, IdentityError> {
        if let Some(key) = self.staged()? {
            return Ok(key);
        }
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        atomic_file::write(&self.path(NEXT_KEY), key.to_pem().as_bytes(), FILE_MODE)?;
        Ok(key)
    }

    /// The name and content of the key file that a certificate was made for.
    fn key_of(&self, certificate: &Certificate) -> Result<Option<(&'static str, PrivateKey)>, IdentityError> {
        for name in [NEXT_KEY, KEY] {
            if let Some(key) = self.read_key(name)?.filter(|key| key.matches(certificate)) {
                return Ok(Some((name, key)));
            }
        }
        Ok(None)
    }

    /// Puts the server's answer in place: a certificate for the staged key, or for the one in use.
    pub(crate) fn accept(
        &self,
        agent_id: &str,
        certificate: &str,
        now: DateTime<Utc>,
    ) -> Result<Identity, IdentityError> {
        let answered = |reason: &str| IdentityError::Answer(reason.to_owned());
        check_id(agent_id)?;
        let parsed = decode_certificate(certificate).map_err(|reason| answered(&reason))?;
        if self.key_of(&parsed)?.is_none() {
            return Err(answered("its certificate is not for the key of our request"));
        }
        let next = Next {
            agent_id: agent_id.to_owned(),
            certificate: STANDARD.encode(parsed.der()),
            received_at: now.timestamp(),
        };
        self.write_json(NEXT, &next)?;
        self.load()?.ok_or_else(|| answered("it could not be read back after it was saved"))
    }

    /// Keeps another id for the same key and certificate.
    pub(crate) fn rename(&self, identity: &Identity, agent_id: &str) -> Result<Identity, IdentityError> {
        check_id(agent_id)?;
        let renamed = Identity { agent_id: agent_id.to_owned(), ..identity.clone() };
        self.write_record(&renamed.agent_id, &renamed.certificate, renamed.received_at.timestamp())?;
        Ok(renamed)
    }

    /// Repeats the replacement that an answer of the server calls for, from the first step; each may be repeated.
    fn finish_replacement(&self) -> Result<(), IdentityError> {
        let Some(next) = self.read_json::<Next>(NEXT)? else { return Ok(()) };
        let damaged = |reason| IdentityError::Damaged { path: self.path(NEXT), reason };
        let certificate = decode_certificate(&next.certificate).map_err(damaged)?;
        if let Some((found_in, key)) = self.key_of(&certificate)? {
            self.write_record(&next.agent_id, &certificate, next.received_at)?;
            if found_in != KEY {
                atomic_file::write(&self.path(KEY), key.to_pem().as_bytes(), FILE_MODE)?;
            }
            atomic_file::write(&self.path(CERTIFICATE), certificate.to_pem().as_bytes(), FILE_MODE)?;
            self.remove(NEXT_KEY)?;
        }
        self.remove(NEXT)
    }

    fn write_record(
        &self,
        agent_id: &str,
        certificate: &Certificate,
        received_at: i64,
    ) -> Result<(), IdentityError> {
        let lifetime_seconds = (certificate.not_after() - certificate.not_before()).num_seconds();
        self.write_json(RECORD, &Record { agent_id: agent_id.to_owned(), received_at, lifetime_seconds })
    }

    fn write_json(&self, name: &str, content: &impl Serialize) -> Result<(), IdentityError> {
        let damaged = |error: serde_json::Error| IdentityError::Damaged {
            path: self.path(name),
            reason: error.to_string(),
        };
        let text = serde_json::to_vec_pretty(content).map_err(damaged)?;
        Ok(atomic_file::write(&self.path(name), &text, FILE_MODE)?)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, IdentityError> {
        let damaged = |error: serde_json::Error| IdentityError::Damaged {
            path: self.path(name),
            reason: error.to_string(),
        };
        self.read(name)?.map(|text| serde_json::from_str(&text).map_err(damaged)).transpose()
    }

    fn read_key(&self, name: &str) -> Result<Option<PrivateKey>, IdentityError> {
        let Some(text) = self.read(name)? else { return Ok(None) };
        let damaged = |error: sealift_pki::Error| IdentityError::Damaged {
            path: self.path(name),
            reason: error.to_string(),
        };
        PrivateKey::from_pem(&text).map(Some).map_err(damaged)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, IdentityError> {
        let path = self.path(name);
        match read_bounded(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::File { path, source }),
        }
    }

    fn remove(&self, name: &str) -> Result<(), IdentityError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(IdentityError::File { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// A request for a certificate of the agent, base64 DER as the protocol wants it. The server chooses the subject.
pub(crate) fn request(key: &PrivateKey, name: &str) -> Result<String, IdentityError> {
    let common_name: String = name.chars().take(MAX_COMMON_NAME).collect();
    let subject = DistinguishedName::from_common_name(&common_name).map_err(sealift_pki::Error::from)?;
    Ok(STANDARD.encode(CertificateRequest::create(key, &subject, &[])?.der()))
}

/// The time by this machine's clock, right or wrong.
#[expect(
    clippy::disallowed_methods,
    reason = "only to decide when to ask for a new certificate; see the top of the file"
)]
pub(crate) fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

fn check_id(agent_id: &str) -> Result<(), IdentityError> {
    if agent_id.is_empty() || agent_id.len() > MAX_ID || agent_id.chars().any(char::is_control) {
        return Err(IdentityError::Answer(format!("its agent id is not 1 to {MAX_ID} plain characters")));
    }
    Ok(())
}

fn decode_certificate(text: &str) -> Result<Certificate, String> {
    let der = STANDARD.decode(text.trim()).map_err(|_| "its certificate is not base64".to_owned())?;
    Certificate::parse(&der).map_err(|error| error.to_string())
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<String>> {
    if fs::metadata(path)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    fs::read_to_string(path).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sealift_pki::{Issuer, SubjectPublicKey};

    use super::*;
    use crate::scripted_server::{authority, client_certificate};

    struct Fixture {
        directory: tempfile::TempDir,
        authority: Issuer,
    }

    impl Fixture {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), authority: authority() }
        }

        fn files(&self) -> IdentityFiles {
            IdentityFiles::new(self.directory.path().to_owned())
        }

        fn certificate_for(&self, key: &PrivateKey) -> String {
            client_certificate(&self.authority, &SubjectPublicKey::from(key), 0, 90)
        }

        fn accepted(&self, id: &str) -> Identity {
            let files = self.files();
            let certificate = self.certificate_for(&files.staged_key().unwrap());
            files.accept(id, &certificate, wall_clock()).unwrap()
        }
    }

    #[test]
    fn the_staged_key_stays_the_same_until_its_certificate_comes() {
        let fixture = Fixture::new();
        let staged = fixture.files().staged_key().unwrap();
        assert!(fixture.files().staged_key().unwrap() == staged);
        assert!(fixture.files().load().unwrap().is_none());
        let identity = fixture.accepted("one");
        assert!(identity.key == staged && fixture.files().staged_key().unwrap() != staged);
        for name in [KEY, CERTIFICATE, RECORD, NEXT_KEY] {
            let mode = fs::metadata(fixture.directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, FILE_MODE, "{name}");
        }
    }

    #[test]
    fn whatever_the_moment_of_a_crash_a_whole_identity_is_found() {
        for crash_after in 0..5 {
            let fixture = Fixture::new();
            let old = fixture.accepted("old");
            let files = fixture.files();
            let key = files.staged_key().unwrap();
            let text = fixture.certificate_for(&key);
            let certificate = decode_certificate(&text).unwrap();
            let next = Next { agent_id: "new".to_owned(), certificate: text, received_at: 5 };
            let steps: [&dyn Fn(); 5] = [
                &|| files.write_json(NEXT, &next).unwrap(),
                &|| files.write_record("new", &certificate, 5).unwrap(),
                &|| atomic_file::write(&files.path(KEY), key.to_pem().as_bytes(), FILE_MODE).unwrap(),
                &|| {
                    atomic_file::write(&files.path(CERTIFICATE), certificate.to_pem().as_bytes(), FILE_MODE)
                        .unwrap()
                },
                &|| files.remove(NEXT_KEY).unwrap(),
            ];
            steps.iter().take(crash_after).for_each(|step| step());
            let found = fixture.files().load().unwrap().unwrap();
            assert!(found.key.matches(&found.certificate), "{crash_after}");
            if crash_after == 0 {
                assert!(found.agent_id == "old" && found.key == old.key);
                assert!(files.staged_key().unwrap() == key, "the staged key waits for its certificate");
            } else {
                assert!(found.agent_id == "new" && found.key == key, "{crash_after}");
                assert!(!files.path(NEXT).exists() && !files.path(NEXT_KEY).exists(), "{crash_after}");
            }
        }
    }

    #[test]
    fn a_certificate_for_the_key_in_use_keeps_the_key() {
        let fixture = Fixture::new();
        let old = fixture.accepted("one");
        let again = fixture.certificate_for(&old.key);
        let new = fixture.files().accept("one", &again, wall_clock()).unwrap();
        assert!(new.key == old.key && new.certificate != old.certificate);
    }

    #[test]
    fn answers_that_cannot_be_ours_change_nothing() {
        let fixture = Fixture::new();
        let identity = fixture.accepted("one");
        let files = fixture.files();
        let good = fixture.certificate_for(&files.staged_key().unwrap());
        let stranger = fixture.certificate_for(&PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        for (id, certificate) in
            [("", &good), ("i\nd", &good), ("one", &stranger), ("one", &"MIIB".to_owned())]
        {
            let refused = files.accept(id, certificate, wall_clock());
            assert!(matches!(refused, Err(IdentityError::Answer(_))), "{id} {certificate}");
        }
        assert!(files.load().unwrap().unwrap().certificate == identity.certificate);
    }

    #[test]
    fn halves_that_do_not_match_are_named_and_not_used() {
        let fixture = Fixture::new();
        fixture.accepted("one");
        let stranger = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        atomic_file::write(&fixture.files().path(KEY), stranger.to_pem().as_bytes(), FILE_MODE).unwrap();
        assert!(fixture.files().load().unwrap_err().to_string().contains(CERTIFICATE));
    }

    #[test]
    fn renewal_is_due_after_two_thirds_by_either_measure() {
        let fixture = Fixture::new();
        let identity = fixture.accepted("one");
        let received = identity.received_at;
        assert!(!identity.renewal_due(received + TimeDelta::days(59)));
        assert!(identity.renewal_due(received + TimeDelta::days(61)));
        // The clock was a year behind when the identity came, and still is.
        let behind = Identity { received_at: received - TimeDelta::days(365), ..identity.clone() };
        assert!(!behind.renewal_due(behind.received_at + TimeDelta::days(59)));
        assert!(behind.renewal_due(behind.received_at + TimeDelta::days(61)));
        assert_eq!(identity.renewal_pause(), std::time::Duration::from_secs(3600));
    }

    #[test]
    fn an_identity_does_not_show_its_key() {
        let fixture = Fixture::new();
        let identity = fixture.accepted("one");
        let pem = identity.to_pem();
        let secret = pem
            .lines()
            .find(|line| pem.split("PRIVATE KEY-----").nth(1).unwrap().contains(line) && line.len() > 20);
        assert!(!format!("{identity:?}").contains(secret.unwrap()));
    }
}
