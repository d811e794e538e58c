//! Rules and defaults for parts of a subject: patterns that values must match, and values that fill what is left out.

use regex::{Regex, RegexBuilder};
use sealift_pki::{DistinguishedName, SubjectAlternativeName};
use sealift_protocol::operator::authority::{SubjectDefault, SubjectRule};

use super::super::error::Error;
use crate::http::problem::shortened;

/// Parts that rules may name, and what they are.
pub(in super::super) const PARTS: [(&str, &str); 8] = [
    ("CN", "Common Name"),
    ("O", "Organization"),
    ("OU", "Organizational Unit"),
    ("L", "City/Locality"),
    ("ST", "State/Province"),
    ("C", "Country/Region"),
    ("E", "Email"),
    ("SAN", "Subject Alternative Name"),
];
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_000;
/// Most characters of a default value.
const MAX_VALUE: usize = 256;
/// Most rules or defaults.
const MAX_RULES: usize = 50;

/// A rule of a template before the rules for all templates, one for each part.
pub(super) fn merged<T: Clone>(own: Vec<T>, general: Vec<T>, part: fn(&T) -> &str) -> Vec<T> {
    let mut all = own.clone();
    let left = |rule: &T| !own.iter().any(|mine| part(mine).eq_ignore_ascii_case(part(rule)));
    all.extend(general.into_iter().filter(left));
    all
}

/// Refuses rules that name no part or hold no pattern.
pub(in super::super) fn check_rules(rules: &[SubjectRule]) -> Result<(), Error> {
    let member = "TemplateRegexes";
    check_count(member, rules.len())?;
    for (index, rule) in rules.iter().enumerate() {
        let refused = |reason: String| Error::Invalid(format!("{member}[{index}].{reason}"));
        if !known(&rule.subject_part) {
            return Err(refused(format!("SubjectPart: expected one of {}", parts())));
        }
        if rule.regex.len() > MAX_PATTERN {
            return Err(refused(format!("Regex: expected at most {MAX_PATTERN} bytes")));
        }
        compiled(&rule.regex).map_err(|reason| refused(format!("Regex: {reason}")))?;
    }
    Ok(())
}

/// Refuses defaults that name no part of a distinguished name, or whose value does not fit it.
pub(in super::super) fn check_defaults(defaults: &[SubjectDefault]) -> Result<(), Error> {
    let member = "TemplateDefaults";
    check_count(member, defaults.len())?;
    for (index, default) in defaults.iter().enumerate() {
        let refused = |reason: String| Error::Invalid(format!("{member}[{index}].{reason}"));
        if !known(&default.subject_part) || default.subject_part.eq_ignore_ascii_case("SAN") {
            return Err(refused(format!("SubjectPart: expected one of {}", parts())));
        }
        if default.value.trim().is_empty() || default.value.chars().count() > MAX_VALUE {
            return Err(refused(format!("Value: expected 1 to {MAX_VALUE} characters")));
        }
        part_of(default).map_err(|error| refused(format!("Value: {error}")))?;
    }
    Ok(())
}

fn check_count(member: &str, count: usize) -> Result<(), Error> {
    match count > MAX_RULES {
        true => Err(Error::Invalid(format!("{member}: at most {MAX_RULES} are allowed"))),
        false => Ok(()),
    }
}

fn known(part: &str) -> bool {
    PARTS.iter().any(|(known, _)| known.eq_ignore_ascii_case(part))
}

fn parts() -> String {
    PARTS.map(|(part, _)| part).join(", ")
}

/// The whole value must match, whatever anchors the pattern has.
fn compiled(pattern: &str) -> Result<Regex, String> {
    let whole = format!("^(?:{pattern})$");
    // A pattern of its own first, so that `a)(b` is not closed by what is put around it.
    let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
    build(pattern)
        .and_then(|_| build(&whole))
        .map_err(|_| "it is no regular expression of the supported kind and size".to_owned())
}

fn part_of(default: &SubjectDefault) -> Result<DistinguishedName, sealift_pki::NameError> {
    let escaped: String = default.value.chars().flat_map(|c| escape(c).into_iter().flatten()).collect();
    DistinguishedName::parse(&format!("{}={escaped}", default.subject_part))
}

fn escape(letter: char) -> [Option<char>; 2] {
    match letter {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#' => [Some('\\'), Some(letter)],
        other => [Some(other), None],
    }
}

