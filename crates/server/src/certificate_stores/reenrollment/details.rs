//! What a reenrollment's row says of it, and what of that its agent is told: ours in `Work::Reenroll`, agents of the
//! published protocol in the members of chapter 10.1 of the agent protocol.

use std::collections::BTreeMap;

use sealift_pki::{DistinguishedName, KeyAlgorithm, SubjectAlternativeName};
use sealift_protocol::Secret;
use sealift_protocol::agent::leases::{LeasedJob, ReenrollWork};
use sealift_protocol::agent::reenrollment::ReenrollmentConfigured;
use sealift_protocol::agent::registration::CallResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::authority::{names, template};
use crate::certificate_stores::work::DescribedJob;

/// Parts of a subject that the vendor's native agent keeps (chapter 10.1).
const KEPT: [&str; 6] = ["CN", "O", "OU", "L", "ST", "C"];
/// Names of properties that hold the path of a separate key file, ours and the vendor's.
pub(in crate::certificate_stores) const KEY_PATH: &str = "PrivateKeyPath";
/// Property that says whether there is one.
const SEPARATE: &str = "separatePrivateKey";

/// What the job's row says of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ReenrollmentDetails {
    pub(super) subject: String,
    /// Kind and text of each name of the certificate, those of the subject included.
    pub(super) names: Vec<(String, String)>,
    /// The key to make, as templates write it.
    pub(super) key: String,
    /// Short name.
    pub(super) template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) job_fields: BTreeMap<String, String>,
}

impl ReenrollmentDetails {
    pub(super) fn read(row: &Value) -> Result<Self, String> {
        Self::deserialize(row).map_err(|error| format!("the reenrollment's details cannot be read: {error}"))
    }

    /// The names of the certificate.
    pub(super) fn alternative_names(&self) -> Result<Vec<SubjectAlternativeName>, String> {
        self.names.iter().map(|(kind, text)| names::parse(kind, text)).collect()
    }
}

/// The work as our own agent gets it.
pub(in crate::certificate_stores) fn work_of(row: &Value) -> Result<ReenrollWork, String> {
    let details = ReenrollmentDetails::read(row)?;
    let dns = |(kind, name): &(String, String)| (kind == "dns").then(|| name.clone());
    Ok(ReenrollWork {
        dns_names: details.names.iter().filter_map(dns).collect(),
        subject: details.subject,
        key_algorithm: details.key,
        alias: details.alias,
        // Whoever asks for a new key in a store means the entry that is there.
        overwrite: true,
        job_fields: details.job_fields,
    })
}

/// How the published protocol writes a kind of key; none for those that its agents do not make.
pub(super) fn published_key(key: KeyAlgorithm) -> Option<(&'static str, u32)> {
    match key {
        KeyAlgorithm::Rsa(bits) => Some(("RSA", bits)),
        KeyAlgorithm::EcdsaP256 => Some(("ECC", 256)),
        KeyAlgorithm::EcdsaP384 => Some(("ECC", 384)),
        KeyAlgorithm::EcdsaP521 => Some(("ECC", 521)),
        KeyAlgorithm::Ed25519 | KeyAlgorithm::Unknown => None,
    }
}

/// What an agent of the published protocol is told; `native` is the vendor's own, which gets no property but those that
/// it reads.
pub(in crate::certificate_stores) fn configured(
    described: &DescribedJob,
    work: &ReenrollWork,
    native: bool,
) -> Result<ReenrollmentConfigured, String> {
    let LeasedJob { job_id, audit_id, store, .. } = &described.job;
    let key = template::key_of(&work.key_algorithm).and_then(published_key);
    let (key_type, key_size) = key.ok_or("its agent cannot make a key of the kind that was asked for")?;
    let subject = subject_on_wire(&work.subject);
    let mut properties: BTreeMap<String, Secret> = match native {
        true => BTreeMap::new(),
        false => {
            store.properties.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect()
        }
    };
    if !native {
        properties.extend(described.secret_properties.clone());
    }
    complete(&mut properties, &store.properties);
    let mut fields: BTreeMap<String, Secret> =
        work.job_fields.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
    fields.extend(described.secret_fields.clone());
    for (name, value) in [
        ("subjectText", subject.clone()),
        ("keyType", key_type.to_owned()),
        ("keySize", key_size.to_string()),
    ] {
        fields.insert(name.to_owned(), Secret::new(value));
    }
    let mut sans: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !work.dns_names.is_empty() {
        sans.insert("dns".to_owned(), work.dns_names.clone());
    }
    Ok(ReenrollmentConfigured {
        result: CallResult::success(),
        audit_id: *audit_id,
        job_cancelled: false,
        key_type: key_type.to_owned(),
        key_size,
        subject,
        entropy: None,
        client_machine: described.row.client_machine.clone(),
        store_path: described.row.store_path.clone(),
        store_password: store.password.clone(),
        enroll_endpoint: format!("Jobs/{job_id}/Enroll?audit={audit_id}"),
        properties: serde_json::to_string(&properties).ok().map(Secret::new),
        sans,
        alias: work.alias.clone(),
        overwrite: work.overwrite,
        job_properties: fields,
    })
}

