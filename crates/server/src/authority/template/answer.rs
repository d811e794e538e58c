//! Templates as operators see them (operator contract, 9.8): lists, one by its id, and the settings for all.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::KeyAlgorithm;
use sealift_protocol::operator::authority as wire;
use serde::Deserialize as _;
use sqlx::PgConnection;

use super::super::error::Error;
use super::super::{Authority, queries};
use super::{Template, all, find_by_id, subject};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::{Principal, permission};

/// What filters and sort orders of templates may name; patterns stand for templates and share it.
pub(crate) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "t.id", kind: Kind::Number },
    Field { name: "CommonName", sql: "t.short_name", kind: Kind::Text },
    Field { name: "ShortName", sql: "t.short_name", kind: Kind::Text },
    Field { name: "TemplateName", sql: "t.display_name", kind: Kind::Text },
    Field { name: "DisplayName", sql: "t.display_name", kind: Kind::Text },
    Field { name: "FriendlyName", sql: "t.display_name", kind: Kind::Text },
    Field { name: "Name", sql: "t.display_name", kind: Kind::Text },
    Field { name: "RequiresApproval", sql: "t.requires_approval", kind: Kind::Flag },
    Field { name: "AllowedEnrollmentTypes", sql: "t.enrollment_types", kind: Kind::Number },
];
const FROM: &str = " FROM templates t WHERE true";
/// Manageability of a template whose settings may all be changed here.
const MANAGEABLE: i32 = 3;
/// Names of extended key usages that people know.
const PURPOSES: [(&str, &str); 4] = [
    ("1.3.6.1.5.5.7.3.1", "Server Authentication"),
    ("1.3.6.1.5.5.7.3.2", "Client Authentication"),
    ("1.3.6.1.5.5.7.3.3", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "Secure Email"),
];

