//! The embedded authority: issuing keys, templates, issued serials, revocation lists.
//!
//! At the first start it makes a root, an issuing authority for web servers and an authority for agents'
//! identities; the keys are sealed in the database and stay in memory while the server runs. A certificate is
//! signed only together with a row for its serial number, in the transaction that also records the certificate.
//! Who may ask for what is decided here (`template`). What a certificate is called in the API, and its private
//! key, belong to `certificates`; which agent gets an identity is decided in `agents`.

mod catalog;
mod error;
mod founding;
mod issue;
pub(crate) mod names;
mod queries;
mod revocation;
mod routes;
pub mod sweep;
pub(crate) mod template;

use actix_web::web;
use sealift_pki::{Certificate, Issuer, SerialNumber};
use sealift_protocol::operator::authority as wire;
use sqlx::PgConnection;

use crate::floor::Floor;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint};
use crate::security::permission;

pub use error::Error;
pub use founding::{Import, import};
pub(crate) use issue::Issued;
pub use issue::Listener;
pub(crate) use revocation::{release, revoke};

/// Most roles that a template or an authority may be for.
const MAX_ROLES: usize = 100;

/// What an authority is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Signs the other two.
    Root,
    /// Signs for web servers.
    Issuing,
    /// Signs agents' identities.
    Agents,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Root, Self::Issuing, Self::Agents];

    /// As the database and the addresses of revocation lists write it.
    const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
            Self::Agents => "agents",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One authority in memory.
struct Held {
    id: i64,
    kind: Kind,
    /// Logical name.
    name: String,
    certificate: Certificate,
    /// With its key; a root from elsewhere has none.
    issuer: Option<Issuer>,
}

/// The authorities of this installation, with their keys. No `Debug`.
pub struct Authority {
    root: Held,
    issuing: Held,
    agents: Held,
    public_url: String,
}

impl Authority {
    /// Loads the authorities, or makes them when the database has none. Safe on several servers at once.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the database holds some but not all, [`Error::Sealing`] when their keys were
    /// sealed with another sealing key, and what the database may fail with.
    pub async fn open(floor: &Floor) -> Result<Self, Error> {
        let mut held = founding::load_or_found(floor).await?;
        let mut take = |kind: Kind| {
            let position = held.iter().position(|held| held.kind == kind);
            position.map(|position| held.swap_remove(position)).ok_or_else(|| Error::Unusable {
                name: kind.word().to_owned(),
                reason: "it is missing while others are there; restore the database from a backup".to_owned(),
            })
        };
        Ok(Self {
            root: take(Kind::Root)?,
            issuing: take(Kind::Issuing)?,
            agents: take(Kind::Agents)?,
            public_url: floor.public_url.clone(),
        })
    }

    /// The root's certificate as PEM, which clients must trust.
    pub fn root_pem(&self) -> String {
        self.root.certificate.to_pem()
    }

    /// The root's certificate.
    pub(crate) fn root(&self) -> &Certificate {
        &self.root.certificate
    }

    /// DER of the authority that signs agents' identities: the trust anchor for their client certificates.
    pub(crate) fn agents_anchor(&self) -> &[u8] {
        self.agents.certificate.der()
    }

    /// DER of the certificates between a leaf of this authority and the root, nearest first, without the root.
    /// Empty for an authority that is not ours.
    pub(crate) fn chain(&self, authority_id: i64) -> Vec<Vec<u8>> {
        let between =
            self.all().into_iter().find(|held| held.id == authority_id && !held.certificate.is_self_issued());
        between.map(|held| held.certificate.der().to_vec()).into_iter().collect()
    }

    /// The certificates of all authorities of this installation, which may stand in others' chains.
    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        self.all().into_iter().map(|held| held.certificate.clone()).collect()
    }

    /// `host\logical name` of an authority, as clients see it.
    pub(crate) fn full_name(&self, authority_id: i64) -> Option<String> {
        let held = self.all().into_iter().find(|held| held.id == authority_id)?;
        Some(format!("{}\\{}", host(&self.public_url), held.name))
    }

    /// The host by which clients know the authorities, and the tenant of their templates.
    pub(crate) fn host(&self) -> &str {
        host(&self.public_url)
    }

    /// Id and logical name of the authority that enrolls.
    pub(crate) fn enrolling(&self) -> (i64, &str) {
        (self.issuing.id, &self.issuing.name)
    }

    /// Accepts the authority that a caller names for a new certificate: nothing, its logical name, or
    /// `host\logical name`, in any case.
    ///
    /// # Errors
    /// [`Error::AuthorityUnknown`].
    pub(crate) fn require_enrolling(&self, named: Option<&str>) -> Result<(), Error> {
        let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) else { return Ok(()) };
        let full = format!("{}\\{}", host(&self.public_url), self.issuing.name);
        if named.eq_ignore_ascii_case(&full) || named.eq_ignore_ascii_case(&self.issuing.name) {
            return Ok(());
        }
        Err(Error::AuthorityUnknown {
            name: shortened(named),
            ours: format!("'{full}' or '{}'", self.issuing.name),
        })
    }

    fn held(&self, kind: Kind) -> &Held {
        match kind {
            Kind::Root => &self.root,
            Kind::Issuing => &self.issuing,
            Kind::Agents => &self.agents,
        }
    }

    fn all(&self) -> [&Held; 3] {
        [&self.root, &self.issuing, &self.agents]
    }

    fn list_address(&self, kind: Kind) -> String {
        list_address(&self.public_url, kind)
    }
}

/// Where the revocation list of an authority is published.
fn list_address(public_url: &str, kind: Kind) -> String {
    format!("{public_url}/crl/{}.crl", kind.word())
}

