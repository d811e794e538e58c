//! What a call of `POST /Enrollment/PFX` or `/Enrollment/CSR` asks for, checked member by member (operator contract,
//! 4.5 and 4.8). Pure: nothing is looked up here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{
    CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, SubjectAlternativeName, SubjectPublicKey,
};
use sealift_protocol::Secret;
use sealift_protocol::operator::enrollment::{EnrollCsr, EnrollPfx};
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::Error;
use crate::authority::names;
use crate::certificates;
use crate::http::problem::shortened;

/// Most metadata fields of a certificate.
const MAX_METADATA: usize = 100;
/// Most characters of a metadata field's name (operator contract, 8.6).
const MAX_METADATA_NAME: usize = 256;
/// Most characters of a metadata field's value.
const MAX_METADATA_VALUE: usize = 4_000;
/// Most characters of a friendly name.
const MAX_FRIENDLY_NAME: usize = 256;

/// Order of certificates in text; PKCS#12 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainOrder {
    /// The new certificate, then its issuers.
    EndEntityFirst,
    /// The root, then downwards.
    RootFirst,
}

/// What every enrollment tells beside subject and key.
#[derive(Debug)]
pub(super) struct Wishes {
    /// Short name.
    pub(super) template: Option<String>,
    /// Id of the pattern, which is its template's.
    pub(super) pattern: Option<i64>,
    pub(super) authority: Option<String>,
    pub(super) names: Vec<SubjectAlternativeName>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Enrollment field of the template to text.
    pub(super) fields: BTreeMap<String, String>,
    /// The role that is to own the certificate.
    pub(super) owner_id: Option<i64>,
    pub(super) owner_name: Option<String>,
}

/// A certificate that is asked for, with a key that the server makes. `Debug` shows no password.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) subject: DistinguishedName,
    pub(super) wishes: Wishes,
    /// The template's default when none was asked for.
    pub(super) key: Option<KeyAlgorithm>,
    /// Made by the server when none was given.
    pub(super) password: Option<Secret>,
    pub(super) include_chain: bool,
    pub(super) chain_order: ChainOrder,
    pub(super) friendly_name: Option<String>,
    /// 3DES with SHA-1 in the PKCS#12.
    pub(super) legacy_encryption: bool,
    /// A line with the subject above each certificate in PEM.
    pub(super) subject_header: bool,
    /// The certificate that the new one follows.
    pub(super) renewal_of: Option<i64>,
}

/// A certificate that is asked for, for a key of the caller's.
#[derive(Debug)]
pub(super) struct CsrDraft {
    pub(super) csr: CertificateRequest,
    pub(super) wishes: Wishes,
    /// To be kept with the certificate.
    pub(super) key: Option<PrivateKey>,
    pub(super) include_chain: bool,
    /// A line with the subject above each certificate in PEM.
    pub(super) subject_header: bool,
}

/// Checks every member; the first that is wrong is named.
pub(super) fn read(request: EnrollPfx) -> Result<Draft, Error> {
    if let Some(password) = &request.password {
        check_password("Password", password)?;
    }
    if request.renewal_certificate_id.is_some_and(|id| id <= 0) {
        return Err(Error::invalid(
            "RenewalCertificateId",
            "expected the id of a certificate, or null for none",
        ));
    }
    Ok(Draft {
        subject: subject(request.subject.as_deref())?,
        wishes: Wishes {
            template: template(request.template, request.enrollment_pattern_id)?,
            pattern: request.enrollment_pattern_id.filter(|id| *id != 0),
            authority: request.certificate_authority,
            names: alternative_names(&request.sans)?,
            metadata: texts("Metadata", request.metadata)?,
            fields: texts("AdditionalEnrollmentFields", request.additional_enrollment_fields)?,
            owner_id: request.owner_role_id.filter(|id| *id != 0),
            owner_name: request.owner_role_name,
        },
        key: key(request.key_type.as_deref(), request.key_length, request.curve.as_deref())?,
        password: request.password,
        include_chain: request.include_chain,
        chain_order: chain_order(request.chain_order.as_deref())?,
        friendly_name: friendly_name(request.custom_friendly_name)?,
        legacy_encryption: request.use_legacy_encryption,
        subject_header: request.include_subject_header.unwrap_or(false),
        renewal_of: request.renewal_certificate_id,
    })
}

