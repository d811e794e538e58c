//! The `Authorization` header: HTTP Basic (RFC 7617), and as Bearer (RFC 6750) our API tokens and tokens of the
//! identity provider.

use actix_web::http::header::HeaderValue;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sealift_protocol::Secret;
use zeroize::Zeroizing;

use super::error::Error;

/// Longest header that is looked at, in bytes: tokens of identity providers list groups.
const MAX_HEADER: usize = 32 * 1024;
/// Longest one with a name and a password.
const MAX_BASIC: usize = 4_096;
/// Random bytes of an API token.
const TOKEN_BYTES: usize = 32;
/// What an API token begins with.
const TOKEN_PREFIX: &str = "slt_";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a caller presented.
pub(super) enum Credential {
    /// Name and password.
    Basic {
        /// `DOMAIN\user` or `user`.
        name: String,
        /// The password.
        password: Secret,
    },
    /// SHA-256 of an API token.
    Token([u8; 32]),
    /// What may be a token of the identity provider.
    Vouched(Secret),
}

impl Credential {
    /// Reads the header.
    pub(super) fn parse(header: &HeaderValue) -> Result<Self, Error> {
        let refuse =
            || Error::NotAuthenticated("the Authorization header is none that this server understands");
        if header.len() > MAX_HEADER {
            return Err(refuse());
        }
        let text = header.to_str().map_err(|_| refuse())?;
        let (scheme, rest) = text.trim().split_once(' ').ok_or_else(refuse)?;
        if scheme.eq_ignore_ascii_case("Basic") {
            Some(rest.trim()).filter(|rest| rest.len() <= MAX_BASIC).and_then(basic).ok_or_else(refuse)
        } else if scheme.eq_ignore_ascii_case("Bearer") {
            let token = rest.trim();
            match token_hash(token) {
                Some(hash) => Ok(Self::Token(hash)),
                None if token.starts_with(TOKEN_PREFIX) || token.matches('.').count() != 2 => Err(refuse()),
                None => Ok(Self::Vouched(Secret::new(token))),
            }
        } else {
            Err(refuse())
        }
    }
}

fn basic(encoded: &str) -> Option<Credential> {
    let bytes = Zeroizing::new(LENIENT.decode(encoded).ok()?);
    let text = std::str::from_utf8(&bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    // Some clients write the backslash even when they have no domain.
    let name = name.strip_prefix('\\').unwrap_or(name);
    let unusable = name.is_empty() || name.contains('\0');
    (!unusable).then(|| Credential::Basic { name: name.to_owned(), password: Secret::new(password) })
}

/// SHA-256 of an API token; `None` when the text is none.
fn token_hash(token: &str) -> Option<[u8; 32]> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN_PREFIX)?).ok()?);
    if bytes.len() != TOKEN_BYTES {
        return None;
    }
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}

/// A new API token, and what is stored of it.
pub(super) fn new_token() -> Result<(Secret, [u8; 32]), Error> {
    let mut bytes = Zeroizing::new([0u8; TOKEN_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
    let token = Secret::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_ref())));
    let hash = token_hash(token.expose()).ok_or(Error::Random)?;
    Ok((token, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<Credential, Error> {
        Credential::parse(&HeaderValue::from_str(header).unwrap())
    }

    fn pair(header: &str) -> Option<(String, String)> {
        match parse(header).ok()? {
            Credential::Basic { name, password } => Some((name, password.expose().to_owned())),
            Credential::Token(_) | Credential::Vouched(_) => None,
        }
    }

    fn encoded(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    #[test]
    fn basic_is_read_as_clients_send_it() {
        let both = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(pair(&format!("Basic {}", encoded("CORP\\ann:s3cret"))), both("CORP\\ann", "s3cret"));
        assert_eq!(pair(&format!("basic  {}", encoded("ann:a:b:"))), both("ann", "a:b:"));
        assert_eq!(pair(&format!("Basic {}", encoded("\\ann:x"))), both("ann", "x"));
        assert_eq!(
            pair(&format!("Basic {}", encoded("ann:passwört").trim_end_matches('='))),
            both("ann", "passwört")
        );
    }

    #[test]
    fn what_is_no_credential_is_refused_without_echo() {
        let oversized = format!("Basic {}", encoded(&"x".repeat(5_000)));
        for header in [
            "",
            "Basic",
            "Basic !!",
            "Basic YW5u",
            "Negotiate abc",
            "Bearer ey.J",
            "Bearer slt_short",
            "Bearer slt_a.b.c",
            &oversized,
        ] {
            let Err(refusal) = parse(header) else { panic!("{header}") };
            assert!(matches!(refusal, Error::NotAuthenticated(_)));
            assert!(!refusal.to_string().contains("YW5u"));
        }
        assert!(parse(&format!("Basic {}", encoded(":x"))).is_err());
        assert!(parse(&format!("Basic {}", encoded("a\0:x"))).is_err());
    }

    #[test]
    fn a_new_token_is_read_back_as_its_hash() {
        let (token, hash) = new_token().unwrap();
        assert_eq!(token.expose().len(), TOKEN_PREFIX.len() + 43);
        let Ok(Credential::Token(read)) = parse(&format!("Bearer {}", token.expose())) else { panic!() };
        assert_eq!(read, hash);
        assert!(parse(&format!("Bearer {}=", token.expose())).is_err());
        assert!(
            matches!(parse("Bearer ey.J.x"), Ok(Credential::Vouched(token)) if token.expose() == "ey.J.x")
        );
    }
}
