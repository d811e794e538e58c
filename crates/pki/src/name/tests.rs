//! Names as text: what is accepted, what is refused and where, and that showing and reading are inverse.

use x509_parser::prelude::FromDer;

use super::*;

fn through_der(name: &DistinguishedName) -> DistinguishedName {
    let der = name.to_der();
    let (rest, parsed) = X509Name::from_der(&der).unwrap();
    assert!(rest.is_empty());
    DistinguishedName::from_x509(&parsed)
}

#[test]
fn reads_shows_and_encodes_most_specific_first() {
    let name = DistinguishedName::parse("CN=www.example.test,OU=Web,OU=IT,O=Example,C=DE").unwrap();
    assert_eq!(name.to_string(), "CN=www.example.test,OU=Web,OU=IT,O=Example,C=DE");
    assert_eq!(name.common_name(), Some("www.example.test"));
    assert_eq!(name.organizational_units(), ["Web", "IT"]);
    assert_eq!(name.organization(), Some("Example"));
    assert_eq!(through_der(&name), name);
    let der = name.to_der();
    let country = der.windows(2).position(|window| window == b"DE").unwrap();
    let common = der.windows(3).position(|window| window == b"www").unwrap();
    assert!(country < common, "the encoding starts with the least specific part");
}

#[test]
fn accepts_what_operators_write() {
    let cases = [
        ("cn = www.example.test , o = \"Example, Inc.\"", "CN=www.example.test,O=Example\\, Inc."),
        ("CN=a;O=b", "CN=a,O=b"),
        ("CN=a,,O=b,", "CN=a,O=b"),
        ("CN=a,OU=,O=", "CN=a"),
        ("CN=a,S=Bavaria,E=it@example.test", "CN=a,ST=Bavaria,E=it@example.test"),
        ("CN=a+UID=7,O=b", "CN=a+UID=7,O=b"),
        (r"CN=Lu\C4\8Di\C4\87", "CN=Lučić"),
        (r"O=Sue\, Grabbit and Runn,C=GB", r"O=Sue\, Grabbit and Runn,C=GB"),
        (r"CN=\ leading\#and trailing\ ", r"CN=\ leading#and trailing\ "),
        ("2.5.4.3=a,OID.1.3.6.1.4.1.99999.1=b", "CN=a,1.3.6.1.4.1.99999.1=b"),
        ("DC=corp,DC=example,DC=test", "DC=corp,DC=example,DC=test"),
        ("2.5.4.45=#03020101", "2.5.4.45=#03020101"),
        ("", ""),
    ];
    for (text, shown) in cases {
        let name = DistinguishedName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(name.to_string(), shown, "{text}");
        assert_eq!(DistinguishedName::parse(shown).unwrap(), name, "{text}");
        assert_eq!(through_der(&name), name, "{text}");
    }
}

#[test]
fn refuses_and_says_where() {
    let long = format!("CN={}", "a".repeat(65));
    let many = "CN=a,".repeat(65);
    let huge = format!("O={}", "a".repeat(3_000));
    let cases = [
        ("www.example.test", 1),
        ("CN=a,Inc.", 6),
        ("CN=a,XY=b", 6),
        ("CN=a,O=\"b", 8),
        ("CN=a\\", 5),
        ("CN=a,C=DEU", 8),
        ("CN=a,C=1x", 8),
        ("CN=a<b", 5),
        ("CN=\"a\"b", 7),
        ("CN=a\u{7}", 4),
        ("DC=münchen", 4),
        ("SERIALNUMBER=a_b", 14),
        ("CN=\\FF", 4),
        ("2.5.4.45=#0302", 10),
        (&long, 4),
        (&many, 325),
        (&huge, 2_049),
    ];
    for (text, position) in cases {
        let refused = DistinguishedName::parse(text).expect_err(text);
        assert_eq!(refused.position, position, "{text}: {refused}");
    }
}

#[test]
fn a_common_name_is_taken_as_it_is() {
    let name = DistinguishedName::from_common_name("Corp Issuing CA, #3").unwrap();
    assert_eq!(name.to_string(), r"CN=Corp Issuing CA\, #3");
    assert!(DistinguishedName::from_common_name(" ").is_err());
    assert!(DistinguishedName::from_common_name(&"a".repeat(65)).is_err());
}