/// As [`read`], for a request of the caller's own, whose signature is verified.
pub(super) fn read_csr(request: EnrollCsr) -> Result<CsrDraft, Error> {
    let csr = certificate_request(request.csr.as_deref())?;
    let key = request.private_key.as_ref().map(|key| private_key(key, &csr)).transpose()?;
    let asked = csr.subject_alternative_names();
    check_count("CSR", asked.len())?;
    let mut wanted = Vec::with_capacity(asked.len());
    for name in asked {
        wanted.push(names::asked(name).map_err(|reason| Error::invalid("CSR", reason))?);
    }
    wanted.extend(alternative_names(&request.sans)?);
    Ok(CsrDraft {
        wishes: Wishes {
            template: template(request.template, request.enrollment_pattern_id)?,
            pattern: request.enrollment_pattern_id.filter(|id| *id != 0),
            authority: request.certificate_authority,
            names: wanted,
            metadata: texts("Metadata", request.metadata)?,
            fields: texts("AdditionalEnrollmentFields", request.additional_enrollment_fields)?,
            owner_id: request.owner_role_id.filter(|id| *id != 0),
            owner_name: request.owner_role_name,
        },
        csr,
        key,
        include_chain: request.include_chain,
        subject_header: request.include_subject_header.unwrap_or(true),
    })
}

/// The request in a member `CSR`, its signature verified.
pub(super) fn certificate_request(text: Option<&str>) -> Result<CertificateRequest, Error> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text =
        text.ok_or_else(|| Error::invalid("CSR", "a certificate request is required (PKCS#10 in PEM)"))?;
    CertificateRequest::from_text(text).map_err(|error| Error::invalid("CSR", error))
}

/// The key of a request, as PEM or base64 of PKCS#8.
fn private_key(text: &Secret, csr: &CertificateRequest) -> Result<PrivateKey, Error> {
    let wrong = |reason: &str| Error::invalid("PrivateKey", reason);
    let key = match text.expose().contains("-----BEGIN ") {
        true => PrivateKey::from_pem(text.expose()).map_err(|error| wrong(&error.to_string()))?,
        false => {
            let bare: String = text.expose().split_ascii_whitespace().collect();
            let der = STANDARD
                .decode(bare)
                .map(Zeroizing::new)
                .map_err(|_| wrong("expected PEM, or base64 of PKCS#8"))?;
            PrivateKey::from_pkcs8_der(&der).map_err(|error| wrong(&error.to_string()))?
        }
    };
    match SubjectPublicKey::from(&key) == *csr.public_key() {
        true => Ok(key),
        false => Err(wrong("it is not the key of the certificate request")),
    }
}

/// Refuses a password that a PKCS#12 file could not be opened with everywhere.
pub(super) fn check_password(member: &str, password: &Secret) -> Result<(), Error> {
    match certificates::unfit_password(password) {
        None => Ok(()),
        Some(reason) => Err(Error::invalid(member, reason)),
    }
}

fn subject(text: Option<&str>) -> Result<DistinguishedName, Error> {
    let required = || {
        Error::invalid("Subject", "a distinguished name is required, such as CN=www.example.com,O=Example")
    };
    let text = text.filter(|text| !text.trim().is_empty()).ok_or_else(required)?;
    let name = DistinguishedName::parse(text).map_err(|error| Error::invalid("Subject", error))?;
    match name.is_empty() {
        true => Err(required()),
        false => Ok(name),
    }
}

fn template(name: Option<String>, pattern: Option<i64>) -> Result<Option<String>, Error> {
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    match name {
        Some(name) if name.contains('\0') => Err(Error::invalid("Template", "a name has no such character")),
        None if pattern.is_none_or(|id| id == 0) => Err(Error::invalid(
            "Template",
            "the short name of a template is required, such as TLSServer, or EnrollmentPatternId",
        )),
        name => Ok(name),
    }
}

fn check_count(member: &str, count: usize) -> Result<(), Error> {
    match count > names::MAX_NAMES {
        true => Err(Error::invalid(
            member,
            format!("at most {} names are allowed, {count} were given", names::MAX_NAMES),
        )),
        false => Ok(()),
    }
}

fn alternative_names(sans: &BTreeMap<String, Vec<String>>) -> Result<Vec<SubjectAlternativeName>, Error> {
    let count: usize = sans.values().map(Vec::len).sum();
    check_count("SANs", count)?;
    let mut read = Vec::with_capacity(count);
    for (kind, values) in sans {
        for value in values {
            let refused = |reason| Error::invalid(format!("SANs.{}", shortened(kind)), reason);
            read.push(names::parse(kind.trim(), value).map_err(refused)?);
        }
    }
    Ok(read)
}

