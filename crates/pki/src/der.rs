//! The few pieces of DER (ITU-T X.690) that the libraries do not hand out: a reader and a writer of elements, and
//! object identifiers as text. It knows no structure; those who use it do.

/// Universal tag of INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// Universal tag of BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// Universal tag of OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// Universal tag of OBJECT IDENTIFIER.
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// Universal tag of SEQUENCE and SEQUENCE OF.
pub(crate) const SEQUENCE: u8 = 0x30;
/// Universal tag of SET and SET OF.
pub(crate) const SET: u8 = 0x31;
/// Context tag 0, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// Most components of an object identifier that is written or shown.
const MAX_OID_COMPONENTS: usize = 32;

/// One element: its tag, its content, and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Reads elements one after the other; definite lengths and single-octet tags only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, if there is a whole one.
    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let (&tag, after_tag) = self.rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, after_first) = after_tag.split_first()?;
        let (length, header) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let octets = usize::from(first & 0x7f);
            if octets == 0 || octets > 4 {
                return None;
            }
            let length =
                after_first.get(..octets)?.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
            (length, 2 + octets)
        };
        let end = header.checked_add(length)?;
        let raw = self.rest.get(..end)?;
        self.rest = self.rest.get(end..)?;
        Some(Element { tag, value: raw.get(header..)?, raw })
    }

    /// The content of the next element, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.value)
    }

    /// A reader over the content of the next element, if it has this tag.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(Self::new)
    }
}

/// A reader over the content of bytes that are exactly one element with this tag.
pub(crate) fn single(bytes: &[u8], tag: u8) -> Option<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    let inner = reader.enter(tag)?;
    reader.is_empty().then_some(inner)
}

/// Writes one element from the parts of its content.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            // A usize has at most eight octets.
            bytes.push(0x80 | octets.len() as u8);
            bytes.extend(octets);
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The components of a dotted object identifier, if it can be encoded (X.660: at most 2 first, then below 40).
pub(crate) fn oid_components(text: &str) -> Option<Vec<u64>> {
    let components: Vec<u64> = text
        .split('.')
        .map(|part| part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    let (first, second) = (*components.first()?, *components.get(1)?);
    let in_range = first <= 2 && (first == 2 || second < 40) && second < u64::MAX - 80;
    (in_range && components.len() <= MAX_OID_COMPONENTS).then_some(components)
}

/// The OBJECT IDENTIFIER element of a dotted text.
pub(crate) fn oid_element(text: &str) -> Option<Vec<u8>> {
    let components = oid_components(text)?;
    let (first, rest) = components.split_first()?;
    let (second, rest) = rest.split_first()?;
    let mut content = Vec::new();
    for component in std::iter::once(first * 40 + second).chain(rest.iter().copied()) {
        let mut groups = vec![(component & 0x7f) as u8];
        let mut left = component >> 7;
        while left > 0 {
            groups.push(0x80 | (left & 0x7f) as u8);
            left >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    Some(element(OBJECT_IDENTIFIER, &[&content]))
}

/// The dotted text of the content of an OBJECT IDENTIFIER.
pub(crate) fn oid_text(content: &[u8]) -> Option<String> {
    let mut components: Vec<u64> = Vec::new();
    let mut component: u64 = 0;
    let mut complete = false;
    for octet in content {
        if component > u64::MAX >> 7 {
            return None;
        }
        component = component << 7 | u64::from(octet & 0x7f);
        complete = octet & 0x80 == 0;
        if complete {
            if components.is_empty() {
                let first = (component / 40).min(2);
                components.extend([first, component - first * 40]);
            } else {
                components.push(component);
            }
            component = 0;
        }
    }
    let text: Vec<String> = components.iter().map(u64::to_string).collect();
    (complete && components.len() <= MAX_OID_COMPONENTS).then(|| text.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_round_trip_at_every_length_form() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = element(OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&bytes);
            let read = reader.element().unwrap();
            assert_eq!((read.tag, read.value, read.raw), (OCTET_STRING, &content[..], &bytes[..]));
            assert!(reader.is_empty());
            assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).element(), None);
        }
    }

    #[test]
    fn indefinite_and_absurd_lengths_are_refused() {
        for bytes in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x85, 1, 0, 0, 0, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30],
        ] {
            assert_eq!(Reader::new(bytes).element(), None);
        }
    }

    #[test]
    fn object_identifiers_round_trip() {
        for text in
            ["1.2.840.113549.1.1.1", "2.5.4.3", "1.3.101.112", "2.999.1", "0.9.2342.19200300.100.1.25"]
        {
            let bytes = oid_element(text).unwrap();
            assert_eq!(oid_text(Reader::new(&bytes).expect(OBJECT_IDENTIFIER).unwrap()).unwrap(), text);
        }
        for text in ["", "1", "3.1", "1.40", "1.2.", "1.+2", "1.2.x", "18446744073709551616.1"] {
            assert_eq!(oid_element(text), None, "{text}");
        }
        assert_eq!(oid_text(&[0x80]), None);
        assert_eq!(oid_text(&[]), None);
    }
}
