//! Signing: certificates for web servers, agents' identities, and the server's own listener.
//!
//! Each function signs in memory and writes the serial number's row before it lets go of the certificate; the
//! caller's transaction decides whether both exist.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{
    Certificate, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, LeafProfile, PrivateKey,
    SubjectAlternativeName, SubjectPublicKey,
};
use sealift_protocol::AgentId;
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::error::Error;
use super::template::Leaf;
use super::{Authority, Held, names, queries, random_serial};

/// How far back a certificate's life begins, for clocks that are slow.
pub(super) const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// How far back an agent's identity begins: agents of the published protocol compare with their local time as if
/// it were UTC (agent protocol, 4.7).
const IDENTITY_BACKDATE: TimeDelta = TimeDelta::hours(15);
/// Days that the listener's certificate lives.
const LISTENER_DAYS: i64 = 90;
/// Longest common name (X.520).
const MAX_COMMON_NAME: usize = 64;

/// A certificate that was issued; its serial number is on record in the caller's transaction.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) certificate: Certificate,
    /// Who signed it.
    pub(crate) authority_id: i64,
}

/// Certificate and key of this server's own listener. No `Debug`: it holds a private key.
pub struct Listener {
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
    /// End of its life; it must have been replaced before.
    pub not_after: DateTime<Utc>,
}

impl Authority {
    /// Signs a certificate for a web server, as its template admitted it.
    ///
    /// # Errors
    /// [`Error::Expired`], and what signing and the database may fail with.
    pub(crate) async fn issue(
        &self,
        db: &mut PgConnection,
        leaf: &Leaf,
        now: DateTime<Utc>,
    ) -> Result<Issued, Error> {
        let admitted = &leaf.admitted;
        let usages: Result<_, _> =
            admitted.extended_key_usages.iter().map(|oid| ExtendedKeyUsage::from_oid(oid)).collect();
        let profile = LeafProfile {
            subject: admitted.subject.clone(),
            subject_alternative_names: admitted.names.clone(),
            extended_key_usages: usages?,
            ..self.blank(
                &self.issuing,
                now - CLOCK_SKEW,
                now + TimeDelta::days(admitted.validity_days.into()),
            )?
        };
        let certificate = sign(db, &self.issuing, &profile, &leaf.public_key, now).await?;
        Ok(Issued { certificate, authority_id: self.issuing.id })
    }

    /// Signs an agent's identity. Its subject is the agent's id and machine; what the agent's request says of
    /// itself is not taken over.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub(crate) async fn issue_identity(
        &self,
        db: &mut PgConnection,
        public_key: &SubjectPublicKey,
        agent: AgentId,
        machine: &str,
        days: u32,
        now: DateTime<Utc>,
    ) -> Result<Certificate, Error> {
        let profile = LeafProfile {
            subject: identity_name(agent, machine)?,
            extended_key_usages: vec![ExtendedKeyUsage::ClientAuthentication],
            ..self.blank(&self.agents, now - IDENTITY_BACKDATE, now + TimeDelta::days(days.into()))?
        };
        sign(db, &self.agents, &profile, public_key, now).await
    }

    /// Makes key and certificate for this server's own listener. Names are DNS names or addresses.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that is neither or when there is none, [`Error::Expired`], and what signing and
    /// the database may fail with.
    pub async fn issue_listener(
        &self,
        db: &mut PgConnection,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<Listener, Error> {
        let names = listener_names(names)?;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let profile = LeafProfile {
            subject: listener_subject(&names)?,
            subject_alternative_names: names,
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuthentication],
            ..self.blank(&self.issuing, now - CLOCK_SKEW, now + TimeDelta::days(LISTENER_DAYS))?
        };
        let certificate = sign(db, &self.issuing, &profile, &SubjectPublicKey::from(&key), now).await?;
        let mut chain = vec![certificate.der().to_vec()];
        chain.extend(self.chain(self.issuing.id));
        Ok(Listener { chain, key: key.to_pkcs8_der(), not_after: certificate.not_after() })
    }

    /// A profile of the authority's with a fresh serial number, its life cut at the end of the authority's.
    fn blank(
        &self,
        by: &Held,
        not_before: DateTime<Utc>,
        not_after: DateTime<Utc>,
    ) -> Result<LeafProfile, Error> {
        let not_after = not_after.min(by.certificate.not_after());
        if not_after <= not_before {
            return Err(Error::Expired { name: by.name.clone() });
        }
        Ok(LeafProfile {
            subject: DistinguishedName::default(),
            subject_alternative_names: Vec::new(),
            serial_number: random_serial()?,
            not_before,
            not_after,
            extended_key_usages: Vec::new(),
            crl_distribution_point: Some(self.list_address(by.kind)),
        })
    }
}

