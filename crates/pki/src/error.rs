//! Every way in which this crate refuses, in words that say what was wrong and what to do about it.
//! No message carries key material or a password.

use chrono::{DateTime, Utc};

use crate::{KeyAlgorithm, Thumbprint};

/// Why bytes could not be read, made or signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not one DER X.509 certificate.
    #[error("not an X.509 certificate: {reason}; give one certificate in DER, or its PEM text")]
    CertificateUnreadable {
        /// What the parser stumbled on.
        reason: String,
    },
    /// The text is not a SHA-1 thumbprint.
    #[error("not a thumbprint: expected 40 hexadecimal digits, got {length} characters")]
    ThumbprintUnreadable {
        /// Number of characters given.
        length: usize,
    },
    /// The text is not a certificate serial number.
    #[error("not a serial number: expected 1 to 40 hexadecimal digits")]
    SerialNumberUnreadable,
    /// The bytes are not a private key in a form this crate reads.
    #[error("private key cannot be read: {reason}; give PKCS#8, PKCS#1 (RSA) or SEC1 (EC), not encrypted")]
    KeyUnreadable {
        /// What was expected and missing; never a part of the key.
        reason: String,
    },
    /// The algorithm of a key is known to nobody here, or too weak.
    #[error("key algorithm {found} is not supported; use RSA 2048 to 4096, ECDSA P-256 or P-384, or Ed25519")]
    KeyAlgorithmUnsupported {
        /// The algorithm as found: a name or an object identifier.
        found: String,
    },
    /// The cryptographic library could not make a key.
    #[error(
        "a {algorithm} key could not be generated; try again, the random source of the machine may be failing"
    )]
    KeyGeneration {
        /// The algorithm asked for.
        algorithm: KeyAlgorithm,
    },
    /// A private key and a certificate do not belong together.
    #[error(
        "the private key does not belong to certificate {thumbprint}; give the key made for that certificate"
    )]
    KeyMismatch {
        /// The certificate that was given with the key.
        thumbprint: Thumbprint,
    },
    /// The bytes are not a PKCS#10 request.
    #[error("not a certificate request: {reason}; give PKCS#10 in DER or PEM")]
    RequestUnreadable {
        /// What the parser stumbled on.
        reason: String,
    },
    /// The request was not signed by the key it names (RFC 2986 section 4.2).
    #[error("the certificate request is not signed by its own key; make the request anew")]
    RequestSignature,
    /// A distinguished name could not be read.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A subject alternative name cannot be encoded or was not understood.
    #[error("subject alternative name {value:?} is not usable: {reason}")]
    AlternativeName {
        /// The name as given.
        value: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Text that should hold PEM blocks does not.
    #[error("PEM text cannot be read at line {line}: {reason}")]
    Pem {
        /// Line in the text, counted from one.
        line: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A PKCS#12 file was refused.
    #[error(transparent)]
    Pkcs12(#[from] Pkcs12Error),
    /// A Java keystore was refused.
    #[error(transparent)]
    JavaKeystore(#[from] JavaKeystoreError),
    /// The certificate given for an authority may not sign others.
    #[error("certificate {thumbprint} cannot be an authority: {reason}")]
    AuthorityUnusable {
        /// The certificate.
        thumbprint: Thumbprint,
        /// What it lacks.
        reason: &'static str,
    },
    /// A validity period ends before it begins.
    #[error("validity ends {not_after} which is not after its start {not_before}; choose a later end")]
    ValidityReversed {
        /// Start asked for.
        not_before: DateTime<Utc>,
        /// End asked for.
        not_after: DateTime<Utc>,
    },
    /// An object identifier, URL or time cannot be encoded.
    #[error("{what} {value:?} cannot be encoded: {reason}")]
    NotEncodable {
        /// Kind of value.
        what: &'static str,
        /// The value as given.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// Signing failed inside the cryptographic library.
    #[error("signing failed: {reason}")]
    Signing {
        /// What the library reported.
        reason: String,
    },
    /// A chain does not lead to a trusted root, or not at that time.
    #[error("certificate {thumbprint} is not trusted at {at}: {reason}")]
    Untrusted {
        /// The leaf that was checked.
        thumbprint: Thumbprint,
        /// The time asked about.
        at: DateTime<Utc>,
        /// The verifier's reason.
        reason: String,
    },
    /// More certificates than any real chain has.
    #[error("{count} certificates given where at most {limit} can belong together")]
    TooManyCertificates {
        /// Number given.
        count: usize,
        /// Named bound.
        limit: usize,
    },
}

/// Why text is not a distinguished name (RFC 4514), and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("distinguished name is wrong at character {position}: {reason}")]
pub struct NameError {
    /// Character in the text, counted from one.
    pub position: usize,
    /// What is wrong there and what was expected.
    pub reason: String,
}

/// Why a PKCS#12 file is refused (RFC 7292).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    /// More bytes than the caller allows.
    #[error("PKCS#12 of {size} bytes is larger than the {limit} bytes allowed here")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// Bound in bytes.
        limit: usize,
    },
    /// Not DER, or not the structure of a PFX.
    #[error("not a PKCS#12 file: {reason}")]
    Malformed {
        /// Where the structure breaks.
        reason: &'static str,
    },
    /// A key derivation that would hold a processor for long; refused before it starts.
    #[error(
        "PKCS#12 asks for {found} key derivation iterations, at most {limit} are allowed; export the file anew"
    )]
    TooManyIterations {
        /// Iterations that the file names.
        found: u64,
        /// Bound for one derivation.
        limit: u32,
    },
    /// More keys and certificates than allowed.
    #[error("PKCS#12 holds {found} or more keys and certificates, at most {limit} are allowed")]
    TooManyBags {
        /// Bags counted when reading stopped.
        found: usize,
        /// Bound.
        limit: usize,
    },
    /// The file has no integrity check although one is required.
    #[error("PKCS#12 has no message authentication code; export it with a password")]
    MacMissing,
    /// Wrong password or damage: the format does not let them be told apart.
    #[error("wrong password for the PKCS#12 file, or the file is damaged")]
    WrongPassword,
    /// The password has a character that PKCS#12 cannot express in one unit (outside the Basic Multilingual Plane).
    #[error(
        "character {position} of the PKCS#12 password is outside the Basic Multilingual Plane; choose another password"
    )]
    PasswordCharacter {
        /// Character in the password, counted from one.
        position: usize,
    },
    /// An algorithm or structure that is not read here.
    #[error("PKCS#12 uses {what}, which is not supported; export it with AES-256 or 3DES")]
    Unsupported {
        /// Name or object identifier.
        what: String,
    },
    /// There is neither key nor certificate inside.
    #[error("PKCS#12 is empty: it holds no certificate")]
    Empty,
    /// There are several keys where one was expected.
    #[error("PKCS#12 holds {count} private keys where one is expected; export a single entry")]
    SeveralKeys {
        /// Keys found.
        count: usize,
    },
    /// No certificate in the file belongs to its private key.
    #[error(
        "no certificate in the PKCS#12 file belongs to its private key; export key and certificate together"
    )]
    KeyWithoutCertificate,
    /// Two entries to be written have the same name.
    #[error("two entries of one PKCS#12 file cannot both be named {alias:?}")]
    AliasTwice {
        /// The name.
        alias: String,
    },
    /// Writing failed inside the library.
    #[error("PKCS#12 could not be written: {reason}")]
    Unwritable {
        /// What the library reported.
        reason: String,
    },
}

