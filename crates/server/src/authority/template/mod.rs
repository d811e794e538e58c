//! Templates: what may be issued, to whom, and for how long. The policy is a pure function, [`Template::admit`]; how
//! operators see templates is in `answer`, what they may change in `change`, rules for subjects in `subject`.

pub(crate) mod answer;
pub(super) mod change;
pub(super) mod subject;

use sealift_pki::{DistinguishedName, KeyAlgorithm, SubjectAlternativeName, SubjectPublicKey};
use sealift_protocol::operator::authority::{EnrollmentField, SubjectDefault, SubjectRule};
use serde::Deserialize as _;
use serde_json::Value;
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

/// How a certificate is asked for; the numbers are the contract's flags (3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum EnrollmentKind {
    /// The server makes the key.
    Pfx = 1,
    /// The caller has the key.
    Csr = 2,
}

impl EnrollmentKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Pfx => "PFX",
            Self::Csr => "CSR",
        }
    }
}

/// What may be issued, to whom, and for how long; the settings for all templates included.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Its id.
    pub(crate) id: i64,
    /// What clients call it.
    pub(crate) short_name: String,
    /// For people.
    pub(crate) display_name: String,
    /// Days that what it issues lives.
    pub(crate) validity_days: i32,
    /// Allowed kinds of key, the default first.
    pub(crate) keys: Vec<KeyAlgorithm>,
    /// Object identifiers of extended key usages.
    pub(crate) extended_key_usages: Vec<String>,
    /// Roles that may use it; none for everyone who may enroll.
    pub(crate) only_roles: Option<Vec<String>>,
    /// Names of roles that were set, in force or not.
    pub(crate) allowed_roles: Vec<String>,
    /// Roles for which the authority issues at all; none for everyone.
    pub(crate) authority_only_roles: Option<Vec<String>>,
    /// How one may enroll by it, as it says itself: flags of the contract.
    pub(crate) enrollment_types: i16,
    /// The same as the authority says.
    pub(crate) authority_types: i16,
    /// Whether someone must approve before it issues.
    pub(crate) requires_approval: bool,
    /// Whether keys that the server makes stay with it.
    pub(crate) keeps_keys: bool,
    /// Whether what it issued may be renewed by one call, as it says itself.
    pub(crate) one_click: bool,
    /// The same as the authority says.
    pub(crate) authority_one_click: bool,
    /// Whether clients are to show the authority's terms.
    pub(crate) terms: bool,
    /// Whether names may begin with `*.`.
    pub(crate) allow_wildcards: bool,
    /// Whether a renewal may keep the key.
    pub(crate) allow_key_reuse: bool,
    /// Whether each certificate needs a DNS name, as templates and settings say.
    pub(crate) require_dns: bool,
    /// The same as the authority says.
    pub(crate) authority_require_dns: bool,
    /// Rules for parts of the subject.
    pub(crate) rules: Vec<SubjectRule>,
    /// Values of parts that are left out.
    pub(crate) defaults: Vec<SubjectDefault>,
    /// What else an enrollment may tell.
    pub(crate) fields: Vec<EnrollmentField>,
}

/// What is asked of a template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// Roles of the caller; none when they were looked at before.
    pub(crate) roles: Option<&'a [String]>,
    /// How it is asked for.
    pub(crate) kind: EnrollmentKind,
    /// The subject.
    pub(crate) subject: &'a DistinguishedName,
    /// Names beside it.
    pub(crate) names: &'a [SubjectAlternativeName],
    /// The kind of key.
    pub(crate) key: KeyAlgorithm,
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
    /// The subject, with what the template fills in.
    pub(crate) fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The names, those of the subject included.
    pub(crate) fn names(&self) -> &[SubjectAlternativeName] {
        &self.names
    }

    /// Joins what was admitted with the key, whose kind was admitted too.
    pub(crate) fn for_key(self, public_key: SubjectPublicKey) -> Leaf {
        Leaf { admitted: self, public_key }
    }
}

/// Finds a template by its short name, in any case.
pub(crate) async fn find(db: &mut PgConnection, short_name: &str) -> Result<Template, Error> {
    if let Some(row) = queries::templates(db, Some(short_name), None).await?.pop() {
        return Template::from_row(row);
    }
    let known = queries::template_names(db).await?.join(", ");
    Err(Error::TemplateUnknown { name: shortened(short_name), known })
}

/// Finds a template by its id.
pub(crate) async fn find_by_id(db: &mut PgConnection, id: i64) -> Result<Option<Template>, Error> {
    queries::templates(db, None, Some(&[id])).await?.pop().map(Template::from_row).transpose()
}

/// All templates, or those with these ids.
pub(crate) async fn all(db: &mut PgConnection, ids: Option<&[i64]>) -> Result<Vec<Template>, Error> {
    queries::templates(db, None, ids).await?.into_iter().map(Template::from_row).collect()
}

