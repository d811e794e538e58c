//! How the demo speaks: acts with the seconds that have passed, commands as they could be typed, and what came of them.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// The voice, and when it began.
pub(crate) struct Narration {
    began: Instant,
    bold: bool,
}

impl Narration {
    /// Begins to count the seconds.
    pub(crate) fn begin() -> Self {
        let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { began: Instant::now(), bold }
    }

    /// A heading.
    pub(crate) fn act(&self, title: &str) {
        let line = format!("[{:4.1} s] {title}", self.began.elapsed().as_secs_f64());
        match self.bold {
            true => self.line(&format!("\n\x1b[1m{line}\x1b[0m")),
            false => self.line(&format!("\n{line}")),
        }
    }

    /// A sentence.
    pub(crate) fn say(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// A command that is about to run, as it could be typed.
    pub(crate) fn command(&self, typed: &str) {
        match self.bold {
            true => self.line(&format!("\x1b[36m$ {typed}\x1b[0m")),
            false => self.line(&format!("$ {typed}")),
        }
    }

    /// How long everything took.
    pub(crate) fn total(&self) {
        self.line(&format!("\nThe demo took {:.1} s.", self.elapsed().as_secs_f64()));
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn line(&self, text: &str) {
        // A reader who has left needs no words; the demo still cleans up.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// A command line as a shell would take it.
pub(crate) fn typed(words: &[String]) -> String {
    let quoted = |word: &String| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
        match !word.is_empty() && word.chars().all(plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_change_are_quoted() {
        let words = ["--dns", "*.example.test", "it's", ""].map(str::to_owned);
        assert_eq!(typed(&words), r"--dns '*.example.test' 'it'\''s' ''");
    }
}