/// One page of templates, in the order asked for, and how many match.
pub(crate) async fn page(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Template>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let key = Column { sql: "t.id", kind: Kind::Number };
    let listing = Listing {
        name: "template_page",
        columns: "t.id",
        from: FROM,
        fields: FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    let (ids, total): (Vec<(i64,)>, i64) = listing.page(&mut *db, list, &asker).await?;
    let ids: Vec<i64> = ids.into_iter().map(|(id,)| id).collect();
    let mut templates = all(db, Some(&ids)).await?;
    templates.sort_by_key(|template| ids.iter().position(|id| *id == template.id));
    Ok((templates, total))
}

/// Lists templates.
pub(in super::super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<wire::Template>, i64), Failure> {
    caller.require(permission::PKI_READ)?;
    let (templates, total) = page(db, caller, list, now).await?;
    Ok((templates.iter().map(|template| template.listed(authority)).collect(), total))
}

/// Answers one template.
pub(in super::super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    id: i64,
) -> Result<wire::TemplateDetails, Failure> {
    caller.require(permission::PKI_READ)?;
    let template = find_by_id(db, id).await?.ok_or_else(|| Error::NotFound(format!("template {id}")))?;
    Ok(template.described(authority))
}

/// Answers the settings for all templates.
pub(in super::super) async fn settings(
    db: &mut PgConnection,
    caller: &Principal,
) -> Result<wire::TemplateSettings, Failure> {
    caller.require(permission::PKI_READ)?;
    let row = queries::template_settings(db).await?;
    let unusable = |_| Error::Unusable {
        name: "template_settings".to_owned(),
        reason: "its rules or defaults are not understood".to_owned(),
    };
    Ok(wire::TemplateSettings {
        template_regexes: Some(Vec::deserialize(&row.subject_rules).map_err(unusable)?),
        template_defaults: Some(Vec::deserialize(&row.subject_defaults).map_err(unusable)?),
        template_policy: Some(wire::TemplatePolicy {
            allow_key_reuse: Some(row.allow_key_reuse),
            allow_wildcards: Some(row.allow_wildcards),
            rfc_enforcement: Some(row.require_dns),
            ..wire::TemplatePolicy::default()
        }),
    })
}

/// The parts of a subject that rules may name.
pub(in super::super) fn subject_parts() -> Vec<wire::SubjectPart> {
    let part = |(part, name): (&str, &str)| wire::SubjectPart {
        subject_part: part.to_owned(),
        subject_part_name: name.to_owned(),
    };
    subject::PARTS.map(part).into()
}

impl Template {
    fn listed(&self, authority: &Authority) -> wire::Template {
        let default = self.default_key();
        let tenant = authority.host().to_owned();
        wire::Template {
            id: self.id,
            common_name: self.short_name.clone(),
            template_name: self.display_name.clone(),
            oid: String::new(),
            key_size: default.bits().to_string(),
            key_type: default.family().to_owned(),
            key_types: self.families().join(","),
            forest_root: tenant.clone(),
            configuration_tenant: tenant,
            friendly_name: self.display_name.clone(),
            display_name: self.display_name.clone(),
            key_retention: if self.keeps_keys { "Indefinite" } else { "None" }.to_owned(),
            key_retention_days: None,
            key_archival: false,
            enrollment_fields: self.fields.clone(),
            allowed_enrollment_types: self.enrollment_types.into(),
            template_regexes: self.rules.clone(),
            use_allowed_requesters: self.only_roles.is_some(),
            allowed_requesters: self.allowed_roles.clone(),
            requires_approval: self.requires_approval,
            key_usage: key_usage(default),
            extended_key_usages: self.purposes(),
            allow_one_click_renewals: self.one_click,
            manageability: MANAGEABLE,
            validity_days: self.validity_days,
        }
    }

    fn described(&self, authority: &Authority) -> wire::TemplateDetails {
        wire::TemplateDetails {
            template: self.listed(authority),
            metadata_fields: Vec::new(),
            template_defaults: self.defaults.clone(),
            template_policy: self.policy(),
            rfc_enforcement: self.require_dns,
            curve: self.default_key().curve_oid().map(str::to_owned),
            key_algorithms: wire::TemplateKeyAlgorithms {
                template_id: self.id,
                key_info: self.key_info(),
                primary_key_algorithms: self.families().into_iter().map(str::to_owned).collect(),
            },
        }
    }

    /// What keys and names are allowed.
    pub(crate) fn policy(&self) -> wire::TemplatePolicy {
        let rsa = |key: &KeyAlgorithm| matches!(key, KeyAlgorithm::Rsa(_)).then(|| i64::from(key.bits()));
        wire::TemplatePolicy {
            template_id: Some(self.id),
            rsa_valid_key_sizes: Some(self.keys.iter().filter_map(rsa).collect()),
            ecc_valid_curves: Some(
                self.keys.iter().filter_map(|key| key.curve_oid()).map(str::to_owned).collect(),
            ),
            allow_key_reuse: Some(self.allow_key_reuse),
            allow_wildcards: Some(self.allow_wildcards),
            rfc_enforcement: Some(self.require_dns),
            key_info: self.key_info(),
        }
    }

    /// Kinds of key by family.
    pub(crate) fn key_info(&self) -> BTreeMap<String, wire::KeyKind> {
        let mut kinds: BTreeMap<String, wire::KeyKind> = BTreeMap::new();
        for key in &self.keys {
            let kind = kinds.entry(family(*key).to_owned()).or_default();
            kind.bit_lengths.push(key.bits());
            kind.curves.extend(key.curve_oid().map(str::to_owned));
        }
        kinds
    }

    /// Families of keys, the default first.
    pub(crate) fn families(&self) -> Vec<&'static str> {
        let mut families = Vec::new();
        for key in &self.keys {
            if !families.contains(&family(*key)) {
                families.push(family(*key));
            }
        }
        families
    }

    /// What its certificates are for.
    pub(crate) fn purposes(&self) -> Vec<wire::TemplateKeyUsage> {
        let name = |oid: &String| {
            PURPOSES.iter().find(|(known, _)| known == oid).map_or(oid.as_str(), |(_, name)| *name).to_owned()
        };
        let purposes = (1..).zip(&self.extended_key_usages);
        purposes
            .map(|(id, oid)| wire::TemplateKeyUsage { id, oid: oid.clone(), display_name: name(oid) })
            .collect()
    }
}

/// As the objects of key algorithms name it.
const fn family(key: KeyAlgorithm) -> &'static str {
    match key {
        KeyAlgorithm::Rsa(_) => "RSA",
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 | KeyAlgorithm::EcdsaP521 => "ECDSA",
        KeyAlgorithm::Ed25519 => "Ed25519",
        KeyAlgorithm::Unknown => "Unknown",
    }
}

/// Bits of the key usage that certificates for such a key get.
const fn key_usage(key: KeyAlgorithm) -> i32 {
    match key {
        KeyAlgorithm::Rsa(_) => 160,
        _ => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::template;
    use super::*;

    #[test]
    fn keys_are_told_by_family() {
        let template = Template {
            keys: vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa(2048), KeyAlgorithm::Rsa(4096)],
            ..template()
        };
        assert_eq!(template.families(), ["ECDSA", "RSA"]);
        let kinds = template.key_info();
        assert_eq!(kinds["RSA"].bit_lengths, [2048, 4096]);
        assert_eq!(kinds["ECDSA"].curves, ["1.2.840.10045.3.1.7"]);
        let policy = template.policy();
        assert_eq!(policy.rsa_valid_key_sizes.as_deref(), Some(&[2048, 4096][..]));
        assert_eq!(policy.ecc_valid_curves.map(|curves| curves.len()), Some(1));
    }
}
