//! Two sorted sequences of rows, side by side.

use bytes::Bytes;
use index::StoreError;

type Row = Result<(Bytes, Bytes), StoreError>;

/// How a row is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// It is not there.
    Missing(Bytes),
    /// It is there and should not be.
    Extra(Bytes),
    /// It has another value.
    Other(Bytes),
}

/// The first difference in key order, and how many rows were found up to there; both are read once, row by row. `tick` is
/// called with that number now and then.
pub(super) fn first_difference(
    expected: impl Iterator<Item = Row>,
    found: impl Iterator<Item = Row>,
    tick: &mut dyn FnMut(u64),
) -> Result<(u64, Option<Difference>), StoreError> {
    const TICK: u64 = 1_000_000;
    let mut expected = expected;
    let mut found = found;
    let mut rows = 0;
    loop {
        let (should, is) = (expected.next().transpose()?, found.next().transpose()?);
        let difference = match (should, is) {
            (None, None) => return Ok((rows, None)),
            (Some(should), Some(is)) if should == is => {
                rows += 1;
                if rows.is_multiple_of(TICK) {
                    tick(rows);
                }
                continue;
            }
            (Some((key, _)), None) => Difference::Missing(key),
            (None, Some((key, _))) => Difference::Extra(key),
            (Some((should, _)), Some((is, _))) => match should.cmp(&is) {
                std::cmp::Ordering::Less => Difference::Missing(should),
                std::cmp::Ordering::Equal => Difference::Other(should),
                std::cmp::Ordering::Greater => Difference::Extra(is),
            },
        };
        return Ok((rows, Some(difference)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> impl Iterator<Item = Row> {
        text.split_whitespace()
            .map(|row| {
                let bytes = Bytes::copy_from_slice(row.as_bytes());
                Ok((bytes.slice(..1), bytes.slice(1..)))
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn the_first_difference_is_named() {
        let b = || Bytes::from_static(b"b");
        for (expected, found, difference) in [
            ("", "", (0, None)),
            ("a1 b1", "a1 b1", (2, None)),
            ("a1 b1 c1", "a1 c1", (1, Some(Difference::Missing(b())))),
            ("a1 b1", "a1", (1, Some(Difference::Missing(b())))),
            ("a1 c1", "a1 b1 c2", (1, Some(Difference::Extra(b())))),
            ("a1", "a1 b1", (1, Some(Difference::Extra(b())))),
            ("a1 b1", "a1 b2", (1, Some(Difference::Other(b())))),
        ] {
            let got = first_difference(rows(expected), rows(found), &mut |_| {});
            assert_eq!(got.unwrap(), difference, "{expected} / {found}");
        }
    }
}
