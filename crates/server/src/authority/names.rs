//! Which names may stand in a certificate: pure rules over text.
//!
//! DNS names are kept in lower-case ASCII; international ones are brought into their `xn--` form (UTS 46).

use std::net::IpAddr;

use sealift_pki::alternative_name::{self, PRINCIPAL_NAME, REPLICATION};
use sealift_pki::{DistinguishedName, SubjectAlternativeName};

use crate::http::problem::shortened;

/// Most names of one certificate.
pub(crate) const MAX_NAMES: usize = 100;
/// Most characters of a URI or a mail address.
const MAX_TEXT: usize = 512;
/// Most characters of a DNS name (RFC 1035, 2.3.4, without the root's length octet).
const MAX_DNS: usize = 253;

/// Tags of names (RFC 5280, 4.2.1.6).
const OTHER: u8 = 0;
const DIRECTORY: u8 = 4;
const REGISTERED_ID: u8 = 8;
/// The kinds that are issued.
const KINDS: &str = "dns, ip, ip4, ip6, uri, rfc822, directory, registeredid, ms_ntprincipalname, ms_ntdsreplication \
                     and other";

/// Reads one name by the kind that clients give it (operator contract, 3.5); the error says what is wrong with it.
pub(crate) fn parse(kind: &str, value: &str) -> Result<SubjectAlternativeName, String> {
    let value = value.trim();
    match kind.to_ascii_lowercase().as_str() {
        "dns" => dns(value).map(SubjectAlternativeName::Dns),
        "ip" => address(value, |_| true, "an IP address").map(SubjectAlternativeName::Ip),
        "ip4" => address(value, |ip| ip.is_ipv4(), "an IPv4 address").map(SubjectAlternativeName::Ip),
        "ip6" => address(value, |ip| ip.is_ipv6(), "an IPv6 address").map(SubjectAlternativeName::Ip),
        "uri" => uri(value).map(SubjectAlternativeName::Uri),
        "rfc822" => mail(value).map(SubjectAlternativeName::Email),
        "directory" => directory(value),
        "registeredid" => registered_id(value),
        "ms_ntprincipalname" => principal(value),
        "ms_ntdsreplication" => guid(value),
        "other" => other(value),
        "x400" | "ediparty" => {
            Err("names of this kind are not issued; nothing reads them any more".to_owned())
        }
        _ => Err(format!("this kind is not known; known are {KINDS}")),
    }
}

/// The kind under which [`parse`] reads a name again.
pub(crate) const fn kind_of(name: &SubjectAlternativeName) -> &'static str {
    match name {
        SubjectAlternativeName::Dns(_) => "dns",
        SubjectAlternativeName::Ip(_) => "ip",
        SubjectAlternativeName::Uri(_) => "uri",
        SubjectAlternativeName::Email(_) => "rfc822",
        SubjectAlternativeName::Other { tag: DIRECTORY, .. } => "directory",
        SubjectAlternativeName::Other { tag: REGISTERED_ID, .. } => "registeredid",
        SubjectAlternativeName::Other { tag: PRINCIPAL_NAME, .. } => "ms_ntprincipalname",
        SubjectAlternativeName::Other { tag: REPLICATION, .. } => "ms_ntdsreplication",
        SubjectAlternativeName::Other { tag: 3, .. } => "x400",
        SubjectAlternativeName::Other { tag: 5, .. } => "ediparty",
        SubjectAlternativeName::Other { .. } => "other",
    }
}

/// A name that a request of the caller's own asks for, brought into the one form.
pub(crate) fn asked(name: &SubjectAlternativeName) -> Result<SubjectAlternativeName, String> {
    parse(kind_of(name), &name.to_string())
}

/// The name that a common name stands for, if it is a DNS name or an address.
pub(super) fn from_common_name(common_name: &str) -> Option<SubjectAlternativeName> {
    if let Ok(ip) = common_name.trim().parse() {
        return Some(SubjectAlternativeName::Ip(ip));
    }
    dns(common_name.trim()).ok().map(SubjectAlternativeName::Dns)
}

