//! Templates: what may be issued, to whom, and for how long. The policy is a pure function, [`Template::admit`].

use sealift_pki::{DistinguishedName, KeyAlgorithm, SubjectAlternativeName, SubjectPublicKey};
use sqlx::PgConnection;

use super::error::Error;
use super::{names, queries};
use crate::http::problem::shortened;

/// Object identifier of the extended key usage of TLS servers.
const SERVER_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.1";

/// How templates write the kinds of key.
const KEYS: [(&str, KeyAlgorithm); 6] = [
    ("RSA-2048", KeyAlgorithm::Rsa(2048)),
    ("RSA-3072", KeyAlgorithm::Rsa(3072)),
    ("RSA-4096", KeyAlgorithm::Rsa(4096)),
    ("P-256", KeyAlgorithm::EcdsaP256),
    ("P-384", KeyAlgorithm::EcdsaP384),
    ("Ed25519", KeyAlgorithm::Ed25519),
];

/// What may be issued, to whom, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Its id.
    pub(crate) id: i64,
    /// What clients call it.
    pub(crate) short_name: String,
    /// Days that what it issues lives.
    pub(crate) validity_days: i32,
    /// Allowed kinds of key, the default first.
    pub(crate) keys: Vec<KeyAlgorithm>,
    /// Object identifiers of extended key usages.
    pub(crate) extended_key_usages: Vec<String>,
    /// Roles that may use it; empty for everyone who may enroll.
    pub(crate) allowed_roles: Vec<String>,
    /// Whether names may begin with `*.`.
    pub(crate) allow_wildcards: bool,
}

/// What a template admitted: everything of the certificate but its key.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(super) subject: DistinguishedName,
    pub(super) names: Vec<SubjectAlternativeName>,
    pub(super) extended_key_usages: Vec<String>,
    pub(super) validity_days: i32,
}

/// A certificate to be issued. Only [`Template::admit`] leads here.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(super) admitted: Admitted,
    pub(super) public_key: SubjectPublicKey,
}

impl Admitted {
    /// Joins what was admitted with the key, whose kind was admitted too.
    pub(crate) fn for_key(self, public_key: SubjectPublicKey) -> Leaf {
        Leaf { admitted: self, public_key }
    }
}

/// Finds a template by its short name, in any case.
pub(crate) async fn find(db: &mut PgConnection, short_name: &str) -> Result<Template, Error> {
    if let Some(row) = queries::template_by_name(db, short_name).await? {
        return Template::from_row(row);
    }
    let known = queries::template_names(db).await?.join(", ");
    Err(Error::TemplateUnknown { name: shortened(short_name), known })
}

