//! Every SQL statement of the slice.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// A row of `authorities`, without its revocation list.
pub(super) struct AuthorityRow {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) certificate: Vec<u8>,
    pub(super) sealed_key: Option<Vec<u8>>,
}

/// A row of `templates`, with what holds beside it.
pub(super) struct TemplateRow {
    pub(super) id: i64,
    pub(super) short_name: String,
    pub(super) display_name: String,
    pub(super) validity_days: i32,
    pub(super) key_algorithms: Vec<String>,
    pub(super) extended_key_usages: Vec<String>,
    pub(super) restricted: bool,
    pub(super) allowed_roles: Vec<String>,
    pub(super) enrollment_types: i16,
    pub(super) requires_approval: bool,
    pub(super) keeps_keys: bool,
    pub(super) one_click: bool,
    pub(super) allow_wildcards: bool,
    pub(super) allow_key_reuse: bool,
    pub(super) require_dns: bool,
    pub(super) subject_rules: Value,
    pub(super) subject_defaults: Value,
    pub(super) enrollment_fields: Value,
    pub(super) settings_rules: Value,
    pub(super) settings_defaults: Value,
    pub(super) authority_types: i16,
    pub(super) authority_restricted: bool,
    pub(super) authority_roles: Vec<String>,
    pub(super) authority_require_dns: bool,
    pub(super) authority_one_click: bool,
    pub(super) authority_terms: bool,
}

/// What an operator may change of a template; null keeps what is there.
#[derive(Default)]
pub(super) struct TemplateChange {
    pub(super) display_name: Option<String>,
    pub(super) validity_days: Option<i32>,
    pub(super) key_algorithms: Option<Vec<String>>,
    pub(super) restricted: Option<bool>,
    pub(super) allowed_roles: Option<Vec<String>>,
    pub(super) enrollment_types: Option<i16>,
    pub(super) requires_approval: Option<bool>,
    pub(super) keeps_keys: Option<bool>,
    pub(super) one_click: Option<bool>,
    pub(super) allow_wildcards: Option<bool>,
    pub(super) allow_key_reuse: Option<bool>,
    pub(super) require_dns: Option<bool>,
    pub(super) subject_rules: Option<Value>,
    pub(super) subject_defaults: Option<Value>,
    pub(super) enrollment_fields: Option<Value>,
}

/// The row of `template_settings`.
pub(super) struct SettingsRow {
    pub(super) allow_wildcards: bool,
    pub(super) allow_key_reuse: bool,
    pub(super) require_dns: bool,
    pub(super) subject_rules: Value,
    pub(super) subject_defaults: Value,
}

/// What an operator may change of an authority.
#[derive(Clone)]
pub(super) struct AuthoritySettings {
    pub(super) id: i64,
    pub(super) enrollment_types: i16,
    pub(super) restricted: bool,
    pub(super) allowed_roles: Vec<String>,
    pub(super) require_dns: bool,
    pub(super) one_click: bool,
    pub(super) terms: bool,
}

/// A revoked certificate of an authority.
pub(super) struct RevokedRow {
    pub(super) serial: Vec<u8>,
    pub(super) revoked_at: DateTime<Utc>,
    pub(super) revoke_reason: i16,
}

/// A newest revocation list.
pub(super) struct ListRow {
    pub(super) crl: Option<Vec<u8>>,
    pub(super) crl_next_update: Option<DateTime<Utc>>,
}

pub(super) async fn lock_founding(db: &mut PgConnection, key: i64) -> sqlx::Result<()> {
    sqlx::query!("-- name: lock_founding\nSELECT pg_advisory_xact_lock($1)", key).execute(db).await?;
    Ok(())
}

pub(super) async fn authorities(db: &mut PgConnection) -> sqlx::Result<Vec<AuthorityRow>> {
    sqlx::query_as!(
        AuthorityRow,
        "-- name: authorities
        SELECT id, kind, name, certificate, sealed_key FROM authorities ORDER BY id"
    )
    .fetch_all(db)
    .await
}

/// Reserves ids: keys are sealed to their row, so its id must be known before it is written.
pub(super) async fn reserve_authority_ids(db: &mut PgConnection, count: i32) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- name: reserve_authority_ids
        SELECT nextval(pg_get_serial_sequence('authorities', 'id')) AS "id!" FROM generate_series(1, $1::integer)"#,
        count
    )
    .fetch_all(db)
    .await
}

/// Columns of new authorities, one element for each.
#[derive(Default)]
pub(super) struct NewAuthorities {
    pub(super) ids: Vec<i64>,
    pub(super) kinds: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) parents: Vec<Option<i64>>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) sealed_keys: Vec<Option<Vec<u8>>>,
}