fn key(kind: Option<&str>, length: Option<i64>, curve: Option<&str>) -> Result<Option<KeyAlgorithm>, Error> {
    let given = |text: Option<&'_ str>| text.is_some_and(|text| !text.trim().is_empty());
    let length = length.filter(|bits| *bits != 0);
    let kind = match (kind.filter(|kind| given(Some(kind))), length) {
        (Some(kind), _) => kind,
        (None, _) if given(curve) => "ECC",
        (None, Some(256 | 384 | 521)) => "ECC",
        (None, Some(_)) => "RSA",
        (None, None) => return Ok(None),
    };
    let length = length.map(u32::try_from).transpose();
    let length =
        length.map_err(|_| Error::invalid("KeyLength", "expected a number of bits, such as 2048 or 256"))?;
    let algorithm = KeyAlgorithm::parse(kind, length, curve);
    algorithm.map(Some).map_err(|error| Error::invalid("KeyType, KeyLength, Curve", error))
}

fn chain_order(order: Option<&str>) -> Result<ChainOrder, Error> {
    match order.map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "endentityfirst" => Ok(ChainOrder::EndEntityFirst),
        "rootfirst" => Ok(ChainOrder::RootFirst),
        _ => Err(Error::invalid("ChainOrder", "expected EndEntityFirst or RootFirst")),
    }
}

fn friendly_name(name: Option<String>) -> Result<Option<String>, Error> {
    let Some(name) = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if name.chars().count() > MAX_FRIENDLY_NAME
        || name.chars().any(|letter| letter.is_control() || letter > '\u{fffd}')
    {
        let reason = format!(
            "expected at most {MAX_FRIENDLY_NAME} printable characters of the Basic Multilingual Plane"
        );
        return Err(Error::invalid("CustomFriendlyName", reason));
    }
    Ok(Some(name))
}

