//! LIKE by the rules of PostgreSQL: `%` any text, `_` one character, `\` takes the next one as it is.

/// A pattern that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Is(char),
}

impl Pattern {
    /// Reads a pattern; none for one that ends with its escape, which the database refuses when it gets there.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '%' if tokens.last() == Some(&Token::Any) => continue,
                '%' => Token::Any,
                '_' => Token::One,
                '\\' => Token::Is(rest.next()?),
                c => Token::Is(c),
            });
        }
        Some(Self(tokens))
    }

    /// Whether a text is like it. It goes back to the last `%` at most, so that time is at worst the product of the lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let tokens = &self.0;
        let (mut at, mut rest) = (0, text.chars());
        let mut back: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (tokens.get(at), rest.next()) {
                (Some(Token::Any), _) => {
                    at += 1;
                    rest = before.clone();
                    back = Some((at, before));
                    if at == tokens.len() {
                        return true;
                    }
                }
                (None, None) => return true,
                (Some(Token::One), Some(_)) => at += 1,
                (Some(Token::Is(c)), Some(d)) if *c == d => at += 1,
                (_, None) => return false,
                (_, Some(_)) => {
                    let Some((after, from)) = &mut back else { return false };
                    from.next();
                    (at, rest) = (*after, from.clone());
                }
            }
        }
    }

    /// Whether the pattern asks for a character.
    pub(super) fn asks_for(&self, wanted: impl Fn(char) -> bool) -> bool {
        self.0.iter().any(|token| matches!(token, Token::Is(c) if wanted(*c)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_manual_says() {
        let like = |text, pattern| Pattern::read(pattern).expect("legal").matches(text);
        for (text, pattern) in [
            ("abc", "abc"),
            ("abc", "a%"),
            ("abc", "_b_"),
            ("abc", "%"),
            ("", "%"),
            ("", ""),
            ("aXbXc", "a%X%c"),
            ("aaab", "%a%ab"),
            ("äöü", "_ö_"),
            ("a%c", r"a\%c"),
            ("a\\", r"a\\"),
            ("mississippi", "m%iss%pi"),
        ] {
            assert!(like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [
            ("abc", "b"),
            ("abc", "c%"),
            ("abc", "____"),
            ("abc", r"a\%c"),
            ("ABC", "abc"),
            ("a\n", "a"),
            ("mississippi", "m%iss%pa"),
        ] {
            assert!(!like(text, pattern), "{text} {pattern}");
        }
        assert_eq!(Pattern::read(r"abc\"), None);
    }
}
