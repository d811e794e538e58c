//! Where secrets come from: a private file, standard input, or a prompt. Never an argument.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use sealift_protocol::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_file;

/// The longest secret that is read from standard input.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Reads a secret from a file, or from standard input when the file is `-`. One line end is cut off.
pub(crate) fn from_file(path: &Path) -> Result<Secret, Failure> {
    let text = if path == Path::new(STANDARD_INPUT) {
        from_reader(io::stdin().lock())?
    } else {
        private_file::read_private(path)?
    };
    trimmed(&text, &path.display().to_string())
}

/// Reads a secret from the file if there is one, else asks for it: without echo on a terminal, and as the
/// whole of standard input elsewhere.
pub(crate) fn from_file_or_prompt(path: Option<&Path>, prompt: &str) -> Result<Secret, Failure> {
    match path {
        Some(path) => from_file(path),
        None if io::stdin().is_terminal() => from_prompt(prompt),
        None => trimmed(&from_reader(io::stdin().lock())?, "standard input"),
    }
}

/// The same for a secret that is new: on a terminal it is asked for twice.
pub(crate) fn new_from_file_or_prompt(path: Option<&Path>, prompt: &str) -> Result<Secret, Failure> {
    let secret = from_file_or_prompt(path, prompt)?;
    if path.is_none() && io::stdin().is_terminal() && from_prompt("The same again: ")? != secret {
        return Err(Failure::Usage("the two inputs differ; run the command again".to_owned()));
    }
    Ok(secret)
}

fn from_prompt(prompt: &str) -> Result<Secret, Failure> {
    let typed = rpassword::prompt_password(prompt)
        .map_err(|error| Failure::Usage(format!("cannot read from the terminal: {error}")))?;
    trimmed(&Zeroizing::new(typed), "the input")
}

fn from_reader(reader: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    reader
        .take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(format!("standard input cannot be read: {error}")))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(Failure::Usage(format!("standard input is longer than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn trimmed(text: &str, place: &str) -> Result<Secret, Failure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Failure::Usage(format!("{place} is empty where a secret was expected")));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_cut_off_and_nothing_else() {
        for (text, secret) in
            [("a b \n", "a b "), ("pass\r\n", "pass"), ("pass\n\n", "pass\n"), ("pass", "pass")]
        {
            assert_eq!(trimmed(text, "test").unwrap().expose(), secret);
        }
        assert!(trimmed("\n", "test").is_err());
    }

    #[test]
    fn standard_input_is_bounded() {
        assert!(from_reader(io::repeat(b'a')).is_err());
    }
}
