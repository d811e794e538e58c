//! Passwords: how they are hashed and compared, what they may be, and how one is made up.
//!
//! Hashing takes 19 MiB and some 17 ms on purpose; who calls it bounds how many run at a time.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use sealift_protocol::Secret;

use super::error::Error;

/// Argon2id: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;
/// Characters that are not mistaken for each other.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a password that the server makes up: 139 bits.
const MADE_UP: usize = 24;

/// Hash of a password that nobody has, at the same cost: what an unknown user's password is compared with.
pub(super) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2VhbGlmdC1ub2JvZHktcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses a password that is too short, too long, or has characters that cannot be typed.
pub(super) fn check(password: &Secret) -> Result<(), Error> {
    let text = password.expose();
    if !LENGTH.contains(&text.chars().count()) {
        let message = format!("Password must have {} to {} characters", LENGTH.start(), LENGTH.end());
        return Err(Error::Invalid(message));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Invalid("Password must not have control characters".to_owned()));
    }
    Ok(())
}

/// The PHC string of a password. Blocks for some 17 ms.
pub(super) fn hash(password: &Secret) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Hashing(error.to_string());
    let (memory, passes, lanes) = COST;
    let cost = Params::new(memory, passes, lanes, None).map_err(|error| failed(&error))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    let hash = hasher.hash_password(password.expose().as_bytes()).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Whether a password is the one behind a PHC string. Blocks for some 17 ms.
pub(super) fn matches(password: &Secret, hash: &str) -> Result<bool, Error> {
    let parsed = PasswordHash::new(hash).map_err(|error| Error::Hashing(error.to_string()))?;
    Ok(Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok())
}

/// A password made up by the system's random generator.
pub(crate) fn made_up() -> Result<Secret, Error> {
    // The largest multiple of the alphabet's length: bytes above it would favour its first letters.
    let fair = 256 - 256 % ALPHABET.len();
    let mut text = String::with_capacity(MADE_UP);
    while text.len() < MADE_UP {
        let mut bytes = zeroize::Zeroizing::new([0u8; 2 * MADE_UP]);
        aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
        let letters = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let letters = letters.map(|byte| char::from(ALPHABET[byte % ALPHABET.len()]));
        let missing = MADE_UP - text.len();
        text.extend(letters.take(missing));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_password_alone_and_costs_what_is_meant() {
        let hash = hash(&Secret::new("correct horse")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(matches(&Secret::new("correct horse"), &hash).unwrap());
        assert!(!matches(&Secret::new("Correct horse"), &hash).unwrap());
    }

    #[test]
    fn an_unknown_user_costs_as_much_and_has_no_password() {
        let cost = |hash: &str| hash.split('$').nth(3).unwrap().to_owned();
        assert_eq!(cost(NOBODY), cost(&hash(&Secret::new("x")).unwrap()));
        assert!(!matches(&Secret::new(""), NOBODY).unwrap());
    }

    #[test]
    fn a_made_up_password_is_long_and_never_the_same() {
        let one = made_up().unwrap();
        assert_eq!(one.expose().len(), MADE_UP);
        assert!(one.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
        assert!(one != made_up().unwrap());
        check(&one).unwrap();
    }

    #[test]
    fn passwords_have_bounds() {
        for text in ["short", &"x".repeat(257), "with\na line break in it"] {
            assert!(check(&Secret::new(text)).is_err());
        }
        check(&Secret::new("pässwörter mit Ümlaut")).unwrap();
    }
}