/// The subject with the defaults of parts that it leaves out behind its own.
pub(super) fn completed(
    subject: &DistinguishedName,
    defaults: &[SubjectDefault],
) -> Result<DistinguishedName, Error> {
    let missing: Vec<&SubjectDefault> =
        defaults.iter().filter(|default| subject.values(&default.subject_part).is_empty()).collect();
    let mut completed = subject.clone();
    for default in missing {
        let part =
            part_of(default).map_err(|error| Error::Name { member: "Subject", reason: error.to_string() })?;
        completed = completed.followed_by(part);
    }
    Ok(completed)
}

/// Refuses a subject or names that break a rule, in the rule's own words where it has some.
pub(super) fn check(
    rules: &[SubjectRule],
    subject: &DistinguishedName,
    names: &[SubjectAlternativeName],
) -> Result<(), Error> {
    for rule in rules {
        let is_name = rule.subject_part.eq_ignore_ascii_case("SAN");
        let texts: Vec<String> = match is_name {
            true => names.iter().map(ToString::to_string).collect(),
            false => subject.values(&rule.subject_part).into_iter().map(str::to_owned).collect(),
        };
        let pattern = compiled(&rule.regex).map_err(Error::Invalid)?;
        let missing = texts.is_empty().then(String::new);
        let Some(wrong) = texts.into_iter().chain(missing).find(|text| !pattern.is_match(text)) else {
            continue;
        };
        let reason = match rule.error.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(error) => error.to_owned(),
            None => format!("{} '{}' must match {}", rule.subject_part, shortened(&wrong), rule.regex),
        };
        return Err(Error::Name { member: if is_name { "SANs" } else { "Subject" }, reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(part: &str, regex: &str) -> SubjectRule {
        SubjectRule { subject_part: part.to_owned(), regex: regex.to_owned(), error: None }
    }

    fn subject(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap()
    }

    #[test]
    fn a_rule_looks_at_whole_values_and_at_what_is_missing() {
        let rules = [rule("CN", r"[a-z.]+\.example\.test"), rule("O", "Example")];
        assert!(check(&rules, &subject("CN=www.example.test,O=Example"), &[]).is_ok());
        for text in ["CN=www.example.test.evil,O=Example", "CN=www.example.test", "O=Example"] {
            let refused = check(&rules, &subject(text), &[]).unwrap_err().to_string();
            assert!(refused.starts_with("Subject: "), "{refused}");
        }
        let names = [SubjectAlternativeName::Dns("a.other.test".to_owned())];
        let refused = check(&[rule("SAN", r".*\.example\.test")], &subject("CN=a"), &names).unwrap_err();
        assert!(refused.to_string().starts_with("SANs: SAN 'a.other.test'"), "{refused}");
    }

    #[test]
    fn rules_and_defaults_are_checked_before_they_are_kept() {
        assert!(check_rules(&[rule("cn", "^a$")]).is_ok());
        for wrong in [rule("X", "a"), rule("CN", "("), rule("CN", "a)(b"), rule("CN", &"a".repeat(1_001))] {
            assert!(check_rules(&[wrong]).unwrap_err().to_string().starts_with("TemplateRegexes[0]."));
        }
        let default = |part: &str, value: &str| SubjectDefault {
            subject_part: part.to_owned(),
            value: value.to_owned(),
        };
        assert!(check_defaults(&[default("O", "Example, Inc. + Sons")]).is_ok());
        for wrong in [default("SAN", "a"), default("O", " "), default("C", "Country")] {
            assert!(check_defaults(&[wrong]).unwrap_err().to_string().starts_with("TemplateDefaults[0]."));
        }
    }

    #[test]
    fn defaults_fill_what_is_left_out() {
        let defaults = [("O", "Example, Inc."), ("CN", "never")]
            .map(|(part, value)| SubjectDefault { subject_part: part.to_owned(), value: value.to_owned() });
        let completed = completed(&subject("CN=www.example.test"), &defaults).unwrap();
        assert_eq!(completed.organization(), Some("Example, Inc."));
        assert_eq!(completed.common_name(), Some("www.example.test"));
    }

    #[test]
    fn a_template_says_more_than_the_settings() {
        let all =
            merged(vec![rule("CN", "a")], vec![rule("cn", "b"), rule("O", "c")], |rule| &rule.subject_part);
        assert_eq!(all.iter().map(|rule| rule.regex.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }
}
