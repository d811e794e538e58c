//! Names of capabilities: what agents send, and what operators see.

use sealift_protocol::operator::agents::AgentJobType;
use uuid::{Uuid, uuid};

use super::error::Error;
use super::queries::StoreTypeRow;

/// Capabilities of one agent.
const MAX_CAPABILITIES: usize = 200;
/// Characters of one capability.
const MAX_LENGTH: usize = 128;

/// Before release 2.16.1 agents sent GUIDs (agent protocol, chapter 6.2).
const GUIDS: &[(&str, &str)] = &[
    ("a809ce1f-1eea-4738-a38e-15708c89c981", "CertStores.PEM.Inventory"),
    ("1d411b36-ae72-433f-9f3f-8593e836a1af", "CertStores.PEM.Management"),
    ("aa015d10-cffc-41f7-a9a4-c9615f6f3bdf", "CertStores.PEM.Reenrollment"),
    ("e98151de-53ad-4b99-b52a-f37118ec0c5c", "CertStores.PEM.Discovery"),
    ("0d8cf0c8-56ca-4b8a-b16a-c062018e170d", "Custom.FetchLogs"),
    ("67b63010-d738-47c3-87a2-9f289466c881", "CertStores.JKS.Inventory"),
    ("b614f9e2-c56b-421c-b548-03d42eb32f8a", "CertStores.JKS.Management"),
    ("48743e90-108e-4dc3-b81c-7fb830215d1f", "CertStores.JKS.Reenrollment"),
    ("74d9f7c5-b2ac-4f21-a72b-29b5adc90651", "CertStores.JKS.Discovery"),
    ("5b9cf048-e95f-4331-a510-0cdfabac1703", "CertStores.IIS.Inventory"),
    ("ce2325e3-801c-4576-9b0a-5fdcaf66aa88", "CertStores.IIS.Management"),
    ("b80019d6-df3d-4a8c-9e60-1977b806f545", "CertStores.IIS.Reenrollment"),
    ("9b04e8de-e2ce-4a50-bd3f-31037d3ee751", "CertStores.F5.Inventory"),
    ("e9a34338-c99f-46da-94d2-4f97dc6943af", "CertStores.F5.Management"),
    ("76f99194-c129-4954-b76e-11c80816643e", "CertStores.FTP.Inventory"),
    ("4ae72d54-7f91-4359-9da5-e1f633031070", "CertStores.FTP.Management"),
    ("78ff1c19-893f-4e5e-90a5-0459f1823778", "CertStores.NS.Inventory"),
    ("b7c94ad1-8a33-45ea-98b3-d77ca14e7830", "CertStores.NS.Management"),
    ("afb8c78d-1436-4c93-a8e7-0218c2cb6955", "CertStores.AWS.Inventory"),
    ("56c1e4f9-366c-44b3-8cae-1b8f39e2026c", "CertStores.AWS.Management"),
];

