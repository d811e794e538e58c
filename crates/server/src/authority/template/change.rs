//! Changes of templates and of the settings for all (operator contract, 9.8). What is left out stays as it is.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sealift_pki::KeyAlgorithm;
use sealift_protocol::operator::authority as wire;
use serde_json::Value;
use sqlx::PgConnection;

use super::super::error::Error;
use super::super::queries::{self, TemplateChange};
use super::super::{Authority, check_roles};
use super::{Template, answer, find_by_id, subject, word_of};
use crate::http::Failure;
use crate::security::{Principal, audit, permission};

/// Most enrollment fields of a template, options of one, and characters of a name or an option.
const MAX_FIELDS: (usize, usize, usize) = (50, 100, 256);
/// Most characters of a template's name for people.
const MAX_NAME: usize = 256;

/// Changes a template, and answers it.
pub(in super::super) async fn change(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    request: wire::UpdateTemplate,
    now: DateTime<Utc>,
) -> Result<wire::TemplateDetails, Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let id = request.id.ok_or_else(|| Error::Invalid("Id is required".to_owned()))?;
    let before = find_by_id(db, id).await?.ok_or_else(|| Error::NotFound(format!("template {id}")))?;
    if let Some(roles) = &request.allowed_requesters {
        check_roles(db, "AllowedRequesters", roles).await?;
    }
    let change = decide(&before, request)?;
    if !queries::change_template(db, id, &change).await? {
        return Err(Error::NotFound(format!("template {id}")).into());
    }
    let message = format!("template '{}' was changed", before.short_name);
    let line = audit::Line::new(caller, audit::Operation::Updated, "Template", id, message);
    audit::record(db, &[line], now).await?;
    answer::get(db, caller, authority, id).await
}

/// Changes the settings for all templates, and answers them.
pub(in super::super) async fn change_settings(
    db: &mut PgConnection,
    caller: &Principal,
    request: wire::TemplateSettings,
    now: DateTime<Utc>,
) -> Result<wire::TemplateSettings, Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let policy = request.template_policy.unwrap_or_default();
    if policy.rsa_valid_key_sizes.is_some() || policy.ecc_valid_curves.is_some() {
        let reason = "TemplatePolicy: kinds of key are set for each template; leave RSAValidKeySizes and \
                      ECCValidCurves out";
        return Err(Error::Invalid(reason.to_owned()).into());
    }
    let change = TemplateChange {
        allow_wildcards: policy.allow_wildcards,
        allow_key_reuse: policy.allow_key_reuse,
        require_dns: policy.rfc_enforcement,
        subject_rules: rules(request.template_regexes)?,
        subject_defaults: defaults(request.template_defaults)?,
        ..TemplateChange::default()
    };
    queries::change_template_settings(db, &change).await?;
    let message = "the settings for all templates were changed";
    let line = audit::Line::new(caller, audit::Operation::Updated, "TemplateSettings", "", message);
    audit::record(db, &[line], now).await?;
    answer::settings(db, caller).await
}

/// Takes over templates of a tenant. Those of the embedded authority are always there, and no other tenant is.
pub(in super::super) fn import(
    caller: &Principal,
    authority: &Authority,
    request: &wire::ImportTemplates,
) -> Result<(), Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let tenant = request.configuration_tenant.as_deref().map(str::trim).unwrap_or_default();
    if tenant.eq_ignore_ascii_case(authority.host()) {
        return Ok(());
    }
    Err(Error::Embedded(format!(
        "ConfigurationTenant: only the tenant of the embedded authority, '{}', has templates here, and they are all \
         there already",
        authority.host()
    ))
    .into())
}

