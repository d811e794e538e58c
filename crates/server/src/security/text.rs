//! Names and descriptions in requests: present, printable and of bounded length.

use super::error::Error;

/// A name that must be given: trimmed, printable, 1 to `longest` characters.
pub(super) fn name(member: &str, given: Option<String>, longest: usize) -> Result<String, Error> {
    let given = given.unwrap_or_default();
    let name = given.trim();
    match name.is_empty() {
        true => Err(Error::Invalid(format!("{member} is missing"))),
        false => line(member, name.to_owned(), longest),
    }
}

/// A text on one line, of at most `longest` characters.
pub(super) fn line(member: &str, text: String, longest: usize) -> Result<String, Error> {
    if text.chars().count() > longest {
        return Err(Error::Invalid(format!("{member} is longer than {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("{member} has control characters")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_refused_with_their_member() {
        assert_eq!(name("Name", Some(" ann ".to_owned()), 3).unwrap(), "ann");
        for bad in [None, Some("  ".to_owned()), Some("anna".to_owned()), Some("a\nb".to_owned())] {
            assert!(name("Name", bad, 3).unwrap_err().to_string().starts_with("Name "));
        }
    }
}