async fn sign(
    db: &mut PgConnection,
    by: &Held,
    profile: &LeafProfile,
    public_key: &SubjectPublicKey,
    now: DateTime<Utc>,
) -> Result<Certificate, Error> {
    let certificate = by.signer()?.sign(profile, public_key)?;
    queries::insert_serial(db, by.id, &certificate, now).await?;
    Ok(certificate)
}

impl Held {
    /// The key that signs; an authority whose key is held elsewhere has none.
    pub(super) fn signer(&self) -> Result<&Issuer, Error> {
        self.issuer.as_ref().ok_or_else(|| Error::Unusable {
            name: self.name.clone(),
            reason: "its private key is held elsewhere".to_owned(),
        })
    }
}

/// `CN=<agent id>,OU=<machine>`; what could change the meaning of a name in the machine becomes `_`.
fn identity_name(agent: AgentId, machine: &str) -> Result<DistinguishedName, Error> {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '_' };
    let machine: String = machine.chars().take(MAX_COMMON_NAME).map(plain).collect();
    let text = format!("CN={agent},OU={machine}");
    Ok(DistinguishedName::parse(&text).map_err(sealift_pki::Error::from)?)
}

fn listener_names(given: &[String]) -> Result<Vec<SubjectAlternativeName>, Error> {
    let refused = |reason| Error::Name { member: "tls.names", reason };
    let mut names: Vec<SubjectAlternativeName> = Vec::new();
    for text in given.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let name = match text.parse() {
            Ok(ip) => SubjectAlternativeName::Ip(ip),
            Err(_) => SubjectAlternativeName::Dns(names::dns(text).map_err(refused)?),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.is_empty() {
        true => Err(refused("the listener needs at least one name or address".to_owned())),
        false => Ok(names),
    }
}

fn listener_subject(names: &[SubjectAlternativeName]) -> Result<DistinguishedName, Error> {
    let first = names.iter().map(ToString::to_string).find(|name| name.len() <= MAX_COMMON_NAME);
    let subject = DistinguishedName::from_common_name(first.as_deref().unwrap_or("sealift"));
    Ok(subject.map_err(sealift_pki::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_cannot_write_itself_another_name() {
        let agent = AgentId::generate();
        let name = identity_name(agent, "web1,CN=root+OU=\\x\"\0").unwrap();
        assert_eq!(name.common_name(), Some(agent.to_string().as_str()));
        assert_eq!(name.organizational_units(), ["web1_CN_root_OU__x__"]);
        assert!(identity_name(agent, "").is_ok());
        assert!(identity_name(agent, &"m".repeat(256)).is_ok());
    }

    #[test]
    fn the_listener_takes_names_and_addresses_once() {
        let given =
            ["localhost".to_owned(), "127.0.0.1".to_owned(), "LOCALHOST".to_owned(), "::1".to_owned()];
        let names = listener_names(&given).unwrap();
        assert_eq!(
            names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["localhost", "127.0.0.1", "::1"]
        );
        assert_eq!(listener_subject(&names).unwrap().common_name(), Some("localhost"));
        assert!(listener_names(&[]).is_err());
        assert!(listener_names(&["a b".to_owned()]).unwrap_err().to_string().contains("tls.names"));
    }
}
