//! From the DNS names of a certificate to file names of a Central Certificate Store.
//!
//! IIS looks for `{host}.pfx`, for a wildcard `_.{domain}.pfx`, in lower case and in the Unicode spelling of
//! international names. The names come from a certificate, so from anybody: what is not strictly a host name is
//! refused, and the whole certificate with it. A name made here is one component that stays in its directory, on
//! Windows and on Unix.

use sealift_pki::Certificate;

use crate::Error;

/// Most DNS names, and so files, of one certificate.
pub(crate) const MAX_NAMES: usize = 250;
/// Most characters of one label in ASCII (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// Most characters of a name in ASCII.
const MAX_NAME: usize = 253;
/// Most bytes of a file name, as most file systems have it.
const MAX_FILE_NAME_BYTES: usize = 255;
/// What every file of a store ends with; IIS sees no other.
pub(crate) const EXTENSION: &str = ".pfx";

/// Names that Windows keeps for devices, whatever follows after a dot.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "clock$", "conin$", "conout$"];
/// Devices that are numbered, `com0` to `com9`.
const NUMBERED_DEVICES: &[&str] = &["com", "lpt"];

/// The file names of a certificate, without duplicates, in the order of its names.
pub(crate) fn of_certificate(certificate: &Certificate) -> Result<Vec<String>, Error> {
    let refused = |name: &str, reason| Error::UnsafeName {
        thumbprint: certificate.thumbprint(),
        // A hostile name may be long.
        name: name.chars().take(MAX_NAME).collect(),
        reason,
    };
    let names = certificate.dns_names();
    if names.len() > MAX_NAMES {
        return Err(refused(names[0], "the certificate has more than 250 DNS names"));
    }
    let mut files: Vec<String> = Vec::new();
    for name in names {
        let file = of_name(name).map_err(|reason| refused(name, reason))?;
        if !files.contains(&file) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The file name of one DNS name, or why it has none.
pub(crate) fn of_name(name: &str) -> Result<String, &'static str> {
    if name.len() > MAX_NAME {
        return Err("it is longer than 253 characters");
    }
    let name = name.to_ascii_lowercase();
    let (wildcard, host) = match name.strip_prefix("*.") {
        Some(rest) => ("_.", rest),
        None => ("", name.as_str()),
    };
    check_ascii(host)?;
    let host = to_unicode(host)?;
    let file = format!("{wildcard}{host}{EXTENSION}");
    if file.len() > MAX_FILE_NAME_BYTES {
        return Err("its file name would be longer than 255 bytes");
    }
    Ok(file)
}

/// Labels of letters, digits and inner hyphens (RFC 1123 section 2.1).
fn check_ascii(host: &str) -> Result<(), &'static str> {
    for label in host.split('.') {
        if label.is_empty() {
            return Err("a part between its dots is empty");
        }
        if label.len() > MAX_LABEL {
            return Err("a part between its dots is longer than 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(
                "only letters, digits and hyphens may stand between its dots, and * as the first part",
            );
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part begins or ends with a hyphen");
        }
    }
    let first = host.split('.').next().unwrap_or_default();
    let number = NUMBERED_DEVICES.iter().find_map(|device| first.strip_prefix(device));
    let numbered =
        number.is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if DEVICES.contains(&first) || numbered {
        return Err("Windows keeps this name for a device");
    }
    Ok(())
}

/// The Unicode spelling of a name with `xn--` labels; it must lead back to the same name.
fn to_unicode(host: &str) -> Result<String, &'static str> {
    if !host.split('.').any(|label| label.starts_with("xn--")) {
        return Ok(host.to_owned());
    }
    let (unicode, outcome) = idna::domain_to_unicode(host);
    if outcome.is_err() || idna::domain_to_ascii(&unicode).ok().as_deref() != Some(host) {
        return Err("its xn-- part is not a valid international name");
    }
    if !unicode.chars().all(|character| matches!(character, '.' | '-') || is_letter_or_digit(character)) {
        return Err("its international spelling has characters other than letters, digits and hyphens");
    }
    Ok(unicode)
}

