//! Takes out of a text what could be a secret, before it leaves the machine. Nothing here logs secrets; what a command
//! after a change printed, or an error of something else said, may hold one all the same.

/// What stands in the place of what was taken out.
const REMOVED: &str = "[removed]";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const KEY_LABEL: &str = "PRIVATE KEY-----";
/// Words whose values are secret, in lower case.
const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "private_key",
];

/// The text without private keys, without the values of words that announce a secret, and without the login of
/// addresses.
pub(crate) fn redact(text: &str) -> String {
    without_keys(text).split_inclusive('\n').map(line).collect()
}

/// Blocks from `BEGIN` to `END`. One whose beginning was cut off goes from the start, one without an end to the end.
fn without_keys(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    if let Some(end) = key_mark(rest, END)
        && key_mark(rest, BEGIN).is_none_or(|begin| end.0 < begin.0)
    {
        kept.push_str(REMOVED);
        rest = &rest[end.1..];
    }
    while let Some(begin) = key_mark(rest, BEGIN) {
        kept.push_str(&rest[..begin.0]);
        kept.push_str(REMOVED);
        let Some(end) = key_mark(&rest[begin.1..], END) else { return kept };
        rest = &rest[begin.1 + end.1..];
    }
    kept.push_str(rest);
    kept
}

/// Where the next mark of a private key begins and ends.
fn key_mark(text: &str, mark: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let begin = from + text[from..].find(mark)?;
        let label = begin + mark.len();
        let dashes = label + text[label..].find("-----")? + "-----".len();
        if text[label..dashes].ends_with(KEY_LABEL) {
            return Some((begin, dashes));
        }
        from = label;
    }
}

fn line(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((begin, end)) = secret(rest) {
        kept.push_str(&rest[..begin]);
        kept.push_str(REMOVED);
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// Where the first secret of a line begins and ends.
fn secret(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let announced = WORDS.iter().filter_map(|word| value_after(text, &lower, word));
    announced.chain(login(text)).min()
}

/// The value after a word and `=` or `:`, quotes around either allowed.
fn value_after(text: &str, lower: &str, word: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let after = from + lower[from..].find(word)? + word.len();
        let gap = text[after..].trim_start_matches(['"', '\'', ' ', '\\']);
        if let Some(value) = gap.strip_prefix(['=', ':']) {
            let value = value.trim_start_matches(' ');
            let quoted = value.starts_with(['"', '\'']);
            let begin = text.len() - value.len() + usize::from(quoted);
            let value = &text[begin..];
            let ends = |c: char| match (quoted, word) {
                (true, _) => matches!(c, '"' | '\'' | '\n'),
                (false, "authorization") => matches!(c, '"' | '\n'),
                (false, _) => c.is_whitespace() || matches!(c, ',' | ';' | '}' | ')' | '"' | '&'),
            };
            let end = begin + value.find(ends).unwrap_or(value.len());
            if end > begin && !value.starts_with(REMOVED) {
                return Some((begin, end));
            }
        }
        from = after;
    }
}

/// `user:password` in `scheme://user:password@host`.
fn login(text: &str) -> Option<(usize, usize)> {
    let begin = text.find("://")? + "://".len();
    let host = text[begin..].find(['/', ' ', '"', '\n']).map_or(text.len(), |end| begin + end);
    let at = begin + text[begin..host].rfind('@')?;
    (at > begin && &text[begin..at] != REMOVED).then_some((begin, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_go_whole_or_in_part() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----";
        assert_eq!(redact(&format!("a\n{key}\nb {key} c")), "a\n[removed]\nb [removed] c");
        assert_eq!(redact("MHcCAQ\n-----END PRIVATE KEY-----\nb"), "[removed]\nb");
        assert_eq!(redact("a\n-----BEGIN RSA PRIVATE KEY-----\nMHcCAQ"), "a\n[removed]");
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        assert_eq!(redact(certificate), certificate);
    }

    #[test]
    fn values_of_secret_words_go() {
        for (text, kept) in [
            ("password=canary next", "password=[removed] next"),
            (r#"{"Password": "canary with blanks", "a": 1}"#, r#"{"Password": "[removed]", "a": 1}"#),
            (
                "lease_token: canary, PASSPHRASE = 'canary'",
                "lease_token: [removed], PASSPHRASE = '[removed]'",
            ),
            ("Authorization: Basic canary==", "Authorization: [removed]"),
            (
                "proxy http://user:canary@p.example.test:3128/x",
                "proxy http://[removed]@p.example.test:3128/x",
            ),
            ("the password does not open the store", "the password does not open the store"),
            ("https://a.example.test/?token=canary&b=c", "https://a.example.test/?token=[removed]&b=c"),
            ("ü password=ü€ ü", "ü password=[removed] ü"),
        ] {
            assert_eq!(redact(text), kept);
        }
    }
}
