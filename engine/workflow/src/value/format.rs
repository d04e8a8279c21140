//! Format strings: a subset of Java's `MessageFormat` with the English locale (spec 02, section 8.1).

use std::borrow::Borrow;

use proto::littlehorse::VariableValue;
use proto::littlehorse::variable_value::Value;

use super::fault::Fault;
use super::limits::Spent;
use super::text::string_form;

/// Most digits of either part of a number that a pattern can ask for.
const MAX_DIGITS: usize = 340;

/// Replaces the placeholders of `template`.
///
/// # Errors
/// An unmatched `{`, a placeholder that is no index, a sub-format that is not supported or does not fit the argument.
pub(super) fn format<V: Borrow<VariableValue>>(
    template: &str,
    arguments: &[V],
) -> Result<String, Fault> {
    let mut out = String::with_capacity(template.len());
    let mut symbols = template.char_indices().peekable();
    let mut quoted = false;
    let mut spent = Spent::default();
    while let Some((start, symbol)) = symbols.next() {
        match symbol {
            '\'' if symbols.next_if(|(_, next)| *next == '\'').is_some() => out.push('\''),
            '\'' => quoted = !quoted,
            '{' if !quoted => {
                let mut depth = 1;
                let mut end = None;
                for (position, symbol) in symbols.by_ref() {
                    match symbol {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        end = Some(position);
                        break;
                    }
                }
                let end = end.ok_or_else(|| malformed(template, "'{' is not closed"))?;
                let before = out.len();
                placeholder(&mut out, &template[start + 1..end], arguments, template)?;
                spent.add(out.len() - before)?;
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

fn malformed(template: &str, reason: &str) -> Fault {
    Fault::var_sub(format!("Cannot format '{template}': {reason}"))
}

fn placeholder<V: Borrow<VariableValue>>(
    out: &mut String,
    content: &str,
    arguments: &[V],
    template: &str,
) -> Result<(), Fault> {
    let (index, style) = match content.split_once(',') {
        None => (content, None),
        Some((index, style)) => (index, Some(style)),
    };
    let digits = !index.is_empty() && index.bytes().all(|digit| digit.is_ascii_digit());
    let position: usize = index.parse().ok().filter(|_| digits).ok_or_else(|| {
        malformed(
            template,
            &format!("'{{{index}}}' is no index of an argument"),
        )
    })?;
    let style = style.map(|style| {
        Style::parse(style)
            .ok_or_else(|| malformed(template, &format!("unsupported format '{style}'")))
    });
    let style = style.transpose()?;
    let Some(argument) = arguments.get(position) else {
        out.push('{');
        out.push_str(index);
        out.push('}');
        return Ok(());
    };
    let argument: &VariableValue = argument.borrow();
    let number = match (&argument.value, &style) {
        (Some(Value::Int(int)), _) => Number::Int(*int),
        (Some(Value::Double(double)), _) => Number::Double(*double),
        (None, _) => {
            out.push_str("null");
            return Ok(());
        }
        (Some(_), None) => {
            out.push_str(&string_form(argument).unwrap_or_default());
            return Ok(());
        }
        (Some(_), Some(_)) => {
            return Err(malformed(
                template,
                &format!("argument {position} is no number"),
            ));
        }
    };
    out.push_str(&style.unwrap_or(Style::NUMBER).apply(number));
    Ok(())
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Double(f64),
}

/// How to write a number.
#[derive(Clone, Copy)]
struct Style {
    least_integer_digits: usize,
    least_fraction_digits: usize,
    most_fraction_digits: usize,
    /// Digits of a group; 0: no groups.
    group: usize,
    percent: bool,
}

impl Style {
    const NUMBER: Style = Style {
        least_integer_digits: 1,
        least_fraction_digits: 0,
        most_fraction_digits: 3,
        group: 3,
        percent: false,
    };

    /// `number`, `number,integer`, `number,percent`, or `number,` and a pattern of `#`, `0`, `,` and `.`.
    fn parse(text: &str) -> Option<Style> {
        let (kind, style) = match text.split_once(',') {
            None => (text, ""),
            Some((kind, style)) => (kind, style),
        };
        if kind.trim() != "number" {
            return None;
        }
        match style.trim() {
            "" => Some(Style::NUMBER),
            "integer" => Some(Style {
                most_fraction_digits: 0,
                ..Style::NUMBER
            }),
            "percent" => Some(Style {
                most_fraction_digits: 0,
                percent: true,
                ..Style::NUMBER
            }),
            pattern => Style::pattern(pattern),
        }
    }

    /// `#` before `0` in the integer, after it in the fraction; at least one digit place in all.
    fn pattern(pattern: &str) -> Option<Style> {
        let (integer, fraction) = pattern.split_once('.').unwrap_or((pattern, ""));
        let places: String = integer.chars().filter(|symbol| *symbol != ',').collect();
        let optional = places.trim_end_matches('0');
        let required = fraction.trim_end_matches('#');
        let fine = optional.bytes().all(|symbol| symbol == b'#')
            && required.bytes().all(|symbol| symbol == b'0')
            && !(places.is_empty() && fraction.is_empty())
            && pattern.len() <= MAX_DIGITS;
        if !fine {
            return None;
        }
        let group = integer.rsplit_once(',').map_or(0, |(_, last)| last.len());
        if integer.contains(',') && group == 0 {
            return None;
        }
        // Without any 0, a pattern with a point still writes one digit before it, or after it if there are no places before.
        let bare = pattern.contains('.') && !pattern.contains('0');
        Some(Style {
            least_integer_digits: (places.len() - optional.len())
                .max(usize::from(bare && !places.is_empty())),
            least_fraction_digits: required.len().max(usize::from(bare && places.is_empty())),
            most_fraction_digits: fraction.len(),
            group,
            percent: false,
        })
    }

    fn apply(self, number: Number) -> String {
        let digits = match number {
            Number::Int(int) => {
                let int = i128::from(int) * if self.percent { 100 } else { 1 };
                int.to_string()
            }
            Number::Double(double) if double.is_nan() => return "NaN".to_owned(),
            Number::Double(double) => {
                let double = if self.percent { double * 100.0 } else { double };
                if double.is_infinite() {
                    format!("{}\u{221E}", if double < 0.0 { "-" } else { "" })
                } else {
                    decimal(double, self.most_fraction_digits)
                }
            }
        };
        let (sign, digits) = digits
            .strip_prefix('-')
            .map_or(("", digits.as_str()), |digits| ("-", digits));
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let integer = integer.trim_start_matches('0');
        let integer = format!("{integer:0>width$}", width = self.least_integer_digits);
        let mut out = sign.to_owned();
        for (position, digit) in integer.chars().enumerate() {
            let left = integer.chars().count() - position;
            if position > 0 && self.group > 0 && left % self.group == 0 {
                out.push(',');
            }
            out.push(digit);
        }
        let fraction = format!("{fraction:0<width$}", width = self.least_fraction_digits);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(&fraction);
        } else if integer.is_empty() {
            out.push('0');
        }
        if self.percent {
            out.push('%');
        }
        out
    }
}

/// Decimal digits, half-even at the last place. Beyond 2^53, where a double has no fraction, the shortest digits and
/// zeros instead of the digits of the binary value.
fn decimal(double: f64, places: usize) -> String {
    const INTEGERS: f64 = 9_007_199_254_740_992.0;
    if double.abs() >= INTEGERS {
        return format!("{double}");
    }
    format!("{double:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{boolean, double, int, null, text};
    use proptest::prelude::*;

    fn formatted(template: &str, arguments: &[VariableValue]) -> Result<String, Fault> {
        format(template, arguments)
    }

    #[test]
    fn placeholders_and_quotes() {
        let arguments = [text("a"), text("b")];
        for (template, expected) in [
            ("{0}{0}", "aa"),
            ("{1}-{0}", "b-a"),
            ("{2}", "{2}"),
            ("it's {0}", "its {0}"),
            ("it''s {0}", "it's a"),
            ("'{0}'", "{0}"),
            ("'{''}'", "{'}"),
            ("} {0} }", "} a }"),
            ("", ""),
        ] {
            assert_eq!(
                formatted(template, &arguments).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
        for bad in [
            "{",
            "{0",
            "{}",
            "{name}",
            "{-1}",
            "{ 0}",
            "{0 }",
            "{+0}",
            "{0,date}",
            "{0,choice,0#a}",
            "{0,number}",
        ] {
            assert!(formatted(bad, &arguments).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        for (template, argument, expected) in [
            ("{0}", int(1_234_567), "1,234,567"),
            ("{0}", int(-999), "-999"),
            ("{0}", int(i64::MIN), "-9,223,372,036,854,775,808"),
            ("{0}", double(3.218_59), "3.219"),
            ("{0}", double(2.0), "2"),
            ("{0}", double(1e-10), "0"),
            ("{0}", double(0.0625), "0.062"),
            ("{0}", double(1e16), "10,000,000,000,000,000"),
            ("{0}", double(-1234.5), "-1,234.5"),
            ("{0}", null(), "null"),
            ("{0}", boolean(true), "true"),
            ("{0,number}", int(1234), "1,234"),
            ("{0,number,#}", int(1_234_567), "1234567"),
            ("{0,number,#}", int(0), "0"),
            ("{0,number,integer}", double(2.5), "2"),
            ("{0,number,percent}", double(0.25), "25%"),
            ("{0,number,percent}", int(2), "200%"),
            ("{0,number,0.00}", double(1.5), "1.50"),
            ("{0,number,#,##0.0#}", double(1234.567), "1,234.57"),
            ("{0,number,000}", int(7), "007"),
            ("{0,number,#.##}", double(0.5), "0.5"),
            ("{0,number,#.00}", double(0.5), ".50"),
            ("{0,number}", null(), "null"),
            ("{0}", double(f64::INFINITY), "\u{221E}"),
        ] {
            assert_eq!(
                formatted(template, &[argument]).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
        assert!(formatted("{0,number,abc}", &[int(1)]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(template in "[{}',0-2a-c#.number]{0,20}", any in ".*", number: f64) {
            let _ = formatted(&template, &[double(number), int(1)]);
            let _ = formatted(&any, &[double(number)]);
        }
    }
}
