//! How the authorities come to be: made at the first start, or imported before it; and loaded at every start.
//!
//! Servers that start on one database at once take turns by an advisory lock, so that they make one set.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{AuthorityProfile, Certificate, DistinguishedName, Issuer, PrivateKey};
use sqlx::{Connection as _, PgConnection};

use super::error::Error;
use super::{Held, Kind, list_address, queries, random_serial};
use crate::floor::Floor;
use crate::sealing::{Place, SealingKey};

/// Advisory lock under which authorities are made ("auth" in ASCII).
const FOUNDING_LOCK: i64 = 0x6175_7468;
/// Life of the root, in days: 20 years.
const ROOT_DAYS: i64 = 7_305;
/// Life of the authorities below it, in days: 10 years.
const SUBORDINATE_DAYS: i64 = 3_652;
/// How far back their lives begin, so that no leaf begins before its authority.
const BACKDATE: TimeDelta = TimeDelta::days(1);

/// Root, issuing and agents authority, in this order; a root from elsewhere comes without its key.
pub(super) struct Founded {
    root: (Certificate, Option<Issuer>),
    issuing: Issuer,
    agents: Issuer,
    suffix: String,
}

/// An authority of the operator's own, as PEM texts.
pub struct Import<'a> {
    /// The root's certificate. Its key stays where it is.
    pub root: &'a str,
    /// Certificate of the issuing authority, signed by the root.
    pub issuing: &'a str,
    /// Private key of the issuing authority, not encrypted.
    pub issuing_key: &'a str,
}