fn decide(before: &Template, request: wire::UpdateTemplate) -> Result<TemplateChange, Error> {
    let invalid = |member: &str, reason: &str| Err(Error::Invalid(format!("{member}: {reason}")));
    if request.key_archival == Some(true) {
        return invalid(
            "KeyArchival",
            "the embedded authority archives no keys; the server keeps them itself",
        );
    }
    if request.key_retention_days.is_some_and(|days| days != 0) {
        return invalid("KeyRetentionDays", "keys are kept until they are deleted; leave it out");
    }
    if request.metadata_fields.is_some_and(|fields| !fields.is_empty()) {
        return invalid(
            "MetadataFields",
            "metadata fields have one meaning for all templates; change the fields",
        );
    }
    let name = request.friendly_name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME || name.chars().any(char::is_control))
    {
        return invalid("FriendlyName", "expected at most 256 characters, none of them a control character");
    }
    let types = match request.allowed_enrollment_types.map(i16::try_from) {
        None => None,
        Some(Ok(types @ 0..=7)) => Some(types),
        Some(_) => {
            return invalid("AllowedEnrollmentTypes", "expected 0 to 7: 1 PFX, 2 CSR, 4 CSR generation");
        }
    };
    if request.validity_days.is_some_and(|days| !(1..=3_650).contains(&days)) {
        return invalid("ValidityDays", "expected 1 to 3650");
    }
    let policy = request.template_policy.unwrap_or_default();
    Ok(TemplateChange {
        display_name: name,
        validity_days: request.validity_days,
        key_algorithms: keys(before, &policy)?,
        restricted: request.use_allowed_requesters,
        allowed_roles: request.allowed_requesters,
        enrollment_types: types,
        requires_approval: request.requires_approval,
        keeps_keys: request.key_retention.as_ref().map(keeps_keys).transpose()?,
        one_click: request.allow_one_click_renewals,
        allow_wildcards: policy.allow_wildcards,
        allow_key_reuse: policy.allow_key_reuse,
        require_dns: policy.rfc_enforcement,
        subject_rules: rules(request.template_regexes)?,
        subject_defaults: defaults(request.template_defaults)?,
        enrollment_fields: fields(request.enrollment_fields)?,
    })
}

fn rules(rules: Option<Vec<wire::SubjectRule>>) -> Result<Option<Value>, Error> {
    let Some(rules) = rules else { return Ok(None) };
    subject::check_rules(&rules)?;
    Ok(Some(serde_json::json!(rules)))
}

fn defaults(defaults: Option<Vec<wire::SubjectDefault>>) -> Result<Option<Value>, Error> {
    let Some(defaults) = defaults else { return Ok(None) };
    subject::check_defaults(&defaults)?;
    Ok(Some(serde_json::json!(defaults)))
}

/// By name or number. The contract's other two need someone who deletes keys in time, which nobody here does.
fn keeps_keys(retention: &Value) -> Result<bool, Error> {
    let text = match retention {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        other => other.to_string(),
    };
    match text.as_str() {
        "none" | "0" => Ok(false),
        "indefinite" | "1" => Ok(true),
        _ => Err(Error::Invalid(
            "KeyRetention: expected None or Indefinite; keys are not deleted by time".to_owned(),
        )),
    }
}

/// The kinds of key after a change: RSA sizes and curves are each replaced where they are given. The default stays
/// first as long as it is allowed.
fn keys(before: &Template, policy: &wire::TemplatePolicy) -> Result<Option<Vec<String>>, Error> {
    let invalid = |member: &str, reason: String| Error::Invalid(format!("TemplatePolicy.{member}: {reason}"));
    if policy.rsa_valid_key_sizes.is_none() && policy.ecc_valid_curves.is_none() {
        return Ok(None);
    }
    let is_rsa = |key: &&KeyAlgorithm| matches!(key, KeyAlgorithm::Rsa(_));
    let is_curve = |key: &&KeyAlgorithm| key.curve_oid().is_some();
    let mut keys: Vec<KeyAlgorithm> = match &policy.ecc_valid_curves {
        None => before.keys.iter().filter(is_curve).copied().collect(),
        Some(curves) => curves
            .iter()
            .map(|curve| {
                KeyAlgorithm::parse("ECC", None, Some(curve))
                    .map_err(|error| invalid("ECCValidCurves", error.to_string()))
            })
            .collect::<Result<_, _>>()?,
    };
    match &policy.rsa_valid_key_sizes {
        None => keys.extend(before.keys.iter().filter(is_rsa)),
        Some(sizes) => {
            for size in sizes {
                let bits = u32::try_from(*size).unwrap_or_default();
                let key = KeyAlgorithm::parse("RSA", Some(bits), None);
                keys.push(key.map_err(|error| invalid("RSAValidKeySizes", error.to_string()))?);
            }
        }
    }
    keys.extend(before.keys.iter().filter(|key| !is_rsa(key) && !is_curve(key)));
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys.sort_by_key(|key| *key != before.default_key());
    let words: Option<Vec<String>> = keys.iter().map(|key| word_of(*key).map(str::to_owned)).collect();
    match words {
        Some(words) if !words.is_empty() => Ok(Some(words)),
        Some(_) => Err(invalid("RSAValidKeySizes", "at least one kind of key must stay allowed".to_owned())),
        None => Err(invalid(
            "ECCValidCurves",
            "templates allow RSA 2048, 3072 and 4096, P-256 and P-384".to_owned(),
        )),
    }
}

