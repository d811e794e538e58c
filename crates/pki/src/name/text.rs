//! Reads distinguished names from text: RFC 4514, and the looseness that operators are used to from Keyfactor and
//! Windows (blanks around separators, quoted values, `;` between parts, empty parts, `S` and `E`).

use super::{Attribute, DistinguishedName, Value, attribute};
use crate::{NameError, der, thumbprint::hex_digit};

/// Most characters of a distinguished name given as text.
pub const MAX_NAME_CHARACTERS: usize = 2_048;
/// Most attributes of a distinguished name given as text.
pub const MAX_ATTRIBUTES: usize = 64;

/// Reads a whole name.
pub(super) fn parse(text: &str) -> Result<DistinguishedName, NameError> {
    let mut parser = Parser { characters: text.chars().collect(), at: 0 };
    if parser.characters.len() > MAX_NAME_CHARACTERS {
        return Err(error(
            MAX_NAME_CHARACTERS,
            format!("it is longer than {MAX_NAME_CHARACTERS} characters"),
        ));
    }
    let mut parts: Vec<Vec<Attribute>> = Vec::new();
    let mut joined = false;
    let mut count = 0;
    loop {
        parser.skip_blanks();
        if parser.peek().is_none() {
            break;
        }
        if parser.skip_one_of(&[',', ';']) {
            joined = false;
            continue;
        }
        let attribute = parser.attribute()?;
        count += usize::from(attribute.is_some());
        if count > MAX_ATTRIBUTES {
            return Err(error(parser.at, format!("it has more than {MAX_ATTRIBUTES} attributes")));
        }
        match (attribute, parts.last_mut()) {
            (Some(attribute), Some(part)) if joined => part.push(attribute),
            (Some(attribute), _) => parts.push(vec![attribute]),
            (None, _) => {}
        }
        parser.skip_blanks();
        joined = parser.peek() == Some('+');
        if parser.peek().is_some() && !parser.skip_one_of(&[',', ';', '+']) {
            return Err(error(parser.at, "expected a comma between the parts of the name".to_owned()));
        }
    }
    Ok(DistinguishedName::from_parts(parts))
}