/// `separatePrivateKey` must be there, and be a string, or native agents crash (chapter 10.1).
fn complete(properties: &mut BTreeMap<String, Secret>, of_store: &BTreeMap<String, String>) {
    let find = |wanted: &str| {
        let mut found = of_store.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    let path = find(KEY_PATH);
    let separate = path.is_some() && find(SEPARATE).is_none_or(|said| said.eq_ignore_ascii_case("true"));
    properties.retain(|name, _| !name.eq_ignore_ascii_case(SEPARATE));
    properties.insert(SEPARATE.to_owned(), Secret::new(separate.to_string()));
    if let Some(path) = path.filter(|_| separate) {
        properties.insert("privateKeyPath".to_owned(), Secret::new(path.to_owned()));
    }
}

/// The subject in the few parts and letters that agents split at commas without harm. The certificate gets the whole
/// one, whatever the request says.
fn subject_on_wire(subject: &str) -> String {
    let Ok(name) = DistinguishedName::parse(subject) else { return String::new() };
    let plain = |letter: char| if ",+=\"\\<>;#/".contains(letter) { ' ' } else { letter };
    let parts = KEPT.iter().flat_map(|part| {
        let values = name.values(part).into_iter();
        values.map(move |value| format!("{part}={}", value.chars().map(plain).collect::<String>().trim()))
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_loses_what_agents_stumble_over() {
        assert_eq!(
            subject_on_wire(r"E=a@example.test,CN=www.example.test,O=Example\, Ltd.,DC=test,C=NO"),
            "CN=www.example.test,O=Example  Ltd.,C=NO"
        );
        assert_eq!(subject_on_wire("="), "");
    }

    #[test]
    fn a_separate_key_is_said_as_a_string_always() {
        let of = |pairs: &[(&str, &str)]| {
            let store: BTreeMap<String, String> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut properties = BTreeMap::new();
            complete(&mut properties, &store);
            let shown = |(name, value): (String, Secret)| (name, value.expose().to_owned());
            properties.into_iter().map(shown).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of(&[]), [pair(SEPARATE, "false")]);
        let key = [pair("privateKeyPath", "/a.key"), pair(SEPARATE, "true")];
        assert_eq!(of(&[("PrivateKeyPath", "/a.key")]), key);
        assert_eq!(of(&[("privateKeyPath", "/a.key"), ("separateprivatekey", "TRUE")]), key);
        assert_eq!(of(&[("PrivateKeyPath", "/a.key"), (SEPARATE, "false")]), [pair(SEPARATE, "false")]);
    }

    #[test]
    fn what_a_row_says_is_read_back() {
        let details = ReenrollmentDetails {
            subject: "CN=www.example.test".to_owned(),
            names: vec![
                ("dns".to_owned(), "www.example.test".to_owned()),
                ("ip".to_owned(), "192.0.2.7".to_owned()),
            ],
            key: "P-256".to_owned(),
            template: "TLSServer".to_owned(),
            ..ReenrollmentDetails::default()
        };
        let row = serde_json::to_value(&details).unwrap();
        assert_eq!(ReenrollmentDetails::read(&row).unwrap().alternative_names().unwrap().len(), 2);
        let work = work_of(&row).unwrap();
        assert_eq!(
            (work.dns_names, work.key_algorithm.as_str()),
            (vec!["www.example.test".to_owned()], "P-256")
        );
        assert!(work_of(&Value::Null).is_err());
    }
}
