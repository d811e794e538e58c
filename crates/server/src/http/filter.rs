//! The query language: text to a tree (operator contract, chapter 2.2).
//!
//! ```text
//! expression := term { ("AND" | "OR") term }        AND binds tighter than OR
//! term       := ["NOT"] ( "(" expression ")" | field operator value )
//! value      := '"' text '"' | bare word | NULL      "" inside quotes stands for one quote
//! ```

use super::problem::{Failure, shortened};

/// Longest filter, in bytes.
const MAX_LENGTH: usize = 4_000;
/// Deepest nesting of brackets.
const MAX_DEPTH: usize = 32;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// All hold.
    And(Vec<Expression>),
    /// One holds.
    Or(Vec<Expression>),
    /// It does not hold.
    Not(Box<Expression>),
    /// A field is compared.
    Compare(Comparison),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) field: String,
    pub(super) operator: Operator,
    /// `None` is NULL.
    pub(super) value: Option<String>,
    /// Where it stands, counted in characters from 1.
    pub(super) position: usize,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
}

impl Operator {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "-eq" => Self::Equal,
            "-ne" => Self::NotEqual,
            "-lt" => Self::Less,
            "-le" => Self::LessOrEqual,
            "-gt" => Self::Greater,
            "-ge" => Self::GreaterOrEqual,
            "-contains" => Self::Contains,
            "-notcontains" => Self::NotContains,
            "-startswith" => Self::StartsWith,
            "-endswith" => Self::EndsWith,
            _ => return None,
        })
    }
}

/// Parses a filter.
pub(super) fn parse(text: &str) -> Result<Expression, Failure> {
    if text.len() > MAX_LENGTH {
        return Err(Failure::invalid(format!("QueryString is longer than {MAX_LENGTH} bytes")));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, next: 0, end: text.trim_end().chars().count() + 1 };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(refuse(token.position, "expected AND, OR or the end")),
    }
}

fn refuse(position: usize, reason: &str) -> Failure {
    Failure::invalid(format!("QueryString, character {position}: {reason}"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Quoted(String),
    Word(String),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    position: usize,
}

fn tokens(text: &str) -> Result<Vec<Token>, Failure> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().enumerate().map(|(index, c)| (index + 1, c)).peekable();
    while let Some((position, c)) = rest.next() {
        let kind = match c {
            c if c.is_whitespace() => continue,
            '(' => Kind::Open,
            ')' => Kind::Close,
            '"' => {
                let mut value = String::new();
                loop {
                    match rest.next() {
                        None => return Err(refuse(position, "this quote is not closed")),
                        Some((_, '"')) if rest.peek().is_some_and(|(_, c)| *c == '"') => {
                            rest.next();
                            value.push('"');
                        }
                        Some((_, '"')) => break,
                        Some((_, c)) => value.push(c),
                    }
                }
                Kind::Quoted(value)
            }
            first => {
                let mut word = String::from(first);
                while let Some((_, c)) =
                    rest.next_if(|(_, c)| !c.is_whitespace() && !matches!(c, '(' | ')' | '"'))
                {
                    word.push(c);
                }
                Kind::Word(word)
            }
        };
        tokens.push(Token { kind, position });
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// The place behind the last character.
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token { kind: Kind::Word(word), .. }) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, Failure> {
        let mut alternatives = vec![self.conjunction(depth)?];
        while self.keyword("OR") {
            alternatives.push(self.conjunction(depth)?);
        }
        Ok(single_or(alternatives, Expression::Or))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Expression, Failure> {
        let mut parts = vec![self.term(depth)?];
        while self.keyword("AND") {
            parts.push(self.term(depth)?);
        }
        Ok(single_or(parts, Expression::And))
    }

    fn term(&mut self, depth: usize) -> Result<Expression, Failure> {
        if depth > MAX_DEPTH {
            let position = self.peek().map_or(self.end, |token| token.position);
            return Err(refuse(position, "nested too deeply"));
        }
        if self.keyword("NOT") {
            return Ok(Expression::Not(Box::new(self.term(depth + 1)?)));
        }
        match self.take() {
            Some(Token { kind: Kind::Open, position }) => {
                let inner = self.expression(depth + 1)?;
                match self.take() {
                    Some(Token { kind: Kind::Close, .. }) => Ok(inner),
                    _ => Err(refuse(position, "this bracket is not closed")),
                }
            }
            Some(Token { kind: Kind::Word(field), position }) => self.comparison(field, position),
            Some(token) => Err(refuse(token.position, "expected a field name or a bracket")),
            None => Err(refuse(self.end, "expected a field name or a bracket, found the end")),
        }
    }

    fn comparison(&mut self, field: String, position: usize) -> Result<Expression, Failure> {
        let operator = match self.take() {
            Some(Token { kind: Kind::Word(word), position }) => Operator::parse(&word)
                .ok_or_else(|| refuse(position, &format!("'{}' is not an operator", shortened(&word))))?,
            Some(token) => return Err(refuse(token.position, "expected an operator such as -eq")),
            None => return Err(refuse(self.end, "expected an operator such as -eq, found the end")),
        };
        let value = match self.take() {
            Some(Token { kind: Kind::Quoted(text), .. }) => Some(text),
            Some(Token { kind: Kind::Word(word), .. }) if word.eq_ignore_ascii_case("NULL") => None,
            Some(Token { kind: Kind::Word(word), .. }) => Some(word),
            Some(token) => return Err(refuse(token.position, "expected a value")),
            None => return Err(refuse(self.end, "expected a value, found the end")),
        };
        Ok(Expression::Compare(Comparison { field, operator, value, position }))
    }
}

fn single_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let Expression::And(parts) = parse(r#"(A -eq "x")AND B -ne NULL"#).unwrap() else { panic!() };
        assert_eq!(parts.len(), 2);
        let Expression::Or(parts) = parse(r#"a -eq 1 or b -contains "q""q" and NOT c -lt 3"#).unwrap() else {
            panic!()
        };
        assert!(matches!(&parts[1], Expression::And(inner) if matches!(&inner[1], Expression::Not(_))));
        let Expression::And(parts) = parse(r#"A -eq "1"AND B -eq "2""#).unwrap() else { panic!() };
        assert!(matches!(&parts[0], Expression::Compare(c) if c.value.as_deref() == Some("1")));
    }

    #[test]
    fn a_refusal_points_at_the_place() {
        let place = |text: &str| parse(text).unwrap_err().message().to_owned();
        assert!(place("A -like 3").contains("character 3"));
        assert!(place(r#"A -eq "x"#).contains("character 7"));
        assert!(place("(A -eq 1").contains("character 1"));
        assert!(place("A -eq 1 B").contains("character 9"));
        assert!(place("").contains("found the end"));
        assert!(place(&"(".repeat(200)).contains("deeply"));
        assert!(place(&"NOT ".repeat(200)).contains("deeply"));
    }
}
