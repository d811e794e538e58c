//! A certificate as the operator contract shows it (8.1): what the record says, and what the certificate itself says.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::Certificate;
use sealift_protocol::operator::certificates as wire;

use super::error::Error;
use super::queries::CertificateRow;
use super::search::Include;
use crate::authority::Authority;

/// Usual names of extended key usages.
const PURPOSES: [(&str, &str); 8] = [
    ("1.3.6.1.5.5.7.3.1", "Server Authentication"),
    ("1.3.6.1.5.5.7.3.2", "Client Authentication"),
    ("1.3.6.1.5.5.7.3.3", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "Secure Email"),
    ("1.3.6.1.5.5.7.3.8", "Time Stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSP Signing"),
    ("1.3.6.1.4.1.311.20.2.2", "Smart Card Log-on"),
    ("2.5.29.37.0", "Any Purpose"),
];

/// The certificate of a row, without its places.
pub(super) fn certificate(
    row: CertificateRow,
    authority: &Authority,
    include: Include,
) -> Result<wire::Certificate, Error> {
    let parsed =
        Certificate::parse(&row.content).map_err(|source| Error::Unreadable { id: row.id, source })?;
    let authority_name = row.authority_id.and_then(|id| authority.full_name(id));
    Ok(answered(row, &parsed, authority_name, include))
}

fn answered(
    row: CertificateRow,
    parsed: &Certificate,
    authority_name: Option<String>,
    include: Include,
) -> wire::Certificate {
    let subject = parsed.subject();
    wire::Certificate {
        id: row.id,
        thumbprint: row.thumbprint,
        serial_number: row.serial_number,
        issued_dn: Some(row.issued_dn),
        issued_cn: row.issued_cn,
        issued_ou: subject.organizational_units().first().map(|unit| (*unit).to_owned()),
        issued_email: subject.email().map(str::to_owned),
        issuer_dn: Some(row.issuer_dn),
        import_date: row.imported_at.into(),
        not_before: row.not_before.into(),
        not_after: row.not_after.into(),
        principal_id: None,
        principal_name: None,
        requester_name: row.requester,
        owner_role_id: row.owner_role_id,
        owner_role_name: row.owner_role_name,
        template_id: row.template_id,
        template_name: row.template_name,
        cert_state: row.state.into(),
        cert_state_string: state_words(row.state),
        key_size_in_bits: row.key_bits,
        key_type: row.key_type.into(),
        key_type_string: parsed.key_algorithm().family().to_owned(),
        key_algorithm: parsed.key_algorithm().oid().map(str::to_owned),
        alt_key_algorithm: None,
        alt_key_size_in_bits: 0,
        alt_key_type: 0,
        alt_key_type_string: None,
        alt_signing_algorithm: None,
        has_alt_private_key: false,
        requester_id: None,
        cert_request_id: row.request_id,
        key_usage: parsed.key_usage().into(),
        signing_algorithm: row.signing_algorithm,
        revocation_eff_date: row.revoked_at.map(Into::into),
        revocation_reason: row.revoke_reason.map(Into::into),
        revocation_comment: row.revoke_comment,
        certificate_authority_id: row.authority_id,
        certificate_authority_name: authority_name,
        archived_key: false,
        has_private_key: include.has_private_key && row.has_key,
        key_recoverable: include.has_private_key && row.has_key,
        content_bytes: STANDARD.encode(&row.content),
        extended_key_usages: purposes(parsed),
        subject_alt_name_elements: names(parsed),
        crl_distribution_points: lists(parsed),
        locations_count: Vec::new(),
        ssl_locations: Vec::new(),
        locations: Vec::new(),
        metadata: if include.metadata { row.metadata.0 } else { Default::default() },
        ca_row_index: None,
        ca_record_id: None,
        detailed_key_usage: usages(parsed.key_usage()),
        curve: parsed.key_algorithm().curve_oid().map(str::to_owned),
        is_ca_certificate: parsed.is_authority(),
        path_length_constraint: parsed.path_length().and_then(|length| i32::try_from(length).ok()),
        enrollment_pattern_id: None,
        lifespan: (row.not_after - row.not_before).num_days(),
    }
}

fn state_words(state: i16) -> String {
    let word = match state {
        1 => "Active",
        2 => "Revoked",
        6 => "Certificate Authority",
        _ => "Unknown",
    };
    format!("{word} ({state})")
}

/// Positions count from 1.
fn numbered<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = (i64, T)> {
    (1..).zip(items)
}

fn hash(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn purposes(parsed: &Certificate) -> Vec<wire::ExtendedKeyUsage> {
    let name = |oid: &str| {
        PURPOSES.iter().find(|(known, _)| *known == oid).map_or(oid, |(_, name)| *name).to_owned()
    };
    numbered(parsed.extended_key_usages())
        .map(|(id, oid)| wire::ExtendedKeyUsage { id, oid: oid.clone(), display_name: name(oid) })
        .collect()
}

fn names(parsed: &Certificate) -> Vec<wire::SubjectAltNameElement> {
    numbered(parsed.subject_alternative_names())
        .map(|(id, name)| {
            let value = name.to_string();
            wire::SubjectAltNameElement { id, kind: name.tag().into(), value_hash: hash(&value), value }
        })
        .collect()
}

fn lists(parsed: &Certificate) -> Vec<wire::CrlDistributionPoint> {
    numbered(parsed.crl_distribution_points())
        .map(|(id, url)| wire::CrlDistributionPoint { id, url: url.clone(), url_hash: hash(url) })
        .collect()
}

/// The bits one by one; their values are those of .NET, as the contract has them.
fn usages(bits: u16) -> wire::DetailedKeyUsage {
    let has = |bit: u16| bits & bit != 0;
    wire::DetailedKeyUsage {
        encipher_only: has(0x01),
        crl_sign: has(0x02),
        key_cert_sign: has(0x04),
        key_agreement: has(0x08),
        data_encipherment: has(0x10),
        key_encipherment: has(0x20),
        non_repudiation: has(0x40),
        digital_signature: has(0x80),
        decipher_only: has(0x8000),
        hex_code: format!("{bits:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_are_the_contracts_bits() {
        let usages = usages(160);
        assert!(usages.digital_signature && usages.key_encipherment && !usages.key_cert_sign);
        assert_eq!(usages.hex_code, "a0");
        assert_eq!(super::usages(0).hex_code, "00");
    }

    #[test]
    fn a_state_is_a_word_and_its_number() {
        assert_eq!(state_words(1), "Active (1)");
        assert_eq!(state_words(99), "Unknown (99)");
    }
}