pub(super) async fn insert_authorities(
    db: &mut PgConnection,
    new: &NewAuthorities,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: insert_authorities
        INSERT INTO authorities (id, kind, name, parent_id, certificate, sealed_key, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT id, kind, name, parent_id, certificate, sealed_key, $7
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[])
            AS new (id, kind, name, parent_id, certificate, sealed_key)",
        &new.ids,
        &new.kinds,
        &new.names,
        &new.parents as &[Option<i64>],
        &new.certificates,
        &new.sealed_keys as &[Option<Vec<u8>>],
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The templates of this short name or these ids; all with neither.
pub(super) async fn templates(
    db: &mut PgConnection,
    short_name: Option<&str>,
    ids: Option<&[i64]>,
) -> sqlx::Result<Vec<TemplateRow>> {
    sqlx::query_as!(
        TemplateRow,
        r#"-- name: templates
        SELECT t.id, t.short_name, t.display_name, t.validity_days, t.key_algorithms, t.extended_key_usages,
            t.restricted, t.allowed_roles, t.enrollment_types, t.requires_approval, t.keeps_keys, t.one_click,
            COALESCE(t.allow_wildcards, s.allow_wildcards) AS "allow_wildcards!",
            COALESCE(t.allow_key_reuse, s.allow_key_reuse) AS "allow_key_reuse!",
            COALESCE(t.require_dns, s.require_dns) AS "require_dns!",
            t.subject_rules, t.subject_defaults, t.enrollment_fields,
            s.subject_rules AS settings_rules, s.subject_defaults AS settings_defaults,
            a.enrollment_types AS authority_types, a.restricted AS authority_restricted,
            a.allowed_roles AS authority_roles, a.require_dns AS authority_require_dns,
            a.one_click AS authority_one_click, a.terms AS authority_terms
        FROM templates t CROSS JOIN template_settings s JOIN authorities a ON a.kind = 'issuing'
        WHERE ($1::text IS NULL OR lower(t.short_name) = lower($1))
            AND ($2::bigint[] IS NULL OR t.id = ANY ($2))
        ORDER BY t.id LIMIT 1000"#,
        short_name,
        ids as Option<&[i64]>
    )
    .fetch_all(db)
    .await
}

/// Changes a template; false when there is none.
pub(super) async fn change_template(
    db: &mut PgConnection,
    id: i64,
    change: &TemplateChange,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "-- name: change_template
        UPDATE templates SET
            display_name = COALESCE($2, display_name), validity_days = COALESCE($3, validity_days),
            key_algorithms = COALESCE($4, key_algorithms), restricted = COALESCE($5, restricted),
            allowed_roles = COALESCE($6, allowed_roles), enrollment_types = COALESCE($7, enrollment_types),
            requires_approval = COALESCE($8, requires_approval), keeps_keys = COALESCE($9, keeps_keys),
            one_click = COALESCE($10, one_click), allow_wildcards = COALESCE($11, allow_wildcards),
            allow_key_reuse = COALESCE($12, allow_key_reuse), require_dns = COALESCE($13, require_dns),
            subject_rules = COALESCE($14, subject_rules), subject_defaults = COALESCE($15, subject_defaults),
            enrollment_fields = COALESCE($16, enrollment_fields)
        WHERE id = $1",
        id,
        change.display_name.as_deref(),
        change.validity_days,
        change.key_algorithms.as_deref(),
        change.restricted,
        change.allowed_roles.as_deref(),
        change.enrollment_types,
        change.requires_approval,
        change.keeps_keys,
        change.one_click,
        change.allow_wildcards,
        change.allow_key_reuse,
        change.require_dns,
        change.subject_rules.as_ref(),
        change.subject_defaults.as_ref(),
        change.enrollment_fields.as_ref()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What holds for all templates.
pub(super) async fn template_settings(db: &mut PgConnection) -> sqlx::Result<SettingsRow> {
    sqlx::query_as!(
        SettingsRow,
        "-- name: template_settings
        SELECT allow_wildcards, allow_key_reuse, require_dns, subject_rules, subject_defaults FROM template_settings"
    )
    .fetch_one(db)
    .await
}

pub(super) async fn change_template_settings(
    db: &mut PgConnection,
    change: &TemplateChange,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: change_template_settings
        UPDATE template_settings SET
            allow_wildcards = COALESCE($1, allow_wildcards), allow_key_reuse = COALESCE($2, allow_key_reuse),
            require_dns = COALESCE($3, require_dns), subject_rules = COALESCE($4, subject_rules),
            subject_defaults = COALESCE($5, subject_defaults)",
        change.allow_wildcards,
        change.allow_key_reuse,
        change.require_dns,
        change.subject_rules.as_ref(),
        change.subject_defaults.as_ref()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What operators set of authorities.
pub(super) async fn authority_settings(db: &mut PgConnection) -> sqlx::Result<Vec<AuthoritySettings>> {
    sqlx::query_as!(
        AuthoritySettings,
        "-- name: authority_settings
        SELECT id, enrollment_types, restricted, allowed_roles, require_dns, one_click, terms FROM authorities ORDER BY id"
    )
    .fetch_all(db)
    .await
}

pub(super) async fn change_authority(
    db: &mut PgConnection,
    settings: &AuthoritySettings,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: change_authority
        UPDATE authorities SET enrollment_types = $2, restricted = $3, allowed_roles = $4, require_dns = $5,
            one_click = $6, terms = $7
        WHERE id = $1",
        settings.id,
        settings.enrollment_types,
        settings.restricted,
        &settings.allowed_roles,
        settings.require_dns,
        settings.one_click,
        settings.terms
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of some names that are no role's, in any case.
pub(super) async fn unknown_roles(db: &mut PgConnection, names: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- name: unknown_roles
        SELECT name AS "name!" FROM unnest($1::text[]) AS given (name)
        WHERE NOT EXISTS (SELECT 1 FROM roles r WHERE lower(r.name) = lower(given.name))"#,
        names
    )
    .fetch_all(db)
    .await
}

pub(super) async fn template_names(db: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("-- name: template_names\nSELECT short_name FROM templates ORDER BY id LIMIT 50")
        .fetch_all(db)
        .await
}

pub(super) async fn insert_serial(
    db: &mut PgConnection,
    authority_id: i64,
    certificate: &sealift_pki::Certificate,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: insert_serial
        INSERT INTO issued_serials (authority_id, serial, subject, issued_at, not_after) VALUES ($1, $2, $3, $4, $5)",
        authority_id,
        certificate.serial_number().as_bytes(),
        certificate.subject().to_string(),
        now,
        certificate.not_after()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks serial numbers as revoked; those that were before keep their time and reason. Answers how many changed.
pub(super) async fn revoke_serials(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[Vec<u8>],
    reason: i16,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: revoke_serials
        UPDATE issued_serials SET revoked_at = $4, revoke_reason = $3
        WHERE authority_id = $1 AND serial = ANY ($2) AND revoked_at IS NULL",
        authority_id,
        serials,
        reason,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn release_serials(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[Vec<u8>],
    hold: i16,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: release_serials
        UPDATE issued_serials SET revoked_at = NULL, revoke_reason = NULL
        WHERE authority_id = $1 AND serial = ANY ($2) AND revoke_reason = $3",
        authority_id,
        serials,
        hold
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Waits for a list that is being signed, which may or may not hold the revocation, and asks for the next one.
pub(super) async fn mark_list_stale(db: &mut PgConnection, authority_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: mark_list_stale\nUPDATE authorities SET crl_stale = true WHERE id = $1",
        authority_id
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn newest_list(db: &mut PgConnection, authority_id: i64) -> sqlx::Result<Option<ListRow>> {
    sqlx::query_as!(
        ListRow,
        "-- name: newest_list
        SELECT crl, crl_next_update FROM authorities WHERE id = $1",
        authority_id
    )
    .fetch_optional(db)
    .await
}

/// Takes the right to sign the next list of an authority when one is due; answers the number of the list before.
/// Nothing when none is due, or when another server is signing it. Issuing goes on meanwhile.
pub(super) async fn take_due_list(
    db: &mut PgConnection,
    authority_id: i64,
    due_until: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: take_due_list
        SELECT crl_number FROM authorities
        WHERE id = $1 AND (crl IS NULL OR crl_stale OR crl_next_update <= $2)
        FOR NO KEY UPDATE SKIP LOCKED",
        authority_id,
        due_until
    )
    .fetch_optional(db)
    .await
}

/// As [`take_due_list`] when none was ever signed or the newest has run out, but waits for another server.
pub(super) async fn take_missing_list(
    db: &mut PgConnection,
    authority_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: take_missing_list
        SELECT crl_number FROM authorities
        WHERE id = $1 AND (crl IS NULL OR crl_next_update <= $2)
        FOR NO KEY UPDATE",
        authority_id,
        now
    )
    .fetch_optional(db)
    .await
}

/// Revoked certificates whose life is not over yet.
pub(super) async fn revoked(
    db: &mut PgConnection,
    authority_id: i64,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<RevokedRow>> {
    sqlx::query_as!(
        RevokedRow,
        r#"-- name: revoked
        SELECT serial, revoked_at AS "revoked_at!", revoke_reason AS "revoke_reason!"
        FROM issued_serials
        WHERE authority_id = $1 AND revoked_at IS NOT NULL AND not_after > $2
        ORDER BY revoked_at, serial LIMIT $3"#,
        authority_id,
        now,
        limit
    )
    .fetch_all(db)
    .await
}

/// A revocation list that was signed.
pub(super) struct SignedList<'a> {
    pub(super) authority_id: i64,
    pub(super) number: i64,
    pub(super) der: &'a [u8],
    pub(super) next_update: DateTime<Utc>,
}

/// Stores a list if the one before it is still the newest.
pub(super) async fn store_list(db: &mut PgConnection, list: &SignedList<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "-- name: store_list
        UPDATE authorities SET crl = $3, crl_number = $2::bigint, crl_next_update = $4, crl_stale = false
        WHERE id = $1 AND crl_number + 1 = $2::bigint",
        list.authority_id,
        list.number,
        list.der,
        list.next_update
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
