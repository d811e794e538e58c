//! The attributes of a distinguished name: their words, object identifiers, string types and longest values
//! (RFC 4514 section 3, RFC 5280 appendix A, and the spellings that operators use).

/// Universal tag of UTF8String.
pub(super) const UTF8_STRING: u8 = 0x0c;
/// Universal tag of PrintableString.
pub(super) const PRINTABLE_STRING: u8 = 0x13;
/// Universal tag of IA5String.
pub(super) const IA5_STRING: u8 = 0x16;

/// Longest value of an attribute that the table below does not name, in characters.
const MAX_OTHER_CHARACTERS: usize = 256;

/// One kind of attribute.
pub(super) struct Kind {
    pub(super) oid: &'static str,
    /// The first word is the one that is shown; all are read, in any case.
    pub(super) words: &'static [&'static str],
    pub(super) string_tag: u8,
    pub(super) max_characters: usize,
}

const fn kind(
    oid: &'static str,
    words: &'static [&'static str],
    string_tag: u8,
    max_characters: usize,
) -> Kind {
    Kind { oid, words, string_tag, max_characters }
}

const KINDS: &[Kind] = &[
    kind("2.5.4.3", &["CN", "COMMONNAME"], UTF8_STRING, 64),
    kind("2.5.4.11", &["OU", "ORGANIZATIONALUNITNAME"], UTF8_STRING, 64),
    kind("2.5.4.10", &["O", "ORGANIZATIONNAME"], UTF8_STRING, 64),
    kind("2.5.4.7", &["L", "LOCALITYNAME"], UTF8_STRING, 128),
    kind("2.5.4.8", &["ST", "S", "STATEORPROVINCENAME"], UTF8_STRING, 128),
    kind("2.5.4.6", &["C", "COUNTRYNAME"], PRINTABLE_STRING, 2),
    kind("2.5.4.9", &["STREET", "STREETADDRESS"], UTF8_STRING, 128),
    kind("2.5.4.17", &["PostalCode"], UTF8_STRING, 40),
    kind("0.9.2342.19200300.100.1.25", &["DC", "DOMAINCOMPONENT"], IA5_STRING, 63),
    kind("0.9.2342.19200300.100.1.1", &["UID", "USERID"], UTF8_STRING, 256),
    kind("1.2.840.113549.1.9.1", &["E", "EMAIL", "EMAILADDRESS"], IA5_STRING, 255),
    kind("2.5.4.5", &["SERIALNUMBER"], PRINTABLE_STRING, 64),
    kind("2.5.4.4", &["SN", "SURNAME"], UTF8_STRING, 64),
    kind("2.5.4.42", &["G", "GN", "GIVENNAME"], UTF8_STRING, 64),
    kind("2.5.4.43", &["I", "INITIALS"], UTF8_STRING, 64),
    kind("2.5.4.12", &["T", "TITLE"], UTF8_STRING, 64),
    kind("2.5.4.46", &["DNQUALIFIER"], PRINTABLE_STRING, 64),
    kind("2.5.4.97", &["ORGANIZATIONIDENTIFIER"], UTF8_STRING, 256),
    kind("2.5.4.15", &["BUSINESSCATEGORY"], UTF8_STRING, 128),
];

/// The kind with this word, in any case.
pub(super) fn by_word(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// The kind with this object identifier.
pub(super) fn by_oid(oid: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.oid == oid)
}

/// Place of an attribute within a part that has several: in the order of the table, others after it.
pub(super) fn rank(oid: &str) -> usize {
    KINDS.iter().position(|kind| kind.oid == oid).unwrap_or(KINDS.len())
}

/// How a value of this attribute is encoded, and its longest length in characters.
pub(super) fn encoding(oid: &str) -> (u8, usize) {
    by_oid(oid).map_or((UTF8_STRING, MAX_OTHER_CHARACTERS), |kind| (kind.string_tag, kind.max_characters))
}

/// Whether a character may stand in a PrintableString (X.680 section 41.4).
pub(super) fn is_printable(character: char) -> bool {
    character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character)
}
