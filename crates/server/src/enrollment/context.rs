//! What a caller may enroll and by which rules, and templates under the name of enrollment patterns (operator
//! contract, 4.9). One pattern stands for each template and has its id.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::authority::TemplatePolicy;
use sealift_protocol::operator::enrollment as wire;
use sqlx::PgConnection;

use super::error::Error;
use super::queries;
use crate::authority::Authority;
use crate::authority::template::{self, EnrollmentKind, Template};
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

/// The templates by which the caller may enroll in this way.
pub(super) async fn context(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    kind: EnrollmentKind,
) -> Result<wire::EnrollmentContext, Error> {
    caller.require(match kind {
        EnrollmentKind::Pfx => permission::ENROLL_PFX,
        EnrollmentKind::Csr => permission::ENROLL_CSR,
    })?;
    let usable =
        |template: &Template| template.offers(kind) && template.allows_one_of(caller.roles()).is_ok();
    let templates = template::all(db, None).await?;
    let templates = templates.iter().filter(|template| usable(template));
    Ok(wire::EnrollmentContext {
        templates: templates.map(|template| in_context(template, authority)).collect(),
        standalone_cas: Vec::new(),
    })
}

fn in_context(template: &Template, authority: &Authority) -> wire::ContextTemplate {
    let default = template.default_key();
    let (id, _) = authority.enrolling();
    wire::ContextTemplate {
        id: template.id,
        name: template.short_name.clone(),
        display_name: template.display_name.clone(),
        forest: authority.host().to_owned(),
        key_size: default.bits().to_string(),
        key_type: default.family().to_owned(),
        requires_approval: template.requires_approval,
        rfc_enforcement: template.requires_dns(),
        cas: vec![wire::ContextAuthority {
            name: authority.full_name(id).unwrap_or_default(),
            rfc_enforcement: template.authority_require_dns,
            subscriber_terms: template.terms,
        }],
        enrollment_fields: template.fields.clone(),
        metadata_fields: Vec::new(),
        regexes: template
            .rules
            .iter()
            .map(|rule| wire::ContextRegex {
                template_id: template.id,
                subject_part: rule.subject_part.clone(),
                regex: rule.regex.clone(),
                error: rule.error.clone().unwrap_or_default(),
            })
            .collect(),
        extended_key_usages: template.purposes(),
        curve: default.curve_oid().map(str::to_owned),
    }
}

/// The rules of a template, to anyone who may enroll.
pub(super) async fn settings(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<wire::EnrollmentSettings, Error> {
    if !caller.permits(permission::ENROLL_CSR) {
        caller.require(permission::ENROLL_PFX)?;
    }
    let template = template::find_by_id(db, id).await?;
    let template = template.ok_or_else(|| Error::NotFound(format!("template {id}")))?;
    Ok(wire::EnrollmentSettings {
        template_policy: TemplatePolicy {
            rfc_enforcement: Some(template.requires_dns()),
            ..template.policy()
        },
        template_regexes: template.rules,
        template_defaults: template.defaults,
    })
}

/// Lists enrollment patterns.
pub(super) async fn patterns(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<wire::EnrollmentPattern>, i64), Error> {
    caller.require(permission::PATTERNS_READ)?;
    let (templates, total) = template::answer::page(db, caller, list, now).await?;
    let roles = roles(db, &templates).await?;
    Ok((templates.iter().map(|template| pattern(template, authority, &roles)).collect(), total))
}

/// Answers one enrollment pattern.
pub(super) async fn one_pattern(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    id: i64,
) -> Result<wire::EnrollmentPattern, Error> {
    caller.require(permission::PATTERNS_READ)?;
    let template = template::find_by_id(db, id).await?;
    let template = template.ok_or_else(|| Error::NotFound(format!("enrollment pattern {id}")))?;
    let roles = roles(db, std::slice::from_ref(&template)).await?;
    Ok(pattern(&template, authority, &roles))
}

/// Ids of the roles that templates name, by their names in lower case.
async fn roles(db: &mut PgConnection, templates: &[Template]) -> Result<HashMap<String, i64>, Error> {
    let names: Vec<String> =
        templates.iter().flat_map(|one| one.only_roles.iter().flatten()).cloned().collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = queries::roles(db, &[], &names).await?;
    Ok(rows.into_iter().map(|row| (row.name.to_lowercase(), row.id)).collect())
}

fn pattern(
    template: &Template,
    authority: &Authority,
    roles: &HashMap<String, i64>,
) -> wire::EnrollmentPattern {
    let (id, name) = authority.enrolling();
    let policy = template.policy();
    wire::EnrollmentPattern {
        id: template.id,
        name: template.display_name.clone(),
        description: format!("Certificates by template {}", template.short_name),
        template: wire::PatternTemplate {
            id: template.id,
            template_name: template.display_name.clone(),
            common_name: template.short_name.clone(),
            configuration_tenant: authority.host().to_owned(),
            requires_approval: template.requires_approval,
            friendly_name: template.display_name.clone(),
        },
        template_default: true,
        use_ad_permissions: false,
        associated_roles: template
            .only_roles
            .iter()
            .flatten()
            .filter_map(|name| {
                Some(wire::PatternRole { id: *roles.get(&name.to_lowercase())?, name: name.clone() })
            })
            .collect(),
        certificate_authorities: vec![wire::PatternAuthority {
            id,
            logical_name: name.to_owned(),
            host_name: authority.host().to_owned(),
        }],
        allowed_enrollment_types: (template.enrollment_types & template.authority_types).into(),
        regexes: template.rules.clone(),
        metadata_fields: Vec::new(),
        restrict_cas: true,
        policies: wire::PatternPolicies {
            allow_key_reuse: policy.allow_key_reuse.unwrap_or_default(),
            allow_wildcards: policy.allow_wildcards.unwrap_or_default(),
            rfc_enforcement: template.requires_dns(),
            certificate_owner_role: "Optional".to_owned(),
            default_certificate_owner_role_id: None,
            default_certificate_owner_role_name: None,
            default_certificate_owner_override: true,
            key_info: template.key_info(),
            primary_key_algorithms: template.families().into_iter().map(str::to_owned).collect(),
            alternative_key_algorithms: Vec::new(),
        },
        defaults: template.defaults.clone(),
        enrollment_fields: template.fields.clone(),
    }
}