/// The full names of what an agent sent, each once.
pub(super) fn parse(sent: Vec<String>) -> Result<Vec<String>, Error> {
    let unusable = |text: &String| text.chars().count() > MAX_LENGTH || text.chars().any(char::is_control);
    if sent.len() > MAX_CAPABILITIES || sent.iter().any(unusable) {
        let message = format!(
            "Capabilities must be at most {MAX_CAPABILITIES} names of at most {MAX_LENGTH} characters"
        );
        return Err(Error::Invalid(message));
    }
    let mut names: Vec<String> = Vec::with_capacity(sent.len());
    for text in sent {
        let guid = GUIDS.iter().find(|(guid, _)| guid.eq_ignore_ascii_case(text.trim()));
        let name = guid.map_or_else(|| text.trim().to_owned(), |(_, name)| (*name).to_owned());
        if !name.is_empty() && !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Names for the GUIDs that are left: of store types of this installation, which agents may know by nothing else.
pub(super) fn resolve(names: Vec<String>, store_types: &[StoreTypeRow]) -> Vec<String> {
    let mut resolved: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let known = Uuid::parse_str(&name).ok().and_then(|id| {
            let row_of = |row: &StoreTypeRow| {
                let jobs = [
                    ("Inventory", row.inventory),
                    ("Management", row.management),
                    ("Discovery", row.discovery),
                    ("Reenrollment", row.reenrollment),
                ];
                let found = jobs.into_iter().find(|(_, job)| *job == id);
                found.map(|(job, _)| format!("CertStores.{}.{job}", row.capability))
            };
            store_types.iter().find_map(row_of)
        });
        let name = known.unwrap_or(name);
        if !resolved.iter().any(|one| one.eq_ignore_ascii_case(&name)) {
            resolved.push(name);
        }
    }
    resolved
}

/// Whether one of these is a GUID that stands for no name yet.
pub(super) fn unresolved(names: &[String]) -> bool {
    names.iter().any(|name| Uuid::parse_str(name).is_ok())
}

/// The bare names that operators see, such as `PEM`, each once (operator contract, chapter 7).
pub(super) fn bare(names: &[String]) -> Vec<String> {
    let mut bare: Vec<String> = Vec::new();
    for name in names {
        let mut parts = name.split('.');
        let one = match (parts.next(), parts.next(), parts.next()) {
            (Some(stores), Some(store_type), Some(_)) if stores.eq_ignore_ascii_case("CertStores") => {
                store_type
            }
            _ if name.eq_ignore_ascii_case("Custom.FetchLogs") => "LOGS",
            _ => name,
        };
        if !bare.iter().any(|known| known.eq_ignore_ascii_case(one)) {
            bare.push(one.to_owned());
        }
    }
    bare
}

/// GUID by which agents know the retrieval of logs.
pub(crate) const FETCH_LOGS: Uuid = uuid!("0d8cf0c8-56ca-4b8a-b16a-c062018e170d");

/// The job types that capabilities stand for; capabilities for store types that are not known here have none.
pub(super) fn job_types(names: &[String], store_types: &[StoreTypeRow]) -> Vec<AgentJobType> {
    let mut found = Vec::new();
    for store_type in store_types {
        let prefix = format!("CertStores.{}.", store_type.capability);
        for (operation, id) in [
            ("Inventory", store_type.inventory),
            ("Management", store_type.management),
            ("Discovery", store_type.discovery),
            ("Reenrollment", store_type.reenrollment),
        ] {
            let wanted = format!("{prefix}{operation}");
            if names.iter().any(|name| name.eq_ignore_ascii_case(&wanted)) {
                found.push(AgentJobType {
                    name: format!("{} {operation}", store_type.name),
                    cert_store_type_short_name: store_type.short_name.clone(),
                    cert_store_job_type: operation.to_owned(),
                    job_type_id: id,
                });
            }
        }
    }
    if names.iter().any(|name| name.eq_ignore_ascii_case("Custom.FetchLogs")) {
        found.push(AgentJobType {
            name: "Fetch Logs".to_owned(),
            cert_store_type_short_name: String::new(),
            cert_store_job_type: String::new(),
            job_type_id: FETCH_LOGS,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_and_guids_are_the_same_and_kept_once() {
        let sent = ["1D411B36-AE72-433F-9F3F-8593E836A1AF", "CertStores.PEM.Management", " Custom.Own ", ""];
        assert_eq!(parse(owned(&sent)).unwrap(), ["CertStores.PEM.Management", "Custom.Own"]);
    }

    #[test]
    fn operators_see_bare_names_once() {
        let names = [
            "CertStores.PEM.Inventory",
            "CertStores.PEM.Management",
            "CertStores.CCS.Inventory",
            "Custom.FetchLogs",
            "SSL",
        ];
        assert_eq!(bare(&owned(&names)), ["PEM", "CCS", "LOGS", "SSL"]);
    }

    #[test]
    fn capabilities_stand_for_job_types_of_known_store_types() {
        let pem = StoreTypeRow {
            name: "PEM file".to_owned(),
            short_name: "PEM".to_owned(),
            capability: "PEM".to_owned(),
            inventory: Uuid::from_u128(1),
            management: Uuid::from_u128(2),
            discovery: Uuid::from_u128(3),
            reenrollment: Uuid::from_u128(4),
        };
        let names = owned(&["CertStores.pem.Management", "CertStores.Other.Inventory", "Custom.FetchLogs"]);
        let found = job_types(&names, &[pem]);
        let seen: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.job_type_id)).collect();
        assert_eq!(seen, [("PEM file Management", Uuid::from_u128(2)), ("Fetch Logs", FETCH_LOGS)]);
    }

    #[test]
    fn guids_of_store_types_become_names_and_unknown_ones_stay() {
        let own = StoreTypeRow {
            name: "Own".to_owned(),
            short_name: "OWN".to_owned(),
            capability: "Own".to_owned(),
            inventory: Uuid::from_u128(1),
            management: Uuid::from_u128(2),
            discovery: Uuid::from_u128(3),
            reenrollment: Uuid::from_u128(4),
        };
        let sent = [Uuid::from_u128(4).to_string().to_uppercase(), "certstores.own.reenrollment".to_owned()];
        assert!(unresolved(&sent));
        assert_eq!(resolve(sent.to_vec(), std::slice::from_ref(&own)), ["CertStores.Own.Reenrollment"]);
        let stranger = Uuid::from_u128(9).to_string();
        assert_eq!(resolve(vec![stranger.clone()], &[own]), [stranger]);
    }

    #[test]
    fn too_much_is_refused() {
        assert!(parse(vec!["x".to_owned(); MAX_CAPABILITIES + 1]).is_err());
        assert!(parse(vec!["x".repeat(MAX_LENGTH + 1)]).is_err());
        assert!(parse(vec!["a\0b".to_owned()]).is_err());
    }
}