impl Template {
    fn from_row(row: queries::TemplateRow) -> Result<Self, Error> {
        let keys: Option<Vec<KeyAlgorithm>> = row.key_algorithms.iter().map(|word| key_of(word)).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| Error::Unusable {
            name: row.short_name.clone(),
            reason: "key_algorithms of this template holds a word that is not known".to_owned(),
        })?;
        Ok(Self {
            id: row.id,
            short_name: row.short_name,
            validity_days: row.validity_days,
            keys,
            extended_key_usages: row.extended_key_usages,
            allowed_roles: row.allowed_roles,
            allow_wildcards: row.allow_wildcards,
        })
    }

    /// The kind of key that is made when none was asked for.
    pub(crate) fn default_key(&self) -> KeyAlgorithm {
        self.keys.first().copied().unwrap_or(KeyAlgorithm::EcdsaP256)
    }

    /// Decides whether a caller with these roles may have such a certificate, and completes it: a common name
    /// that is a DNS name or an address becomes an alternative name, too; repeated names are dropped.
    ///
    /// # Errors
    /// [`Error::TemplateForbidden`], [`Error::Key`], [`Error::Name`].
    pub(crate) fn admit<'a>(
        &self,
        roles: impl IntoIterator<Item = &'a str>,
        subject: &DistinguishedName,
        names: &[SubjectAlternativeName],
        key: KeyAlgorithm,
    ) -> Result<Admitted, Error> {
        self.allows_one_of(roles)?;
        if !self.keys.contains(&key) {
            let allowed: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
            let (key, template) = (key.to_string(), self.short_name.clone());
            return Err(Error::Key { key, template, allowed: allowed.join(", ") });
        }
        let from_subject = subject.common_name().and_then(names::from_common_name);
        let mut admitted: Vec<SubjectAlternativeName> = Vec::new();
        for name in from_subject.iter().chain(names) {
            if !admitted.contains(name) {
                admitted.push(name.clone());
            }
        }
        self.check_names(&admitted)?;
        Ok(Admitted {
            subject: subject.clone(),
            names: admitted,
            extended_key_usages: self.extended_key_usages.clone(),
            validity_days: self.validity_days,
        })
    }

    fn allows_one_of<'a>(&self, roles: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let allows = |role: &str| self.allowed_roles.iter().any(|allowed| allowed.eq_ignore_ascii_case(role));
        if self.allowed_roles.is_empty() || roles.into_iter().any(allows) {
            return Ok(());
        }
        Err(Error::TemplateForbidden {
            template: self.short_name.clone(),
            roles: self.allowed_roles.join(", "),
        })
    }

    fn check_names(&self, admitted: &[SubjectAlternativeName]) -> Result<(), Error> {
        let refused = |reason: String| Err(Error::Name { member: "SANs", reason });
        if admitted.len() > names::MAX_NAMES {
            return refused(format!(
                "at most {} names are allowed, {} were given",
                names::MAX_NAMES,
                admitted.len()
            ));
        }
        let wildcard = admitted
            .iter()
            .find(|name| matches!(name, SubjectAlternativeName::Dns(dns) if dns.starts_with('*')));
        if let (false, Some(name)) = (self.allow_wildcards, wildcard) {
            return refused(format!("template '{}' does not allow the wildcard '{name}'", self.short_name));
        }
        let reachable = |name: &SubjectAlternativeName| {
            matches!(name, SubjectAlternativeName::Dns(_) | SubjectAlternativeName::Ip(_))
        };
        let for_servers = self.extended_key_usages.iter().any(|usage| usage == SERVER_AUTHENTICATION);
        if for_servers && !admitted.iter().any(reachable) {
            return refused(
                "a server's certificate needs at least one dns or ip name, as the subject's common name is neither"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

fn key_of(word: &str) -> Option<KeyAlgorithm> {
    KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, key)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template {
            id: 1,
            short_name: "TLSServer".to_owned(),
            validity_days: 47,
            keys: vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa(2048)],
            extended_key_usages: vec![SERVER_AUTHENTICATION.to_owned()],
            allowed_roles: Vec::new(),
            allow_wildcards: true,
        }
    }

    fn dns(name: &str) -> SubjectAlternativeName {
        SubjectAlternativeName::Dns(name.to_owned())
    }

    fn subject(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap()
    }

    fn admit(
        template: &Template,
        subject_text: &str,
        names: &[SubjectAlternativeName],
    ) -> Result<Admitted, Error> {
        template.admit(["Operators"], &subject(subject_text), names, KeyAlgorithm::EcdsaP256)
    }

    #[test]
    fn the_common_name_joins_the_names_once_and_first() {
        let names = [dns("shop.example.test"), dns("www.example.test"), dns("shop.example.test")];
        let admitted = admit(&template(), "CN=WWW.example.test,O=Example", &names).unwrap();
        assert_eq!(admitted.names, [dns("www.example.test"), dns("shop.example.test")]);
        let admitted = admit(&template(), "CN=Payroll System", &[dns("pay.example.test")]).unwrap();
        assert_eq!(admitted.names, [dns("pay.example.test")]);
    }

    #[test]
    fn a_server_without_a_name_to_reach_it_by_is_refused() {
        let refused = admit(&template(), "CN=Payroll System", &[]).unwrap_err();
        assert!(refused.to_string().starts_with("SANs: "), "{refused}");
        let client = Template { extended_key_usages: vec!["1.3.6.1.5.5.7.3.2".to_owned()], ..template() };
        assert!(admit(&client, "CN=Payroll System", &[]).is_ok());
    }

    #[test]
    fn roles_keys_wildcards_and_numbers_are_bounded() {
        let exclusive = Template { allowed_roles: vec!["Web Team".to_owned()], ..template() };
        assert!(matches!(admit(&exclusive, "CN=a.test", &[]), Err(Error::TemplateForbidden { .. })));
        let theirs = exclusive.admit(["web team"], &subject("CN=a.test"), &[], KeyAlgorithm::EcdsaP256);
        assert!(theirs.is_ok());

        let refused = template().admit([], &subject("CN=a.test"), &[], KeyAlgorithm::EcdsaP384).unwrap_err();
        assert!(
            refused.to_string().contains("ECDSA P-384") && refused.to_string().contains("RSA 2048"),
            "{refused}"
        );

        let narrow = Template { allow_wildcards: false, ..template() };
        let refused = admit(&narrow, "CN=*.example.test", &[]).unwrap_err();
        assert!(refused.to_string().contains("'*.example.test'"), "{refused}");

        let many: Vec<_> =
            (0..names::MAX_NAMES).map(|index| dns(&format!("n{index}.example.test"))).collect();
        assert!(admit(&template(), "O=Example", &many).is_ok());
        assert!(admit(&template(), "CN=one.more.test", &many).is_err());
    }

    #[test]
    fn every_word_for_a_key_is_understood() {
        for (word, key) in KEYS {
            assert_eq!(key_of(&word.to_ascii_lowercase()), Some(key));
        }
        assert_eq!(key_of("RSA-1024"), None);
    }
}
