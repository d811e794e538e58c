//! PEM text (RFC 7468): read into blocks, whatever stands between them, and written.
//!
//! A block is only taken apart when asked, so one broken block does not hide the others of a file.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{Certificate, Error, PrivateKey};

/// Label of a certificate.
pub const CERTIFICATE_LABEL: &str = "CERTIFICATE";
/// Label of a PKCS#8 private key.
pub const PRIVATE_KEY_LABEL: &str = "PRIVATE KEY";
/// Label of a PKCS#10 request.
pub const REQUEST_LABEL: &str = "CERTIFICATE REQUEST";
/// Label of a revocation list.
pub const REVOCATION_LIST_LABEL: &str = "X509 CRL";

/// Largest text that is read, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Most blocks of one text.
pub const MAX_BLOCKS: usize = 10_000;
/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 64;
/// Characters of base64 in a line.
const LINE_LENGTH: usize = 64;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// What a block holds, by its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An X.509 certificate (`CERTIFICATE`, `X509 CERTIFICATE`, `TRUSTED CERTIFICATE` is not one).
    Certificate,
    /// A private key in the clear: PKCS#8, PKCS#1 or SEC1.
    PrivateKey,
    /// An encrypted private key, which is not read here.
    EncryptedPrivateKey,
    /// A PKCS#10 request.
    CertificateRequest,
    /// Anything else.
    Other,
}

/// One PEM block; what it holds is erased when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    label: String,
    line: usize,
    encrypted: bool,
    content: Result<Zeroizing<Vec<u8>>, &'static str>,
    text: Zeroizing<String>,
}

impl Block {
    /// The label between the dashes, such as `CERTIFICATE`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Line of the text where the block begins, counted from one.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What the block holds.
    pub fn kind(&self) -> Kind {
        match self.label.as_str() {
            CERTIFICATE_LABEL | "X509 CERTIFICATE" => Kind::Certificate,
            "ENCRYPTED PRIVATE KEY" => Kind::EncryptedPrivateKey,
            PRIVATE_KEY_LABEL | "RSA PRIVATE KEY" | "EC PRIVATE KEY" if self.encrypted => {
                Kind::EncryptedPrivateKey
            }
            PRIVATE_KEY_LABEL | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Kind::PrivateKey,
            REQUEST_LABEL | "NEW CERTIFICATE REQUEST" => Kind::CertificateRequest,
            _ => Kind::Other,
        }
    }

    /// The block as it stood in the text, armour included, ended by a line feed: for writing it back unchanged.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes inside.
    ///
    /// # Errors
    /// [`Error::Pem`] when they are not base64.
    pub fn content(&self) -> Result<&[u8], Error> {
        match &self.content {
            Ok(content) => Ok(content),
            Err(reason) => Err(Error::Pem { line: self.line, reason }),
        }
    }

    /// The certificate inside.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::CertificateUnreadable`].
    pub fn certificate(&self) -> Result<Certificate, Error> {
        if self.kind() != Kind::Certificate {
            return Err(Error::Pem { line: self.line, reason: "the block is not a certificate" });
        }
        Certificate::parse(self.content()?)
    }

    /// The private key inside.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::KeyUnreadable`], [`Error::KeyAlgorithmUnsupported`].
    pub fn private_key(&self) -> Result<PrivateKey, Error> {
        match self.kind() {
            Kind::PrivateKey => {}
            Kind::EncryptedPrivateKey => {
                return Err(Error::KeyUnreadable { reason: "it is encrypted".to_owned() });
            }
            _ => return Err(Error::Pem { line: self.line, reason: "the block is not a private key" }),
        }
        let content = self.content()?;
        match self.label.as_str() {
            "RSA PRIVATE KEY" => PrivateKey::from_pkcs1_der(content),
            "EC PRIVATE KEY" => PrivateKey::from_sec1_der(content),
            _ => PrivateKey::from_pkcs8_der(content),
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} at line {})", self.label, self.line)
    }
}

/// Reads every block of a text. Anything between blocks is a comment; line ends may be of any kind or missing.
///
/// # Errors
/// [`Error::Pem`] when the text is too large, has too many blocks, or a block is never closed.
pub fn read(text: &str) -> Result<Vec<Block>, Error> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Error::Pem { line: 1, reason: "the text is larger than 4 MiB" });
    }
    let mut blocks = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(begin) = rest.find(BEGIN) {
        line += line_feeds(&rest[..begin]);
        if blocks.len() == MAX_BLOCKS {
            return Err(Error::Pem { line, reason: "the text has more than 10000 blocks" });
        }
        let block = &rest[begin..];
        let after_begin = &block[BEGIN.len()..];
        let label = after_begin
            .find(DASHES)
            .map(|end| &after_begin[..end])
            .filter(|label| label.len() <= MAX_LABEL_BYTES && !label.contains(['\r', '\n']))
            .ok_or(Error::Pem { line, reason: "the BEGIN line is not finished by five dashes" })?;
        let body = &after_begin[label.len() + DASHES.len()..];
        let end_line = format!("-----END {label}-----");
        let end = body
            .find(&end_line)
            .ok_or(Error::Pem { line, reason: "the END line of this block is missing" })?;
        let length = BEGIN.len() + label.len() + DASHES.len() + end + end_line.len();
        blocks.push(block_of(label, &body[..end], &block[..length], line));
        line += line_feeds(&block[..length]);
        rest = &block[length..];
    }
    Ok(blocks)
}

