//! Reenrollment: the key is made here and never leaves; its request travels, and what comes back is checked and then put in
//! by the same transaction as any certificate. The old key stays until the new certificate is proved.
//!
//! The key is kept in the data directory (mode 0600) while its job may come again, so that each attempt sends the same
//! request; it goes when the job ended for good.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{
    Certificate, CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, SubjectAlternativeName,
};
use sealift_protocol::Secret;
use sealift_protocol::agent::leases::{AddWork, EnrollAnswer, EnrollRequest, ReenrollWork, StoreDescription};
use sealift_protocol::agent::verification::{Evidence, Plan, Verification};
use sealift_stores::atomic_file;

use super::management::{self, Change};
use crate::Agent;
use crate::allow_list::AllowedStore;
use crate::backoff::Trouble;
use crate::execution::{Attempt, Done, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::server_client::CallError;
use crate::steps::code;

const FILE_MODE: u32 = 0o600;
/// Most keys that are kept for jobs which may come again.
const MAX_KEYS: usize = 100;
/// Keys that can be asked for, as templates name them.
const ALGORITHMS: [(&str, KeyAlgorithm); 5] = [
    ("P-256", KeyAlgorithm::EcdsaP256),
    ("P-384", KeyAlgorithm::EcdsaP384),
    ("RSA-2048", KeyAlgorithm::Rsa(2048)),
    ("RSA-3072", KeyAlgorithm::Rsa(3072)),
    ("RSA-4096", KeyAlgorithm::Rsa(4096)),
];

/// Runs a reenrollment.
pub(crate) async fn run(
    agent: &Agent,
    attempt: Attempt,
    store: &StoreDescription,
    allowed: AllowedStore,
    work: ReenrollWork,
    verification: Option<Verification>,
) -> Result<Done, Failure> {
    let file = agent.keys.join(format!("{}.key", attempt.lease.key.job_id));
    let result = certified(agent, &attempt, &file, work).await;
    let result = match result {
        Ok(add) => management::run(agent, attempt, store, allowed, Change::Add(add), verification).await,
        Err(failure) => Err(failure),
    };
    if !matches!(&result, Err(failure) if failure.transient) {
        blocking(move || forget(&file)).await?;
    }
    result
}

/// What a reenrollment would do. No key is made for it.
pub(crate) fn plan(store: &StoreDescription, work: &ReenrollWork) -> Result<Done, Failure> {
    let algorithm = algorithm(&work.key_algorithm)?;
    let names = work.dns_names.join(", ");
    let plan = Plan {
        changes: true,
        files: vec![store.path.clone()],
        notes: vec![format!("a key ({algorithm}) would be made here and certified for {names}")],
        ..Plan::default()
    };
    let message = "a key would be made and certified; nothing was changed".to_owned();
    let evidence = Some(Evidence { plan: Some(plan), ..Evidence::default() });
    Ok(Done { message, evidence, ..Done::default() })
}

/// The certificate with its key, as the job that puts it in takes them.
async fn certified(
    agent: &Agent,
    attempt: &Attempt,
    file: &Path,
    work: ReenrollWork,
) -> Result<AddWork, Failure> {
    attempt.may_begin()?;
    let (path, wanted) = (file.to_owned(), work.clone());
    let (key, csr) = blocking(move || request(&path, &wanted)).await??;
    attempt.lease.record(code::KEY_MADE, &format!("a key ({}) that stays here", key.algorithm()));
    let request = EnrollRequest { lease: attempt.lease.key, csr };
    let answer = enroll(agent, attempt, &request).await?;
    let leaf = checked(&answer, &key, &work)?;
    attempt.lease.record(code::CERTIFIED, &leaf.thumbprint().to_string());
    Ok(AddWork {
        alias: work.alias,
        certificates: answer.certificates,
        private_key: Some(Secret::new(STANDARD.encode(key.to_pkcs8_der()))),
        entry_password: None,
        overwrite: work.overwrite,
        create_if_missing: true,
        job_fields: work.job_fields,
    })
}

fn algorithm(name: &str) -> Result<KeyAlgorithm, Failure> {
    let found = ALGORITHMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
    let unknown = || Failure::new(ErrorCode::InvalidPayload, "KeyAlgorithm names no key that is made here");
    found.map(|(_, algorithm)| *algorithm).ok_or_else(unknown)
}

/// The key of the job, made where there is none yet and on disk when this returns, and the request for it.
fn request(file: &Path, work: &ReenrollWork) -> Result<(PrivateKey, String), Failure> {
    let invalid = |what: String| Failure::new(ErrorCode::InvalidPayload, what);
    let wanted = algorithm(&work.key_algorithm)?;
    let subject =
        DistinguishedName::parse(&work.subject).map_err(|error| invalid(format!("Subject: {error}")))?;
    let kept = fs::read_to_string(file).map(zeroize::Zeroizing::new).ok();
    let kept = kept.and_then(|text| PrivateKey::from_pem(&text).ok()).filter(|key| key.algorithm() == wanted);
    let key = match kept {
        Some(key) => key,
        None => {
            let key = PrivateKey::generate(wanted)
                .map_err(|error| Failure::new(ErrorCode::InternalError, error.to_string()))?;
            make_room(file);
            atomic_file::write(file, key.to_pem().as_bytes(), FILE_MODE)
                .map_err(|error| Failure::new(ErrorCode::AgentStorageFailed, error.to_string()))?;
            key
        }
    };
    let names: Vec<_> = work.dns_names.iter().cloned().map(SubjectAlternativeName::Dns).collect();
    let request = CertificateRequest::create(&key, &subject, &names)
        .map_err(|error| invalid(format!("DnsNames: {error}")))?;
    let csr = STANDARD.encode(request.der());
    Ok((key, csr))
}

/// Forgets keys of jobs that never came again, the oldest first.
fn make_room(file: &Path) {
    let found =
        file.parent().and_then(|directory| fs::read_dir(directory).ok()).into_iter().flatten().flatten();
    let mut keys: Vec<(std::time::SystemTime, PathBuf)> =
        found.filter_map(|found| Some((found.metadata().ok()?.modified().ok()?, found.path()))).collect();
    keys.sort_unstable();
    let excess = (keys.len() + 1).saturating_sub(MAX_KEYS);
    keys.drain(..excess).for_each(|(_, path)| forget(&path));
}

fn forget(file: &Path) {
    if let Err(error) = fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "cannot remove the key of a reenrollment that ended");
    }
}