/// A DNS name in lower-case ASCII. `*` may be the whole first label, with at least two labels after it.
pub(super) fn dns(text: &str) -> Result<String, String> {
    let refused = |reason: &str| Err(format!("'{}' {reason}", shortened(text)));
    let (star, host) = match text.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", text),
    };
    if host.contains('*') {
        return refused("has * in a place other than its whole first label; write *.example.com");
    }
    if host.is_empty() || host.len() > 4 * MAX_DNS {
        return refused("is no DNS name: it must have 1 to 253 characters");
    }
    if host.ends_with('.') {
        return refused("ends with a dot; leave the dot out");
    }
    let Ok(ascii) = idna::domain_to_ascii_strict(host) else {
        return refused("is no DNS name: labels have 1 to 63 letters, digits and inner hyphens");
    };
    let name = format!("{star}{ascii}");
    if ascii.is_empty() || name.len() > MAX_DNS {
        return refused("is no DNS name: it must have 1 to 253 characters");
    }
    let labels = ascii.split('.').count();
    if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return refused("ends in a number, as addresses do; give addresses as ip");
    }
    if !star.is_empty() && labels < 2 {
        return refused("is too wide: a wildcard needs at least two labels after *");
    }
    Ok(name)
}

fn address(text: &str, fits: fn(&IpAddr) -> bool, wanted: &str) -> Result<IpAddr, String> {
    let ip: Option<IpAddr> = text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    ip.filter(fits).ok_or_else(|| format!("'{}' is not {wanted}", shortened(text)))
}

fn uri(text: &str) -> Result<String, String> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let valid = scheme.is_some_and(|scheme| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|next| next.is_ascii_alphanumeric() || "+-.".contains(next))
    });
    match valid && printable(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "'{}' is not a URI of at most {MAX_TEXT} printable ASCII characters",
            shortened(text)
        )),
    }
}

fn mail(text: &str) -> Result<String, String> {
    let refused =
        || format!("'{}' is not a mail address of at most {MAX_TEXT} ASCII characters", shortened(text));
    let (local, host) = text.rsplit_once('@').ok_or_else(refused)?;
    if local.is_empty() || local.contains('@') || !printable(text) || host.starts_with('*') {
        return Err(refused());
    }
    let host = dns(host).map_err(|_| refused())?;
    Ok(format!("{local}@{host}"))
}

fn named(tag: u8, value: String) -> SubjectAlternativeName {
    SubjectAlternativeName::Other { tag, value }
}

fn directory(text: &str) -> Result<SubjectAlternativeName, String> {
    match DistinguishedName::parse(text) {
        Ok(name) if !name.is_empty() => Ok(named(DIRECTORY, name.to_string())),
        Ok(_) => Err("it is empty; give a distinguished name, such as CN=web,O=Example".to_owned()),
        Err(error) => Err(format!("'{}': {error}", shortened(text))),
    }
}

fn registered_id(text: &str) -> Result<SubjectAlternativeName, String> {
    match is_oid(text) {
        true => Ok(named(REGISTERED_ID, text.to_owned())),
        false => Err(format!("'{}' is no object identifier, such as 1.3.6.1.4.1.311", shortened(text))),
    }
}

fn is_oid(text: &str) -> bool {
    sealift_pki::ExtendedKeyUsage::from_oid(text).is_ok()
}

/// Letters of every language may stand before the `@`.
fn principal(text: &str) -> Result<SubjectAlternativeName, String> {
    let parts = text.rsplit_once('@').filter(|(user, realm)| !user.is_empty() && !realm.is_empty());
    let fits = text.len() <= MAX_TEXT && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    match parts {
        Some(_) if fits => Ok(named(PRINCIPAL_NAME, text.to_owned())),
        _ => Err(format!("'{}' is no principal name, such as user@corp.example", shortened(text))),
    }
}

fn guid(text: &str) -> Result<SubjectAlternativeName, String> {
    match uuid::Uuid::try_parse(text) {
        Ok(guid) => Ok(named(REPLICATION, guid.to_string())),
        Err(_) => Err(format!("'{}' is no GUID", shortened(text))),
    }
}

/// `OID:UTF8:text`, or the object identifier and the hexadecimal digits of the value as certificates are shown.
fn other(text: &str) -> Result<SubjectAlternativeName, String> {
    let refused = || format!("'{}' is not of the form OID:UTF8:text", shortened(text));
    let (oid, value) = text.split_once(':').filter(|(oid, _)| is_oid(oid)).ok_or_else(refused)?;
    if let Some(text) = value.strip_prefix("UTF8:") {
        let fits = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        return fits.then(|| alternative_name::other_name_of_text(oid, text)).ok_or_else(refused);
    }
    let is_element = value.len() > 4 && value.to_ascii_uppercase().starts_with("A0");
    let is_hexadecimal = value.len().is_multiple_of(2) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_element && is_hexadecimal && value.len() <= 2 * MAX_TEXT {
        true => Ok(named(OTHER, format!("{oid}:{}", value.to_ascii_uppercase()))),
        false => Err(refused()),
    }
}

