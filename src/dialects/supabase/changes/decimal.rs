//! Numbers as decimals of any size, compared by their digits: no number of the database is too long or too precise.

use std::cmp::Ordering;

/// Compares two numbers as JSON has them, with the words that stand for what JSON has no number for; none for what is
/// no such thing. NaN is the greatest and equal to itself, as the database has it.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Number::read(one)?, Number::read(other)?);
    Some(one.rank().cmp(&other.rank()).then_with(|| match (one, other) {
        (Number::Finite(one), Number::Finite(other)) => one.cmp(&other),
        _ => Ordering::Equal,
    }))
}

enum Number<'a> {
    Least,
    Finite(Decimal<'a>),
    Greatest,
    Nan,
}

impl<'a> Number<'a> {
    fn read(text: &'a str) -> Option<Self> {
        Some(match text.trim_matches('"') {
            "NaN" => Self::Nan,
            "Infinity" => Self::Greatest,
            "-Infinity" => Self::Least,
            digits => Self::Finite(Decimal::read(digits)?),
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Least => 0,
            Self::Finite(_) => 1,
            Self::Greatest => 2,
            Self::Nan => 3,
        }
    }
}

/// Digits before and after the point, without zeros that say nothing.
#[derive(PartialEq, Eq)]
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole, fraction })
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.negative != other.negative {
            return other.negative.cmp(&self.negative);
        }
        let size = (self.whole.len(), self.whole, self.fraction).cmp(&(
            other.whole.len(),
            other.whole,
            other.fraction,
        ));
        if self.negative { size.reverse() } else { size }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        let ascending = [
            "\"-Infinity\"",
            "-12345678901234567890.5",
            "-10",
            "-9.99",
            "-0.001",
            "0",
            "0.0000000000000000000001",
            "0.1",
            "1",
            "1.5",
            "9",
            "10",
            "12345678901234567890.123400",
            "12345678901234567890.1235",
            "\"Infinity\"",
            "\"NaN\"",
        ];
        for (nth, one) in ascending.iter().enumerate() {
            for (mth, other) in ascending.iter().enumerate() {
                assert_eq!(compare(one, other), Some(nth.cmp(&mth)), "{one} {other}");
            }
        }
        for (one, other) in [("-0", "0.00"), ("1.50", "1.5"), ("007", "7")] {
            assert_eq!(compare(one, other), Some(Ordering::Equal), "{one} {other}");
        }
        for odd in ["", "-", ".5", "1e5", "true", "null", "1.2.3", "+1", "\"x\""] {
            assert_eq!(compare(odd, "1"), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_compare_as_they_do_in_rust(one: i64, other: i64) {
            prop_assert_eq!(compare(&one.to_string(), &other.to_string()), Some(one.cmp(&other)));
        }

        #[test]
        fn any_text_is_compared_or_not(one in ".*", other in ".*") {
            let _ = compare(&one, &other);
        }
    }
}