fn random_serial() -> Result<SerialNumber, Error> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Random)?;
    Ok(SerialNumber::from_random(random))
}

/// The host of an address, without scheme, port and path.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some(inner) = authority.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Refuses names that are no role's.
async fn check_roles(db: &mut PgConnection, member: &str, names: &[String]) -> Result<(), Error> {
    if names.len() > MAX_ROLES {
        return Err(Error::Invalid(format!("{member}: at most {MAX_ROLES} roles are allowed")));
    }
    match queries::unknown_roles(db, names).await?.first() {
        None => Ok(()),
        Some(name) => Err(Error::Invalid(format!("{member}: role '{}' was not found", shortened(name)))),
    }
}

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/crl/{name}", Access::Public, || web::get().to(routes::revocation_list))
            .summary("The newest revocation list of an authority (DER).")
            .answers_file("application/pkix-crl"),
        Endpoint::get("/ca/root.pem", Access::Public, || web::get().to(routes::root))
            .summary("The root that clients and agents must trust (PEM).")
            .answers_file("application/x-pem-file"),
    ];
    endpoints.extend(template_endpoints());
    endpoints.extend(authority_endpoints());
    endpoints
}

fn template_endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::PKI_READ);
    let modify = Access::Permission(permission::PKI_MODIFY);
    vec![
        Endpoint::get("/Templates", read, || web::get().to(routes::templates))
            .summary("What the authority may issue, to whom, and for how long.")
            .list(template::answer::FIELDS)
            .answers_list::<wire::Template>(),
        Endpoint::get("/Templates/{id}", read, || web::get().to(routes::template))
            .summary("One template.")
            .answers::<wire::TemplateDetails>(),
        Endpoint::put("/Templates", modify, || web::put().to(routes::change_template))
            .summary("Changes a template; what is left out stays as it is.")
            .body::<wire::UpdateTemplate>()
            .answers::<wire::TemplateDetails>()
            .example(
                r#"{"Id": {{template}}, "AllowedEnrollmentTypes": 7,
                    "TemplateRegexes": [{"SubjectPart": "CN", "Regex": ".+", "Error": "A common name is needed."}]}"#,
            ),
        Endpoint::get("/Templates/Settings", read, || web::get().to(routes::template_settings))
            .summary("What holds for all templates that do not say otherwise.")
            .answers::<wire::TemplateSettings>(),
        Endpoint::put("/Templates/Settings", modify, || web::put().to(routes::change_template_settings))
            .summary("Changes what holds for all templates; what is left out stays as it is.")
            .body::<wire::TemplateSettings>()
            .answers::<wire::TemplateSettings>()
            .example(r#"{"TemplateDefaults": [{"SubjectPart": "O", "Value": "Example"}]}"#),
        Endpoint::get("/Templates/SubjectParts", read, || web::get().to(routes::subject_parts))
            .summary("The parts of a subject that rules and defaults may name.")
            .answers_list::<wire::SubjectPart>(),
        Endpoint::post("/Templates/Import", modify, || web::post().to(routes::import_templates))
            .summary("Takes over the templates of a tenant; those of the embedded authority are always there.")
            .body::<wire::ImportTemplates>()
            .example(r#"{"ConfigurationTenant": "{{tenant}}"}"#),
    ]
}

fn authority_endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::PKI_READ);
    let modify = Access::Permission(permission::PKI_MODIFY);
    vec![
        Endpoint::get("/CertificateAuthority", read, || web::get().to(routes::authorities))
            .summary("The certificate authorities, all of them embedded.")
            .list(catalog::FIELDS)
            .answers_list::<wire::CertificateAuthority>(),
        Endpoint::get("/CertificateAuthority/{id}", read, || web::get().to(routes::authority))
            .summary("One certificate authority.")
            .answers::<wire::CertificateAuthority>(),
        Endpoint::post("/CertificateAuthority", modify, || web::post().to(routes::create_authority))
            .summary("Always refused: authorities cannot be added to the embedded ones."),
        Endpoint::put("/CertificateAuthority", modify, || web::put().to(routes::change_authority))
            .summary("Changes for whom and how an authority issues; what is left out stays as it is.")
            .body::<wire::ChangeAuthority>()
            .answers::<wire::CertificateAuthority>()
            .example(r#"{"Id": {{authority}}, "AllowedEnrollmentTypes": 7, "AllowOneClickRenewals": true}"#),
        Endpoint::delete("/CertificateAuthority/{id}", modify, || web::delete().to(routes::delete_authority))
            .summary("Always refused: embedded authorities cannot be deleted."),
        Endpoint::post("/CertificateAuthority/Test", read, || web::post().to(routes::test_authority))
            .summary("Whether an authority can sign now.")
            .body::<wire::ChangeAuthority>()
            .answers::<wire::AuthorityTest>()
            .example(r#"{"Id": {{authority}}}"#),
        Endpoint::post("/CertificateAuthority/PublishCRL", modify, || web::post().to(routes::publish_list))
            .summary("Signs the next revocation list of an authority now.")
            .body::<wire::PublishList>()
            .example(r#"{"CertificateAuthorityLogicalName": "{{authority_name}}"}"#),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_between_scheme_and_port() {
        for (address, expected) in [
            ("https://sealift.example.test:8443/x", "sealift.example.test"),
            ("https://sealift.example.test", "sealift.example.test"),
            ("https://[2001:db8::7]:8443", "2001:db8::7"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn kinds_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.word()), Some(kind));
        }
        assert_eq!(Kind::parse("other"), None);
    }
}