fn fields(fields: Option<Vec<wire::EnrollmentField>>) -> Result<Option<Value>, Error> {
    let Some(mut fields) = fields else { return Ok(None) };
    let (most, options, length) = MAX_FIELDS;
    if fields.len() > most {
        return Err(Error::Invalid(format!("EnrollmentFields: at most {most} are allowed")));
    }
    let fits = |text: &str| {
        !text.trim().is_empty() && text.chars().count() <= length && !text.chars().any(char::is_control)
    };
    let mut names = HashSet::new();
    for (index, field) in fields.iter_mut().enumerate() {
        let refused = |reason: String| Err(Error::Invalid(format!("EnrollmentFields[{index}].{reason}")));
        if !fits(&field.name) {
            return refused(format!("Name: expected 1 to {length} printable characters"));
        }
        if !names.insert(field.name.to_lowercase()) {
            return refused("Name: it is named twice".to_owned());
        }
        match field.data_type {
            1 if field.options.is_empty() => {}
            2 if !field.options.is_empty() && field.options.len() <= options => {}
            _ => {
                return refused(format!("DataType: expected 1 for a text, or 2 with 1 to {options} Options"));
            }
        }
        if !field.options.iter().all(|option| fits(option)) {
            return refused(format!("Options: expected texts of 1 to {length} printable characters"));
        }
        field.id = i64::try_from(index).unwrap_or_default() + 1;
    }
    Ok(Some(serde_json::json!(fields)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::template;
    use super::*;

    #[test]
    fn kinds_of_key_are_replaced_by_family_and_the_default_stays_first() {
        let policy = |sizes: Option<Vec<i64>>, curves: Option<Vec<&str>>| wire::TemplatePolicy {
            rsa_valid_key_sizes: sizes,
            ecc_valid_curves: curves.map(|curves| curves.into_iter().map(str::to_owned).collect()),
            ..wire::TemplatePolicy::default()
        };
        let read =
            |policy: wire::TemplatePolicy| keys(&template(), &policy).map_err(|error| error.to_string());
        assert_eq!(read(policy(None, None)).unwrap(), None);
        assert_eq!(read(policy(Some(vec![4096, 4096]), None)).unwrap().unwrap(), ["P-256", "RSA-4096"]);
        assert_eq!(read(policy(None, Some(vec!["1.3.132.0.34"]))).unwrap().unwrap(), ["P-384", "RSA-2048"]);
        for (wrong, member) in [
            (policy(Some(vec![1024]), None), "RSAValidKeySizes"),
            (policy(None, Some(vec!["x"])), "ECCValidCurves"),
            (policy(None, Some(vec!["P-521"])), "ECCValidCurves"),
            (policy(Some(Vec::new()), Some(Vec::new())), "at least one"),
        ] {
            let refused = read(wrong).unwrap_err();
            assert!(refused.contains(member), "{refused}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        let update = wire::UpdateTemplate::default;
        for (member, request) in [
            ("KeyArchival", wire::UpdateTemplate { key_archival: Some(true), ..update() }),
            ("KeyRetentionDays", wire::UpdateTemplate { key_retention_days: Some(3), ..update() }),
            (
                "KeyRetention",
                wire::UpdateTemplate { key_retention: Some("AfterExpiration".into()), ..update() },
            ),
            (
                "AllowedEnrollmentTypes",
                wire::UpdateTemplate { allowed_enrollment_types: Some(8), ..update() },
            ),
            ("ValidityDays", wire::UpdateTemplate { validity_days: Some(0), ..update() }),
            ("MetadataFields", wire::UpdateTemplate { metadata_fields: Some(vec![1.into()]), ..update() }),
            ("FriendlyName", wire::UpdateTemplate { friendly_name: Some("a\nb".to_owned()), ..update() }),
        ] {
            let refused =
                decide(&template(), request).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.starts_with(member), "{member}: {refused}");
        }
        let kept = wire::UpdateTemplate { key_retention: Some(0.into()), ..update() };
        assert_eq!(decide(&template(), kept).unwrap().keeps_keys, Some(false));
    }

    #[test]
    fn enrollment_fields_are_numbered() {
        let field = |name: &str, options: &[&str], data_type| wire::EnrollmentField {
            id: 0,
            name: name.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            data_type,
        };
        let kept =
            fields(Some(vec![field("Ticket", &[], 1), field("Zone", &["a", "b"], 2)])).unwrap().unwrap();
        assert_eq!((kept[0]["Id"].as_i64(), kept[1]["Id"].as_i64()), (Some(1), Some(2)));
        for wrong in [
            vec![field("", &[], 1)],
            vec![field("a", &["x"], 1)],
            vec![field("a", &[], 2)],
            vec![field("a", &[], 1), field("A", &[], 1)],
        ] {
            assert!(fields(Some(wrong)).unwrap_err().to_string().starts_with("EnrollmentFields["));
        }
    }
}