/// Why a Java keystore (JKS) or one of its keys is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JavaKeystoreError {
    /// More bytes than a keystore may have here.
    #[error("Java keystore of {size} bytes is larger than the {limit} bytes allowed here")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// Bound in bytes.
        limit: usize,
    },
    /// More entries than a keystore may have here.
    #[error("Java keystore with {found} entries has more than the {limit} allowed here")]
    TooManyEntries {
        /// Entries, as the file says.
        found: usize,
        /// Bound.
        limit: usize,
    },
    /// The file is another kind of keystore.
    #[error(
        "this is a {kind} file and no Java keystore of type JKS; convert it, or use the type that it has"
    )]
    OtherKind {
        /// What it is.
        kind: &'static str,
    },
    /// A version of the format that is not read here.
    #[error("Java keystore of version {version} is not supported, only version 2; convert it with keytool")]
    Version {
        /// The version.
        version: u32,
    },
    /// Not the structure of a keystore.
    #[error("not a Java keystore: byte {position}: {reason}")]
    Malformed {
        /// Place in the file, counted from zero.
        position: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The file ends before it should.
    #[error("the Java keystore is cut short: {what} at byte {position} is not whole")]
    Truncated {
        /// Place in the file, counted from zero.
        position: usize,
        /// What should be there.
        what: &'static str,
    },
    /// The digest is wrong and no key opens: most likely the password, though a file may be damaged in that way too.
    #[error("wrong password for the Java keystore, or the file is damaged")]
    WrongPassword,
    /// The password opens a key of the file, and the digest over the whole file is wrong.
    #[error("the Java keystore is damaged: the password opens its keys, and its digest is wrong")]
    Damaged,
    /// A key does not open with the password of the keystore.
    #[error(
        "the private key does not open with the password of the Java keystore; give both the same password"
    )]
    KeyPassword,
    /// A key is protected in a way that is not read here.
    #[error("the Java keystore has {what}, which is not supported")]
    KeyProtection {
        /// What is there.
        what: String,
    },
    /// An entry has no certificate.
    #[error("entry {alias:?} of the Java keystore has no certificate")]
    NoCertificate {
        /// The entry.
        alias: String,
    },
    /// Two entries to be written have the same name.
    #[error("two entries of one Java keystore cannot both be named {alias:?}")]
    AliasTwice {
        /// The name.
        alias: String,
    },
    /// An entry cannot be written.
    #[error("entry {alias:?} cannot be written into a Java keystore: {reason}")]
    Unwritable {
        /// The entry.
        alias: String,
        /// Why.
        reason: &'static str,
    },
}
