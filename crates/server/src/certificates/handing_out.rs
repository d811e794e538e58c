//! Certificates going out: download, and recovery with their private keys (operator contract, 8.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_pki::PrivateKey;
use sealift_protocol::Secret;
use sealift_protocol::operator::certificate_content::{Download, Downloaded, Recover, Recovered};
use sqlx::PgConnection;

use super::error::Error;
use super::identify::{self, Wanted};
use super::packing::{self, KeyFormat, Parcel, PublicFormat};
use super::{chain, queries, record};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::security::{Principal, audit, permission};

/// Answers a certificate, alone or with its chain, and the name under which it may be saved.
///
/// # Errors
/// What is wrong with a member, an unknown format, [`Error::NotFound`], a missing permission.
pub(super) async fn download(
    db: &mut PgConnection,
    authority: &Authority,
    caller: &Principal,
    request: &Download,
    format: Option<&str>,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(Downloaded, String), Error> {
    caller.require_for(permission::CERTIFICATES_READ, collection_id)?;
    let format = PublicFormat::parse(format)?;
    if format == PublicFormat::Der && request.include_chain {
        let reason = "DER holds one certificate; ask for PEM or P7B, or leave it out".to_owned();
        return Err(Error::Invalid { member: "IncludeChain", reason });
    }
    let root_first = packing::root_first(request.chain_order.as_deref())?;
    let wanted = Wanted::read(
        request.cert_id,
        request.thumbprint.as_deref(),
        request.serial_number.as_deref(),
        request.issuer_dn.as_deref(),
    )?;
    let permission = permission::CERTIFICATES_READ;
    let id = identify::find(db, caller, permission, &wanted, collection_id, now).await?;
    let row = queries::contents(db, &[id]).await?.pop().ok_or_else(|| Error::NotFound(id.to_string()))?;
    let certificate = chain::parse(id, &row.content)?;
    let certificates = match request.include_chain {
        true => packing::in_order(chain::whole(db, authority, id, &certificate).await?, root_first),
        false => vec![certificate.clone()],
    };
    let message = format!("certificate {id} was downloaded");
    let line = audit::Line::new(caller, audit::Operation::Downloaded, "Certificate", id, message);
    audit::record(db, &[line], now).await?;
    let content = STANDARD.encode(format.pack(&certificates));
    Ok((Downloaded { content }, packing::file_name(&certificate, format.extension())))
}

/// Answers a certificate with its private key, under the password of the call. Clients tell two refusals apart, so their
/// order is fixed: first that there is no key, then that the format is not known.
///
/// # Errors
/// [`Error::KeyMissing`], [`Error::Format`], what is wrong with a member, [`Error::NotFound`], a missing permission.
pub(super) async fn recover(
    db: &mut PgConnection,
    (floor, authority): (&Floor, &Authority),
    caller: &Principal,
    request: Recover,
    format: Option<&str>,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Recovered, Error> {
    let permission = permission::PRIVATE_KEYS_READ;
    caller.require_for(permission, collection_id)?;
    let wanted = Wanted::read(
        request.cert_id,
        request.thumbprint.as_deref(),
        request.serial_number.as_deref(),
        request.issuer_dn.as_deref(),
    )?;
    let id = identify::find(db, caller, permission, &wanted, collection_id, now).await?;
    let row = queries::contents(db, &[id]).await?.pop().ok_or_else(|| Error::NotFound(id.to_string()))?;
    let sealed = row.sealed_key.ok_or(Error::KeyMissing(id))?;
    let format = KeyFormat::parse(format)?;
    let password = packing::check_password(request.password.as_ref())?.clone();
    let root_first = packing::root_first(request.chain_order.as_deref())?;
    let unreadable = |source| Error::Unreadable { id, source };
    let key = floor.sealing.open(record::key_place(&id), &sealed)?;
    let key = PrivateKey::from_pkcs8_der(&key).map_err(unreadable)?;
    let certificate = chain::parse(id, &row.content)?;
    let certificates = match request.include_chain {
        true => chain::whole(db, authority, id, &certificate).await?,
        false => vec![certificate.clone()],
    };
    let legacy_encryption = request.use_legacy_encryption;
    let parcel = Parcel {
        key,
        certificates,
        friendly_name: None,
        password,
        format,
        root_first,
        legacy_encryption,
        subject_header: false,
        created: now,
    };
    let packed = tokio::task::spawn_blocking(move || parcel.pack()).await;
    let packed = packed.map_err(|error| Error::Unwritable(error.to_string()))??;
    let message = format!("the private key of certificate {id} was recovered");
    let line = audit::Line::new(caller, audit::Operation::Recovered, "Certificate", id, message);
    audit::record(db, &[line], now).await?;
    let file_name = packing::file_name(&certificate, format.extension());
    Ok(Recovered { pfx: Secret::new(STANDARD.encode(packed)), file_name })
}