/// Values of named fields as texts; nulls are left out.
fn texts(member: &str, given: BTreeMap<String, Value>) -> Result<BTreeMap<String, String>, Error> {
    if given.len() > MAX_METADATA {
        return Err(Error::invalid(member, format!("at most {MAX_METADATA} fields are allowed")));
    }
    let mut read = BTreeMap::new();
    for (name, value) in given {
        let member = format!("{member}.{}", shortened(&name));
        if name.trim().is_empty()
            || name.chars().count() > MAX_METADATA_NAME
            || name.chars().any(char::is_control)
        {
            let reason = format!("a field's name has 1 to {MAX_METADATA_NAME} printable characters");
            return Err(Error::invalid(member, reason));
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(Error::invalid(member, "expected a text")),
        };
        if text.chars().count() > MAX_METADATA_VALUE || text.contains('\0') {
            return Err(Error::invalid(member, format!("expected at most {MAX_METADATA_VALUE} characters")));
        }
        read.insert(name, text);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> EnrollPfx {
        EnrollPfx {
            subject: Some("CN=www.example.test,O=Example".to_owned()),
            template: Some("TLSServer".to_owned()),
            ..EnrollPfx::default()
        }
    }

    fn refusal(change: impl FnOnce(&mut EnrollPfx)) -> String {
        let mut request = request();
        change(&mut request);
        read(request).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_least_call_is_enough() {
        let draft = read(request()).unwrap();
        assert_eq!(draft.subject.common_name(), Some("www.example.test"));
        assert!(draft.password.is_none() && draft.key.is_none() && draft.wishes.names.is_empty());
        assert_eq!(draft.chain_order, ChainOrder::EndEntityFirst);
    }

    #[test]
    fn each_refusal_names_its_member() {
        let sans = |kind: &str, value: &str| BTreeMap::from([(kind.to_owned(), vec![value.to_owned()])]);
        let value = |name: &str, value: Value| BTreeMap::from([(name.to_owned(), value)]);
        let refusals = [
            ("Subject: ", refusal(|call| call.subject = None)),
            ("Subject: ", refusal(|call| call.subject = Some(" ".to_owned()))),
            ("Subject: ", refusal(|call| call.subject = Some("www.example.test".to_owned()))),
            ("Template: ", refusal(|call| call.template = Some(" ".to_owned()))),
            ("SANs.dns: 'a b'", refusal(|call| call.sans = sans("dns", "a b"))),
            ("SANs.IP4: ", refusal(|call| call.sans = sans("IP4", "::1"))),
            ("SANs.x400: ", refusal(|call| call.sans = sans("x400", "x"))),
            (
                "SANs: ",
                refusal(|call| {
                    call.sans = BTreeMap::from([("dns".to_owned(), vec!["a.test".to_owned(); 101])])
                }),
            ),
            ("KeyType, ", refusal(|call| call.key_type = Some("DSA".to_owned()))),
            ("KeyType, ", refusal(|call| call.key_length = Some(1024))),
            ("KeyLength: ", refusal(|call| call.key_length = Some(-1))),
            ("KeyType, ", refusal(|call| call.curve = Some("1.3.132.0.10".to_owned()))),
            ("Password: ", refusal(|call| call.password = Some(Secret::new("short")))),
            ("ChainOrder: ", refusal(|call| call.chain_order = Some("sideways".to_owned()))),
            (
                "CustomFriendlyName: ",
                refusal(|call| call.custom_friendly_name = Some("a\u{1f512}".to_owned())),
            ),
            ("Metadata.Owner: ", refusal(|call| call.metadata = value("Owner", serde_json::json!(["a"])))),
            ("Metadata.Owner: ", refusal(|call| call.metadata = value("Owner", "x".repeat(4_001).into()))),
            ("Metadata.: ", refusal(|call| call.metadata = value("", "x".into()))),
        ];
        for (member, refusal) in refusals {
            assert!(refusal.starts_with(member), "{member}: {refusal}");
        }
    }

    #[test]
    fn keys_are_understood_however_they_are_described() {
        for (kind, length, curve, expected) in [
            (Some("RSA"), Some(4096), None, Some(KeyAlgorithm::Rsa(4096))),
            (None, Some(3072), None, Some(KeyAlgorithm::Rsa(3072))),
            (None, Some(384), None, Some(KeyAlgorithm::EcdsaP384)),
            (None, None, Some("1.2.840.10045.3.1.7"), Some(KeyAlgorithm::EcdsaP256)),
            (Some(""), Some(0), Some(" "), None),
            (None, None, None, None),
        ] {
            assert_eq!(key(kind, length, curve).unwrap(), expected);
        }
    }

    #[test]
    fn passwords_are_what_every_reader_of_pkcs12_can_type() {
        for good in ["correct horse", "пароль-пароль", "äöü€ßéèê", "        ", &"x".repeat(256)]
        {
            assert!(check_password("Password", &Secret::new(good)).is_ok(), "{good}");
        }
        for bad in [
            "1234567",
            &"x".repeat(257),
            "tab\tinside",
            "bell\u{7}bell",
            "emoji-\u{1f512}-lock",
            "line\u{2028}line",
        ] {
            let refusal = check_password("Password", &Secret::new(bad)).unwrap_err().to_string();
            assert!(refusal.starts_with("Password: ") && !refusal.contains(bad), "{refusal}");
        }
    }

    #[test]
    fn metadata_becomes_text() {
        let given = serde_json::json!({"Owner": "web", "Cost": 17, "Live": true, "Unset": null});
        let read = texts("Metadata", serde_json::from_value(given).unwrap()).unwrap();
        let pairs: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("Cost", "17"), ("Live", "true"), ("Owner", "web")]);
    }

    #[test]
    fn a_pattern_stands_for_a_template_and_0_for_no_renewal_is_refused() {
        let by_pattern = EnrollPfx { template: None, enrollment_pattern_id: Some(7), ..request() };
        let draft = read(by_pattern).unwrap();
        assert_eq!((draft.wishes.template, draft.wishes.pattern), (None, Some(7)));
        assert!(
            refusal(|call| (call.template, call.enrollment_pattern_id) = (None, Some(0)))
                .starts_with("Template: ")
        );
        assert!(refusal(|call| call.renewal_certificate_id = Some(0)).starts_with("RenewalCertificateId: "));
    }

    #[test]
    fn a_request_of_the_callers_own_brings_its_names_and_may_bring_its_key() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let name = DistinguishedName::parse("CN=www.example.test").unwrap();
        let names = [SubjectAlternativeName::Dns("WWW.example.test".to_owned())];
        let csr = CertificateRequest::create(&key, &name, &names).unwrap();
        let call = |csr: &str, key: Option<Secret>| EnrollCsr {
            csr: Some(csr.to_owned()),
            template: Some("TLSServer".to_owned()),
            sans: BTreeMap::from([("ip".to_owned(), vec!["192.0.2.7".to_owned()])]),
            private_key: key,
            ..EnrollCsr::default()
        };
        let pem = Secret::new(key.to_pem().as_str());
        let draft = read_csr(call(&csr.to_pem().replace('\n', "\r\n"), Some(pem.clone()))).unwrap();
        assert_eq!(
            draft.wishes.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["www.example.test", "192.0.2.7"]
        );
        assert!(draft.key.is_some() && draft.subject_header);
        let refused = |call| read_csr(call).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused(call("x", None)).starts_with("CSR: "));
        assert!(refused(call("", None)).starts_with("CSR: "));
        let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let other = Secret::new(other.to_pem().as_str());
        assert!(refused(call(&csr.to_pem(), Some(other))).contains("not the key"));
        assert!(refused(call(&csr.to_pem(), Some(Secret::new("x")))).starts_with("PrivateKey: "));
    }
}