/// Takes an authority of the operator's own, before the first start.
///
/// # Errors
/// [`Error::Import`] when the database has authorities already or the files do not belong together, and what the
/// database and sealing may fail with.
pub async fn import(floor: &Floor, files: &Import<'_>) -> Result<(), Error> {
    let now = floor.now();
    let founded = imported(files, now)?;
    let mut connection = floor.database.main.acquire().await?;
    let mut transaction = connection.begin().await?;
    queries::lock_founding(&mut transaction, FOUNDING_LOCK).await?;
    if !queries::authorities(&mut transaction).await?.is_empty() {
        return Err(Error::Import(
            "the database has authorities already; import before the first start".to_owned(),
        ));
    }
    store(&mut transaction, &floor.sealing, &founded, now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Loads the authorities, or makes them when there are none.
pub(super) async fn load_or_found(floor: &Floor) -> Result<Vec<Held>, Error> {
    let mut connection = floor.database.main.acquire().await?;
    let rows = queries::authorities(&mut connection).await?;
    if !rows.is_empty() {
        return opened(rows, &floor.sealing);
    }
    let now = floor.now();
    let mut transaction = connection.begin().await?;
    queries::lock_founding(&mut transaction, FOUNDING_LOCK).await?;
    let mut rows = queries::authorities(&mut transaction).await?;
    if rows.is_empty() {
        store(&mut transaction, &floor.sealing, &made(&floor.public_url, now)?, now).await?;
        rows = queries::authorities(&mut transaction).await?;
    }
    transaction.commit().await?;
    opened(rows, &floor.sealing)
}

fn made(public_url: &str, now: DateTime<Utc>) -> Result<Founded, Error> {
    let suffix = random_suffix()?;
    let root = Issuer::self_signed_root(&profile("Root", &suffix, ROOT_DAYS, None, now)?)?;
    let list = Some(list_address(public_url, Kind::Root));
    let issuing = root.subordinate(&profile("Issuing", &suffix, SUBORDINATE_DAYS, list.clone(), now)?)?;
    let agents = root.subordinate(&profile("Agents", &suffix, SUBORDINATE_DAYS, list, now)?)?;
    Ok(Founded { root: (root.certificate().clone(), Some(root)), issuing, agents, suffix })
}

/// Checks what the operator gave. The agents' authority stands alone then, since the root's key is not here.
fn imported(files: &Import<'_>, now: DateTime<Utc>) -> Result<Founded, Error> {
    let refuse = |reason: &str| Err(Error::Import(reason.to_owned()));
    let root = single(files.root, "the root's file")?;
    let issuing = single(files.issuing, "the issuing authority's file")?;
    let key = PrivateKey::from_pem(files.issuing_key)?;
    if !root.is_authority() || !root.is_self_issued() || !root.is_signed_by(&root) {
        return refuse("the root is not a self-signed authority");
    }
    if !issuing.is_authority() || issuing.is_self_issued() || !issuing.is_signed_by(&root) {
        return refuse("the issuing authority is not an authority signed by this root");
    }
    for (certificate, whose) in [(&root, "root"), (&issuing, "issuing authority")] {
        if now < certificate.not_before() || now >= certificate.not_after() {
            return refuse(&format!("the certificate of the {whose} is not valid now; give a current one"));
        }
    }
    let suffix = random_suffix()?;
    let agents = Issuer::self_signed_root(&profile("Agents", &suffix, SUBORDINATE_DAYS, None, now)?)?;
    Ok(Founded { root: (root, None), issuing: Issuer::new(issuing, key)?, agents, suffix })
}

fn single(text: &str, whose: &str) -> Result<Certificate, Error> {
    let mut certificates = sealift_pki::pem::certificates(text)?;
    match (certificates.pop(), certificates.is_empty()) {
        (Some(certificate), true) => Ok(certificate),
        _ => Err(Error::Import(format!("{whose} must hold exactly one certificate in PEM"))),
    }
}

fn profile(
    role: &str,
    suffix: &str,
    days: i64,
    crl_distribution_point: Option<String>,
    now: DateTime<Utc>,
) -> Result<AuthorityProfile, Error> {
    let subject = DistinguishedName::from_common_name(&format!("Sealift {role} {suffix}"))
        .map_err(sealift_pki::Error::from)?;
    Ok(AuthorityProfile {
        subject,
        serial_number: random_serial()?,
        not_before: now - BACKDATE,
        not_after: now + TimeDelta::days(days),
        crl_distribution_point,
    })
}

fn random_suffix() -> Result<String, Error> {
    let mut bytes = [0u8; 3];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
}

async fn store(
    db: &mut PgConnection,
    sealing: &SealingKey,
    founded: &Founded,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ids = queries::reserve_authority_ids(db, 3).await?;
    let root_id = ids.first().copied();
    let (root, root_issuer) = &founded.root;
    let below_root = |issuer: &Issuer| issuer.certificate().is_signed_by(root).then_some(root_id).flatten();
    let members = [
        (Kind::Root, root, root_issuer.as_ref(), None),
        (Kind::Issuing, founded.issuing.certificate(), Some(&founded.issuing), below_root(&founded.issuing)),
        (Kind::Agents, founded.agents.certificate(), Some(&founded.agents), below_root(&founded.agents)),
    ];
    let mut new = queries::NewAuthorities::default();
    for (id, (kind, certificate, issuer, parent)) in ids.into_iter().zip(members) {
        let seal = |issuer: &Issuer| sealing.seal(place(&id), &issuer.key().to_pkcs8_der());
        new.sealed_keys.push(issuer.map(seal).transpose()?);
        new.ids.push(id);
        new.kinds.push(kind.word().to_owned());
        new.names.push(logical_name(certificate, kind, &founded.suffix));
        new.parents.push(parent);
        new.certificates.push(certificate.der().to_vec());
    }
    queries::insert_authorities(db, &new, now).await?;
    Ok(())
}

/// The common name; made up where there is none that fits the column.
fn logical_name(certificate: &Certificate, kind: Kind, suffix: &str) -> String {
    let fits =
        |name: &&str| !name.trim().is_empty() && name.chars().count() <= 128 && !name.contains(['\\', '\0']);
    match certificate.common_name().filter(fits) {
        Some(name) => name.to_owned(),
        None => format!("{} {suffix}", kind.word()),
    }
}

fn opened(rows: Vec<queries::AuthorityRow>, sealing: &SealingKey) -> Result<Vec<Held>, Error> {
    rows.into_iter().map(|row| open_one(row, sealing)).collect()
}

fn open_one(row: queries::AuthorityRow, sealing: &SealingKey) -> Result<Held, Error> {
    let unusable = |reason: &str| Error::Unusable { name: row.name.clone(), reason: reason.to_owned() };
    let kind = Kind::parse(&row.kind).ok_or_else(|| unusable("its kind is not known to this program"))?;
    let certificate = Certificate::parse(&row.certificate)?;
    let issuer = match &row.sealed_key {
        Some(sealed) => {
            let key = PrivateKey::from_pkcs8_der(&sealing.open(place(&row.id), sealed)?)?;
            Some(Issuer::new(certificate.clone(), key)?)
        }
        None => None,
    };
    if issuer.is_none() && kind != Kind::Root {
        return Err(unusable("its private key is missing; restore the database from a backup"));
    }
    Ok(Held { id: row.id, kind, name: row.name, certificate, issuer })
}

fn place(id: &i64) -> Place<'_> {
    Place { table: "authorities", row: id, column: "sealed_key" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T09:30:00Z".parse().unwrap()
    }

    #[test]
    fn what_is_made_forms_one_tree() {
        let founded = made("https://sealift.example.test", now()).unwrap();
        let (root, root_issuer) = &founded.root;
        assert!(root_issuer.is_some() && root.is_self_issued() && root.path_length().is_none());
        for below in [&founded.issuing, &founded.agents] {
            let certificate = below.certificate();
            assert!(certificate.is_signed_by(root) && certificate.path_length() == Some(0));
            assert!(certificate.not_after() < root.not_after());
            assert_eq!(certificate.crl_distribution_points(), ["https://sealift.example.test/crl/root.crl"]);
        }
        assert_ne!(founded.issuing.certificate().common_name(), founded.agents.certificate().common_name());
    }

    #[test]
    fn an_import_must_belong_together_and_be_valid() {
        let theirs = made("https://theirs.example.test", now()).unwrap();
        let others = made("https://others.example.test", now()).unwrap();
        let pem = |certificate: &Certificate| certificate.to_pem();
        let key = theirs.issuing.key().to_pem();
        let (root, issuing) = (pem(&theirs.root.0), pem(theirs.issuing.certificate()));
        let import = |root: &str, issuing: &str, key: &str, at: DateTime<Utc>| {
            imported(&Import { root, issuing, issuing_key: key }, at)
        };
        let founded = import(&root, &issuing, &key, now()).unwrap();
        assert!(founded.root.1.is_none() && founded.agents.certificate().is_self_issued());

        assert!(import(&pem(&others.root.0), &issuing, &key, now()).is_err());
        assert!(import(&root, &root, &theirs.root.1.as_ref().unwrap().key().to_pem(), now()).is_err());
        assert!(import(&root, &issuing, &others.issuing.key().to_pem(), now()).is_err());
        assert!(import(&format!("{root}{issuing}"), &issuing, &key, now()).is_err());
        assert!(import(&root, &issuing, &key, now() + TimeDelta::days(SUBORDINATE_DAYS + 1)).is_err());
    }
}
