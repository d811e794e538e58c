//! Just enough of Rust's grammar: comments, literals, words and paths. It knows no files.

/// What to do with literal texts in a source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strings {
    /// Leave them.
    Kept,
    /// Take them out.
    Dropped,
}

/// First names of what follows `crate::`: one name, or those of a group.
pub(crate) fn first_segments(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return words(path).first().map(|w| (*w).to_owned()).into_iter().collect();
    };
    let (mut depth, mut expected, mut found) = (0, true, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            first if depth == 0 && expected && is_word(first) => {
                found.extend(words(&group[at..]).first().map(|word| (*word).to_owned()));
                expected = false;
            }
            _ => {}
        }
    }
    found
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split(|character| !is_word(character)).filter(|word| !word.is_empty()).collect()
}

/// Rust source without comments, and with or without what stands in its string literals. Lines stay lines.
pub(crate) fn without_comments(source: &str, strings: Strings) -> String {
    let (mut rest, mut code) = (source, String::with_capacity(source.len()));
    while let Some(first) = rest.chars().next() {
        let after_word = code.ends_with(is_word);
        let (length, keep) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else if let Some(length) = literal(rest, after_word) {
            (length, strings == Strings::Kept)
        } else {
            (first.len_utf8(), true)
        };
        let (piece, following) = rest.split_at(length);
        if keep {
            code.push_str(piece);
        } else {
            code.extend(piece.chars().filter(|character| *character == '\n'));
        }
        rest = following;
    }
    code
}

/// Length of the block comment at the beginning, inner ones included.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[..at + 1].ends_with("*/") && at > 2 {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    text.len()
}

/// Length of the string or character literal at the beginning, if there is one.
fn literal(text: &str, after_word: bool) -> Option<usize> {
    if let Some(raw) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')).filter(|_| !after_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let (start, end) = (text.len() - raw.len() + hashes + 1, format!("\"{}", "#".repeat(hashes)));
            return Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
        }
    }
    let mut characters = text.char_indices();
    let (_, quote) = characters.next().filter(|(_, first)| *first == '"' || *first == '\'')?;
    if quote == '\'' && !text[1..].starts_with('\\') {
        // 'x' is a character; 'x without a second quote is a lifetime.
        let (_, inner) = characters.next()?;
        return text[1 + inner.len_utf8()..].starts_with('\'').then_some(2 + inner.len_utf8());
    }
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            end if end == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

#[test]
fn comments_and_strings_are_told_apart() {
    let source = "a/*x/*y*/z*/b \"// \\\" c\" // d\n'\"' e 'f r#\"g\"h\"# i";
    assert_eq!(without_comments(source, Strings::Kept), "ab \"// \\\" c\" \n'\"' e 'f r#\"g\"h\"# i");
    assert_eq!(without_comments(source, Strings::Dropped), "ab  \n e 'f  i");
}