impl Template {
    fn from_row(row: queries::TemplateRow) -> Result<Self, Error> {
        let unusable = |column: &str| Error::Unusable {
            name: row.short_name.clone(),
            reason: format!("{column} of this template holds what is not understood"),
        };
        let keys: Option<Vec<KeyAlgorithm>> = row.key_algorithms.iter().map(|word| key_of(word)).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| unusable("key_algorithms"))?;
        let rules =
            |value: &Value| Vec::<SubjectRule>::deserialize(value).map_err(|_| unusable("subject_rules"));
        let defaults = |value: &Value| {
            Vec::<SubjectDefault>::deserialize(value).map_err(|_| unusable("subject_defaults"))
        };
        let rules = subject::merged(rules(&row.subject_rules)?, rules(&row.settings_rules)?, |rule| {
            &rule.subject_part
        });
        let defaults =
            subject::merged(defaults(&row.subject_defaults)?, defaults(&row.settings_defaults)?, |default| {
                &default.subject_part
            });
        let fields = Vec::deserialize(&row.enrollment_fields).map_err(|_| unusable("enrollment_fields"))?;
        Ok(Self {
            id: row.id,
            short_name: row.short_name,
            display_name: row.display_name,
            validity_days: row.validity_days,
            keys,
            extended_key_usages: row.extended_key_usages,
            only_roles: row.restricted.then(|| row.allowed_roles.clone()),
            allowed_roles: row.allowed_roles,
            authority_only_roles: row.authority_restricted.then_some(row.authority_roles),
            enrollment_types: row.enrollment_types,
            authority_types: row.authority_types,
            requires_approval: row.requires_approval,
            keeps_keys: row.keeps_keys,
            one_click: row.one_click,
            authority_one_click: row.authority_one_click,
            terms: row.authority_terms,
            allow_wildcards: row.allow_wildcards,
            allow_key_reuse: row.allow_key_reuse,
            require_dns: row.require_dns,
            authority_require_dns: row.authority_require_dns,
            rules,
            defaults,
            fields,
        })
    }

    /// Whether one may enroll so, whoever asks.
    pub(crate) fn offers(&self, kind: EnrollmentKind) -> bool {
        self.enrollment_types & self.authority_types & kind as i16 != 0
    }

    /// Whether what it issued may be renewed by one call.
    pub(crate) fn renews_by_one_click(&self) -> bool {
        self.one_click && self.authority_one_click
    }

    /// Whether each certificate needs a DNS name.
    pub(crate) fn requires_dns(&self) -> bool {
        self.require_dns || self.authority_require_dns
    }

    /// The kind of key that is made when none was asked for.
    pub(crate) fn default_key(&self) -> KeyAlgorithm {
        self.keys.first().copied().unwrap_or(KeyAlgorithm::EcdsaP256)
    }

    /// Decides whether such a certificate may be had, and completes it: what the subject leaves out and the template
    /// knows is filled in; a common name that is a DNS name or an address becomes an alternative name, too; repeated
    /// names are dropped.
    ///
    /// # Errors
    /// [`Error::TemplateForbidden`], [`Error::NotOffered`], [`Error::Key`], [`Error::Name`].
    pub(crate) fn admit(&self, wish: Wish<'_>) -> Result<Admitted, Error> {
        if let Some(roles) = wish.roles {
            self.allows_one_of(roles)?;
        }
        if !self.offers(wish.kind) {
            return Err(Error::NotOffered { template: self.short_name.clone(), kind: wish.kind.word() });
        }
        if !self.keys.contains(&wish.key) {
            let allowed: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
            let (key, template) = (wish.key.to_string(), self.short_name.clone());
            return Err(Error::Key { key, template, allowed: allowed.join(", ") });
        }
        // A request of the caller's own says what it says; only a subject that is given here is filled in.
        let subject = match wish.kind {
            EnrollmentKind::Pfx => subject::completed(wish.subject, &self.defaults)?,
            EnrollmentKind::Csr => wish.subject.clone(),
        };
        let from_subject = subject.common_name().and_then(names::from_common_name);
        let mut admitted: Vec<SubjectAlternativeName> = Vec::new();
        for name in from_subject.iter().chain(wish.names) {
            if !admitted.contains(name) {
                admitted.push(name.clone());
            }
        }
        self.check_names(&admitted)?;
        subject::check(&self.rules, &subject, &admitted)?;
        Ok(Admitted {
            subject,
            names: admitted,
            extended_key_usages: self.extended_key_usages.clone(),
            validity_days: self.validity_days,
        })
    }

    /// Refuses a caller none of whose roles may use the template, or have the authority issue at all.
    ///
    /// # Errors
    /// [`Error::TemplateForbidden`].
    pub(crate) fn allows_one_of(&self, roles: &[String]) -> Result<(), Error> {
        for only in [&self.only_roles, &self.authority_only_roles].into_iter().flatten() {
            let allows = |role: &String| only.iter().any(|allowed| allowed.eq_ignore_ascii_case(role));
            if !roles.iter().any(allows) {
                let (template, roles) = (self.short_name.clone(), only.join(", "));
                return Err(Error::TemplateForbidden { template, roles });
            }
        }
        Ok(())
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
        if self.requires_dns() && !admitted.iter().any(|name| matches!(name, SubjectAlternativeName::Dns(_)))
        {
            return refused(format!("template '{}' requires at least one dns name", self.short_name));
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

/// How templates write a kind of key.
pub(crate) fn word_of(key: KeyAlgorithm) -> Option<&'static str> {
    KEYS.iter().find(|(_, known)| *known == key).map(|(word, _)| *word)
}

/// The kind of key that templates write so, in any case.
pub(crate) fn key_of(word: &str) -> Option<KeyAlgorithm> {
    KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, key)| *key)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    impl Template {
        /// The same, not renewed by one call.
        pub(crate) fn without_one_click(self) -> Self {
            Self { one_click: false, ..self }
        }
    }

    /// A template for tests.
    pub(crate) fn template() -> Template {
        Template {
            id: 1,
            short_name: "TLSServer".to_owned(),
            display_name: "TLS server".to_owned(),
            validity_days: 47,
            keys: vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa(2048)],
            extended_key_usages: vec![SERVER_AUTHENTICATION.to_owned()],
            only_roles: None,
            allowed_roles: Vec::new(),
            authority_only_roles: None,
            enrollment_types: 7,
            authority_types: 7,
            requires_approval: false,
            keeps_keys: true,
            one_click: true,
            authority_one_click: true,
            terms: false,
            allow_wildcards: true,
            allow_key_reuse: false,
            require_dns: false,
            authority_require_dns: false,
            rules: Vec::new(),
            defaults: Vec::new(),
            fields: Vec::new(),
        }
    }

    fn dns(name: &str) -> SubjectAlternativeName {
        SubjectAlternativeName::Dns(name.to_owned())
    }

    fn subject(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap()
    }

    fn wish<'a>(
        roles: &'a [String],
        subject: &'a DistinguishedName,
        names: &'a [SubjectAlternativeName],
    ) -> Wish<'a> {
        Wish { roles: Some(roles), kind: EnrollmentKind::Pfx, subject, names, key: KeyAlgorithm::EcdsaP256 }
    }

    fn admit(
        template: &Template,
        subject_text: &str,
        names: &[SubjectAlternativeName],
    ) -> Result<Admitted, Error> {
        let roles = ["Operators".to_owned()];
        template.admit(wish(&roles, &subject(subject_text), names))
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
        let exclusive = Template { only_roles: Some(vec!["Web Team".to_owned()]), ..template() };
        assert!(matches!(admit(&exclusive, "CN=a.test", &[]), Err(Error::TemplateForbidden { .. })));
        let (name, theirs) = (subject("CN=a.test"), ["web team".to_owned()]);
        assert!(exclusive.admit(wish(&theirs, &name, &[])).is_ok());
        let closed = Template { authority_only_roles: Some(Vec::new()), ..template() };
        assert!(matches!(admit(&closed, "CN=a.test", &[]), Err(Error::TemplateForbidden { .. })));

        let large = Wish { key: KeyAlgorithm::EcdsaP384, ..wish(&[], &name, &[]) };
        let refused = template().admit(large).unwrap_err();
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
    fn ways_to_enroll_and_dns_names_are_decided_by_template_and_authority() {
        let (name, address) =
            (subject("CN=10.0.0.1"), [SubjectAlternativeName::Ip("10.0.0.1".parse().unwrap())]);
        let asked = wish(&[], &name, &address);
        let csr_only = Template { authority_types: 2, ..template() };
        assert!(matches!(csr_only.admit(asked), Err(Error::NotOffered { .. })));
        assert!(csr_only.admit(Wish { kind: EnrollmentKind::Csr, ..asked }).is_ok());
        let named = Template { authority_require_dns: true, ..template() };
        assert!(named.admit(asked).unwrap_err().to_string().contains("at least one dns name"));
    }

    #[test]
    fn a_request_of_the_callers_own_is_not_filled_in() {
        let default = SubjectDefault { subject_part: "O".to_owned(), value: "Example".to_owned() };
        let filling = Template { defaults: vec![default], ..template() };
        let name = subject("CN=a.test");
        let organization = |kind| {
            let admitted = filling.admit(Wish { kind, ..wish(&[], &name, &[]) }).unwrap();
            admitted.subject().organization().map(str::to_owned)
        };
        assert_eq!(organization(EnrollmentKind::Pfx).as_deref(), Some("Example"));
        assert_eq!(organization(EnrollmentKind::Csr), None);
    }

    #[test]
    fn every_word_for_a_key_is_understood() {
        for (word, key) in KEYS {
            assert_eq!(key_of(&word.to_ascii_lowercase()), Some(key));
        }
        assert_eq!(key_of("RSA-1024"), None);
    }
}