/// Sends the request until it is answered, or until the attempt ends.
async fn enroll(agent: &Agent, attempt: &Attempt, request: &EnrollRequest) -> Result<EnrollAnswer, Failure> {
    let mut trouble = Trouble::default();
    loop {
        match agent.client.enroll(request).await {
            Ok(answer) => return Ok(answer),
            Err(error @ CallError::Refused(_)) => {
                return Err(Failure::new(ErrorCode::EnrollmentRefused, error.to_string()));
            }
            Err(error) => {
                let pause = trouble.pause(&format!("a key is not certified: {error}"), error.asked_pause());
                attempt.pause(pause).await;
                attempt.may_begin()?;
            }
        }
    }
}

/// The certificate of the answer, if it is for this key and these names.
fn checked(answer: &EnrollAnswer, key: &PrivateKey, work: &ReenrollWork) -> Result<Certificate, Failure> {
    let unexpected = |what: String| Failure::new(ErrorCode::CertificateUnexpected, what);
    let Some(leaf) = answer.certificates.first() else {
        let reason = answer.refused.as_deref().unwrap_or("no certificate came");
        return Err(Failure::new(ErrorCode::EnrollmentRefused, reason));
    };
    let der = STANDARD.decode(leaf).map_err(|_| unexpected("the certificate is not base64".to_owned()))?;
    let leaf = Certificate::parse(&der).map_err(|error| unexpected(error.to_string()))?;
    if !key.matches(&leaf) {
        return Err(unexpected(format!("certificate {} is for another key", leaf.thumbprint())));
    }
    let asked = |name: &&str| work.dns_names.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    let names = leaf.dns_names();
    let differs = names.len() != work.dns_names.len() || !names.iter().all(asked);
    if differs {
        let what = format!(
            "certificate {} names {} and not what was asked for",
            leaf.thumbprint(),
            names.join(", ")
        );
        return Err(unexpected(what));
    }
    Ok(leaf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_server::{authority, host_certificate};

    #[test]
    fn only_a_certificate_for_the_key_and_the_names_is_taken() {
        let (leaf, key) = host_certificate(&authority(), "www.example.test");
        let (_, stranger) = host_certificate(&authority(), "www.example.test");
        let answer = EnrollAnswer { certificates: vec![STANDARD.encode(leaf.der())], refused: None };
        let work = |name: &str| ReenrollWork { dns_names: vec![name.to_owned()], ..ReenrollWork::default() };
        assert_eq!(checked(&answer, &key, &work("WWW.example.test")).unwrap(), leaf);
        for refused in [
            checked(&answer, &stranger, &work("www.example.test")),
            checked(&answer, &key, &work("other.example.test")),
        ] {
            assert_eq!(refused.unwrap_err().code, ErrorCode::CertificateUnexpected);
        }
    }
}