fn error(index: usize, reason: String) -> NameError {
    NameError { position: index + 1, reason }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn skip_one_of(&mut self, separators: &[char]) -> bool {
        let found = self.peek().is_some_and(|character| separators.contains(&character));
        self.at += usize::from(found);
        found
    }

    /// One `word=value`; nothing when the value is empty, as an enrollment form sends it for a field left blank.
    fn attribute(&mut self) -> Result<Option<Attribute>, NameError> {
        let start = self.at;
        while self.peek().is_some_and(|character| !matches!(character, '=' | ',' | ';' | '+')) {
            self.at += 1;
        }
        let word: String = self.characters[start..self.at].iter().collect();
        if self.peek() != Some('=') {
            let reason = format!(
                "{:?} is not a part such as CN=www.example.test; a comma inside a value is written \\,",
                word.trim()
            );
            return Err(error(start, reason));
        }
        self.at += 1;
        let oid = oid_of(word.trim()).ok_or_else(|| {
            error(
                start,
                format!(
                    "{:?} is not a known attribute; use CN, OU, O, L, ST, C, DC, E or an object identifier",
                    word.trim()
                ),
            )
        })?;
        self.skip_blanks();
        let value_start = self.at;
        let value = match self.peek() {
            Some('"') => Value::Text(self.quoted()?),
            Some('#') => Value::Der(self.hexadecimal()?),
            _ => Value::Text(self.plain()?),
        };
        if let Value::Text(text) = &value {
            if text.is_empty() {
                return Ok(None);
            }
            check_value(&oid, text).map_err(|reason| error(value_start, reason))?;
        }
        Ok(Some(Attribute { oid, value }))
    }

    fn quoted(&mut self) -> Result<String, NameError> {
        let opening = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return Err(error(opening, "the quotation mark is never closed".to_owned())),
                Some('"') => {
                    self.at += 1;
                    return self.text(bytes, opening);
                }
                Some('\\') => self.escaped(&mut bytes)?,
                Some(character) => {
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 1;
                }
            }
        }
    }

    fn plain(&mut self) -> Result<String, NameError> {
        let start = self.at;
        let mut bytes = Vec::new();
        let mut keep = 0;
        while let Some(character) = self.peek().filter(|character| !matches!(character, ',' | ';' | '+')) {
            match character {
                '\\' => self.escaped(&mut bytes)?,
                '"' | '<' | '>' => {
                    return Err(error(
                        self.at,
                        format!("{character} inside a value is written \\{character}"),
                    ));
                }
                _ => {
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 1;
                    if character.is_whitespace() {
                        continue;
                    }
                }
            }
            keep = bytes.len();
        }
        bytes.truncate(keep);
        self.text(bytes, start)
    }

    /// `\,` is the character itself, `\C3` an octet of UTF-8.
    fn escaped(&mut self, bytes: &mut Vec<u8>) -> Result<(), NameError> {
        let start = self.at;
        self.at += 1;
        let digit =
            |character: Option<&char>| character.and_then(|c| u8::try_from(*c).ok()).and_then(hex_digit);
        let pair = (digit(self.characters.get(self.at)), digit(self.characters.get(self.at + 1)));
        if let (Some(high), Some(low)) = pair {
            bytes.push(high << 4 | low);
            self.at += 2;
            return Ok(());
        }
        let character = self.peek().ok_or_else(|| error(start, "a backslash ends the name".to_owned()))?;
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += 1;
        Ok(())
    }

    fn text(&self, bytes: Vec<u8>, start: usize) -> Result<String, NameError> {
        String::from_utf8(bytes).map_err(|_| error(start, "the escaped octets are not UTF-8".to_owned()))
    }

    /// `#0C0161`: the value's DER in hexadecimal digits (RFC 4514 section 2.4).
    fn hexadecimal(&mut self) -> Result<Vec<u8>, NameError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        let digit = |character: char| u8::try_from(character).ok().and_then(hex_digit);
        while let Some(high) = self.peek().and_then(digit) {
            let low = self.characters.get(self.at + 1).copied().and_then(digit);
            bytes.push(
                high << 4 | low.ok_or_else(|| error(self.at, "a hexadecimal digit is missing".to_owned()))?,
            );
            self.at += 2;
        }
        let mut reader = der::Reader::new(&bytes);
        if reader.element().is_none() || !reader.is_empty() {
            return Err(error(start, "the hexadecimal digits are not one DER value".to_owned()));
        }
        Ok(bytes)
    }
}

fn oid_of(word: &str) -> Option<String> {
    if let Some(kind) = attribute::by_word(word) {
        return Some(kind.oid.to_owned());
    }
    let dotted = match word.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("OID.") => &word[4..],
        _ => word,
    };
    der::oid_components(dotted).map(|_| dotted.to_owned())
}

/// Why a value cannot be encoded for its attribute, if so.
pub(super) fn check_value(oid: &str, text: &str) -> Result<(), String> {
    let (tag, max_characters) = attribute::encoding(oid);
    let word = attribute::by_oid(oid).map_or(oid, |kind| kind.words[0]);
    if text.chars().count() > max_characters {
        return Err(format!("{word} is longer than {max_characters} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{word} has a control character"));
    }
    if word == "C" && !(text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        return Err("C is a country code of two letters".to_owned());
    }
    if tag == attribute::PRINTABLE_STRING && !text.chars().all(attribute::is_printable) {
        return Err(format!("{word} may hold only letters, digits, blanks and '()+,-./:=?"));
    }
    if tag == attribute::IA5_STRING && !text.is_ascii() {
        return Err(format!("{word} may hold only ASCII characters"));
    }
    Ok(())
}
