//! The text forms of ids (spec 01, section 2.2): `Display` and `FromStr` of the id messages.
//!
//! The wire uses the messages; the text forms appear in error messages, in casts of `WF_RUN_ID` to and from `STR`, in
//! arguments of tools and as keys of output topics. `/` joins the components, versions are padded to five digits.
//!
//! Writing never fails: a component that is missing in the message is written as empty text. Parsing is strict where
//! the form alone can tell right from wrong, and does not apply the rule for names.

mod definition;
mod metric;
mod run;
mod wf_run;

pub use wf_run::MAX_ANCESTORS;

use std::fmt;

/// Most characters of a bad text that an error repeats.
const MAX_QUOTED: usize = 100;

/// A text that is not the text form of an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {id}: expected {form}")]
pub struct ParseError {
    id: &'static str,
    form: &'static str,
    text: String,
}

impl ParseError {
    fn new(id: &'static str, form: &'static str, text: &str) -> Self {
        let text = text.chars().take(MAX_QUOTED).collect();
        Self { id, form, text }
    }
}

/// Implements `Display` and `FromStr` of an id message: its name, its form, how to write it, how to parse it.
macro_rules! text_form {
    ($id:ident, $form:literal, |$this:ident, $f:ident| $write:expr, |$text:ident| $parse:expr $(,)?) => {
        #[doc = concat!("Text form: `", $form, "`.")]
        impl ::std::fmt::Display for crate::littlehorse::$id {
            fn fmt(&self, $f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let $this = self;
                $write
            }
        }

        #[doc = concat!("Text form: `", $form, "`.")]
        impl ::std::str::FromStr for crate::littlehorse::$id {
            type Err = crate::id::ParseError;

            fn from_str($text: &str) -> Result<Self, Self::Err> {
                let parse = || -> Option<Self> { $parse };
                parse().ok_or_else(|| crate::id::ParseError::new(stringify!($id), $form, $text))
            }
        }
    };
}
use text_form;

/// Writes a part of an id that a message may lack.
struct Part<'a, T>(&'a Option<T>);

impl<T: fmt::Display> fmt::Display for Part<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |part| part.fmt(f))
    }
}

/// A component that must be there and holds no separator.
fn component(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('/')).then(|| text.to_owned())
}

/// A number without sign. Leading zeros are allowed.
fn number(text: &str) -> Option<i32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The text before the first slash, between the slashes, and after the last one.
fn outer_split(text: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = text.split_once('/')?;
    let (middle, last) = rest.rsplit_once('/')?;
    Some((first, middle, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    /// Asserts that `id` is written as `text`, and `text` parsed as `id`.
    pub(super) fn same<T>(id: &T, text: &str)
    where
        T: Display + Debug + PartialEq + FromStr<Err = ParseError>,
    {
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse::<T>().as_ref(), Ok(id));
    }

    /// Asserts that none of the texts is parsed.
    pub(super) fn refused<T>(texts: &[&str])
    where
        T: Debug + FromStr<Err = ParseError>,
    {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_plain_digits() {
        assert_eq!(number("007"), Some(7));
        assert_eq!(number("2147483647"), Some(i32::MAX));
        for bad in ["", "-1", "+1", " 1", "2147483648", "1a", "\u{663}"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn errors_tell_the_form_and_quote_a_bounded_text() {
        let text = "x".repeat(10_000);
        let error = text
            .parse::<crate::littlehorse::NodeRunId>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("is not a NodeRunId"), "{error}");
        assert!(
            error.contains("<wfRunId>/<threadRunNumber>/<position>"),
            "{error}"
        );
        assert!(error.len() < 300, "{error}");
    }
}