/// Letters and digits of any script, with the vowel signs and joiners of scripts that write them apart (Devanagari
/// to Sinhala, Thai, Lao, Tibetan, Myanmar, Khmer); IDNA has already refused what cannot stand in a name.
fn is_letter_or_digit(character: char) -> bool {
    let dependent_signs = matches!(character, '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{17ff}');
    character.is_alphanumeric() || dependent_signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_files_that_iis_looks_for() {
        let cases = [
            ("fabrikam.test", "fabrikam.test.pfx"),
            ("*.fabrikam.test", "_.fabrikam.test.pfx"),
            ("WWW.Fabrikam.Test", "www.fabrikam.test.pfx"),
            ("localhost", "localhost.pfx"),
            ("a-b.c--d.test", "a-b.c--d.test.pfx"),
            ("xn--mnchen-3ya.test", "münchen.test.pfx"),
            ("*.XN--mnchen-3ya.test", "_.münchen.test.pfx"),
            ("xn--r8jz45g.xn--zckzah", "例え.テスト.pfx"),
            ("xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g", "उदाहरण.परीक्षा.pfx"),
            ("company.test", "company.test.pfx"),
            ("com10.test", "com10.test.pfx"),
        ];
        for (name, file) in cases {
            assert_eq!(of_name(name).as_deref(), Ok(file), "{name}");
        }
    }

    #[test]
    fn names_that_are_no_host_names_have_no_file() {
        let label = "a".repeat(64);
        let long = format!("{}test", "a.".repeat(125));
        let wide = format!("{}.test", ["xn--r8jz45g"; 21].join("."));
        let names = [
            "",
            ".",
            "..",
            "...",
            "*",
            "*.",
            "**.test",
            "*.*.test",
            "a.*.test",
            "w*.test",
            "_.test",
            "_a.test",
            "a_b.test",
            "../evil",
            "..\\evil",
            "a/b.test",
            "a\\b.test",
            "/etc/passwd",
            "c:evil",
            "a.test:stream",
            "a..test",
            ".hidden",
            "trailing.test.",
            "trailing ",
            " leading.test",
            "a b.test",
            "a\tb.test",
            "a\0.test",
            "a\r\n.test",
            "-a.test",
            "a-.test",
            "con.test",
            "CON",
            "nul",
            "aux.example.test",
            "com1.example.test",
            "LPT9",
            "*.con.test",
            "münchen.test",
            "\u{202e}evil.test",
            "a\u{2215}b.test",
            "a\u{ff0f}b.test",
            "%2e%2e.test",
            "~.test",
            "a|b",
            "a?b",
            "a<b>",
            "a\"b",
            "xn--.test",
            "xn--a.test",
            "xn--mnchen-3y.test",
            "xn--a-ecp.ru",
            "xn--zca.xn--",
            &label,
            &long,
            &wide,
        ];
        for name in names {
            let file = of_name(name);
            assert!(file.is_err(), "{name:?} became {file:?}");
        }
    }

    #[test]
    fn no_text_whatever_becomes_a_path_that_leaves_its_directory() {
        // A small generator with a fixed seed, over pieces that are dangerous together.
        let pieces = [
            "..", ".", "/", "\\", "*", "_", "-", "xn--", "a", "con", "ü", "\u{202e}", ":", "\0", "%", "nul.",
            "0", " ",
        ];
        let mut seed: u64 = 7;
        for _ in 0..20_000 {
            let mut name = String::new();
            for _ in 0..6 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                name.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            if let Ok(file) = of_name(&name) {
                assert!(crate::paths::is_plain_name(&file), "{name:?} became {file:?}");
                assert_eq!(
                    std::path::Path::new("/store").join(&file).parent(),
                    Some(std::path::Path::new("/store"))
                );
            }
        }
    }
}