fn printable(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_brought_into_one_form() {
        for (given, kept) in [
            ("WWW.Example.TEST", "www.example.test"),
            ("münchen.example.test", "xn--mnchen-3ya.example.test"),
            ("xn--mnchen-3ya.example.test", "xn--mnchen-3ya.example.test"),
            ("*.Shop.example.test", "*.shop.example.test"),
            ("intranet", "intranet"),
            ("1and1.example.test", "1and1.example.test"),
        ] {
            assert_eq!(dns(given).unwrap(), kept);
        }
    }

    #[test]
    fn what_is_no_dns_name_is_refused() {
        let long_label = format!("{}.test", "a".repeat(64));
        let long_name = format!("{}test", "abcdefgh.".repeat(30));
        let refused = [
            "",
            "*",
            "*.",
            "*.test",
            "a.*.test",
            "w*.example.test",
            "*.*.example.test",
            "a..test",
            ".example.test",
            "example.test.",
            "-a.test",
            "a-.test",
            "a_b.test",
            "a b.test",
            "a/b.test",
            "..",
            "../etc",
            "a\0.test",
            "10.0.0.1",
            "example.123",
            "xn--a.test",
            "a\u{202e}b.test",
            &long_label,
            &long_name,
        ];
        for name in refused {
            assert!(dns(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        assert!(matches!(parse("IP4", "192.0.2.7"), Ok(SubjectAlternativeName::Ip(_))));
        assert!(matches!(parse("ip", "2001:db8::7"), Ok(SubjectAlternativeName::Ip(_))));
        assert!(matches!(parse("uri", "https://a.example.test/x"), Ok(SubjectAlternativeName::Uri(_))));
        assert_eq!(
            parse("rfc822", "me@Example.test"),
            Ok(SubjectAlternativeName::Email("me@example.test".to_owned()))
        );
        for (kind, value) in [
            ("ip4", "2001:db8::7"),
            ("ip6", "192.0.2.7"),
            ("ip", "192.0.2.256"),
            ("ip", "www.example.test"),
            ("uri", "no scheme"),
            ("uri", "1x:y"),
            ("rfc822", "me"),
            ("rfc822", "a@b@c.test"),
            ("rfc822", "@x.test"),
            ("rfc822", "me@*.example.test"),
            ("directory", "a"),
            ("directory", ""),
            ("registeredid", "1.x"),
            ("ms_ntprincipalname", "ann"),
            ("ms_ntprincipalname", "ann @corp"),
            ("ms_ntdsreplication", "7a6f"),
            ("other", "1.2.3"),
            ("other", "1.2.3:UTF8:"),
            ("other", "x:UTF8:a"),
            ("other", "1.2.3:0C01"),
            ("x400", "x"),
            ("ediparty", "x"),
            ("", "a.test"),
        ] {
            assert!(parse(kind, value).is_err(), "{kind} {value}");
        }
    }

    #[test]
    fn each_kind_is_read_again_as_it_is_kept() {
        for (kind, value) in [
            ("dns", "www.example.test"),
            ("ip", "192.0.2.7"),
            ("uri", "urn:x"),
            ("rfc822", "me@example.test"),
            ("directory", "CN=web,O=Example"),
            ("registeredid", "1.2.840.113549"),
            ("ms_ntprincipalname", "ann@corp.example"),
            ("ms_ntdsreplication", "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10"),
            ("other", "1.2.3:UTF8:a text"),
        ] {
            let name = parse(kind, value).unwrap();
            assert_eq!(parse(kind_of(&name), &name.to_string()).as_ref(), Ok(&name), "{kind}");
            assert_eq!(asked(&name).as_ref(), Ok(&name));
        }
    }

    #[test]
    fn a_common_name_counts_as_a_name_only_when_it_is_one() {
        assert!(matches!(from_common_name("www.example.test"), Some(SubjectAlternativeName::Dns(_))));
        assert!(matches!(from_common_name("192.0.2.7"), Some(SubjectAlternativeName::Ip(_))));
        assert_eq!(from_common_name("Payroll System"), None);
    }
}