fn line_feeds(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn block_of(label: &str, body: &str, text: &str, line: usize) -> Block {
    // RFC 1421 headers, as old OpenSSL writes them before an encrypted key, end with an empty line.
    let encrypted = body.contains("Proc-Type:") && body.contains("ENCRYPTED");
    let mut payload = Zeroizing::new(String::with_capacity(body.len()));
    payload.extend(
        body.lines()
            .filter(|line| !line.contains(':'))
            .flat_map(str::chars)
            .filter(|c| !c.is_ascii_whitespace()),
    );
    let content =
        STANDARD.decode(payload.as_bytes()).map(Zeroizing::new).map_err(|_| "the block is not base64");
    Block { label: label.to_owned(), line, encrypted, content, text: Zeroizing::new(format!("{text}\n")) }
}

/// Every certificate of a text, in order; keys and other blocks are passed over.
///
/// # Errors
/// [`Error::Pem`], [`Error::CertificateUnreadable`].
pub fn certificates(text: &str) -> Result<Vec<Certificate>, Error> {
    read(text)?.iter().filter(|block| block.kind() == Kind::Certificate).map(Block::certificate).collect()
}

/// PEM text of DER bytes under a label, ended by a line feed.
pub fn encode(label: &str, der: &[u8]) -> String {
    encode_secret(label, der).to_string()
}

/// As [`encode`], for bytes that must not stay in memory.
pub(crate) fn encode_secret(label: &str, der: &[u8]) -> Zeroizing<String> {
    let payload = Zeroizing::new(STANDARD.encode(der));
    // Room for everything from the start: a string that grows leaves copies behind.
    let capacity =
        payload.len() + payload.len() / LINE_LENGTH + 2 * (label.len() + BEGIN.len() + DASHES.len() + 2);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    text.push_str(BEGIN);
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = payload.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_LENGTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// PEM text of several certificates, in order.
pub fn encode_certificates<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    certificates.into_iter().map(Certificate::to_pem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment: not base64\r\nBag Attributes\r\n-----BEGIN THING-----\r\nAQID\r\n-----END THING-----\r\n\
                        trailing\n-----BEGIN OTHER-----BAUG-----END OTHER-----";

    #[test]
    fn reads_blocks_among_comments_with_any_line_ends() {
        let blocks = read(TEXT).unwrap();
        let read: Vec<_> =
            blocks.iter().map(|block| (block.label(), block.line(), block.content().unwrap())).collect();
        assert_eq!(read, [("THING", 3, &[1, 2, 3][..]), ("OTHER", 7, &[4, 5, 6][..])]);
        assert_eq!(blocks[0].text(), "-----BEGIN THING-----\r\nAQID\r\n-----END THING-----\n");
        assert!(blocks.iter().all(|block| block.kind() == Kind::Other));
        assert_eq!(format!("{:?}", blocks[0]), "Block(THING at line 3)");
    }

    #[test]
    fn a_broken_block_does_not_hide_the_next() {
        let text = format!(
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n{}",
            encode("B", &[0; 100])
        );
        let blocks = read(&text).unwrap();
        assert!(matches!(blocks[0].certificate(), Err(Error::Pem { line: 1, .. })));
        assert_eq!(blocks[1].content().unwrap(), [0; 100]);
    }

    #[test]
    fn unfinished_blocks_are_refused_with_their_line() {
        for text in [
            "\n-----BEGIN A\n-----",
            "x\n-----BEGIN A-----\nAQID",
            "x\n-----BEGIN A-----\nAQID\n-----END B-----",
        ] {
            assert!(matches!(read(text), Err(Error::Pem { line: 2, .. })), "{text}");
        }
    }

    #[test]
    fn encrypted_keys_are_told_apart() {
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for text in [old, new] {
            let block = &read(text).unwrap()[0];
            assert_eq!(block.kind(), Kind::EncryptedPrivateKey);
            assert!(matches!(block.private_key(), Err(Error::KeyUnreadable { .. })));
        }
    }

    #[test]
    fn lines_have_64_characters() {
        let text = encode("A", &[7; 100]);
        assert!(text.lines().all(|line| line.len() <= LINE_LENGTH));
        assert_eq!(read(&text).unwrap()[0].text(), text);
    }
}
