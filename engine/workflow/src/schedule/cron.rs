//! The cron dialect of schedules (spec 05, section 7.3): five fields, no extensions.
//!
//! The fields are checked here, strictly, since every parser accepts more; the calendar is croner's, on local times
//! without a zone, and the zones are jiff's with the database that is compiled in, so that every server finds the same
//! times.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// A schedule without a match in this time has none (spec 05, section 7.3).
const HORIZON: TimeDelta = TimeDelta::days(36_525);
/// No clock is set back by more than this at once.
const FOLD: TimeDelta = TimeDelta::hours(3);

/// When something happens again and again.
pub struct Times {
    cron: Cron,
    zone: TimeZone,
    /// Some hours of the day are left out: what falls into an hour that comes twice happens once.
    is_sparse: bool,
}

struct Field {
    name: &'static str,
    values: RangeInclusive<u32>,
    names: &'static [&'static str],
    /// What the first of `names` stands for.
    first: u32,
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        values: 0..=59,
        names: &[],
        first: 0,
    },
    Field {
        name: "hour",
        values: 0..=23,
        names: &[],
        first: 0,
    },
    Field {
        name: "day of month",
        values: 1..=31,
        names: &[],
        first: 0,
    },
    Field {
        name: "month",
        values: 1..=12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        first: 1,
    },
    Field {
        name: "day of week",
        values: 0..=7,
        names: &["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
        first: 1,
    },
];

/// Whether there is a time zone of this name, as in `Europe/Berlin`.
pub fn is_time_zone(name: &str) -> bool {
    TimeZoneDatabase::bundled().get(name).is_ok()
}

impl Times {
    /// Reads an expression, meant in a time zone.
    ///
    /// # Errors
    /// What is wrong with it, by field.
    pub fn new(expression: &str, time_zone: &str) -> Result<Times, String> {
        let zone = TimeZoneDatabase::bundled()
            .get(time_zone)
            .map_err(|_| format!("there is no time zone {time_zone:?}"))?;
        let texts: Vec<&str> = expression.split_whitespace().collect();
        if texts.len() != FIELDS.len() {
            return Err(format!(
                "it has {} fields, not the five of minute, hour, day of month, month, day of week",
                texts.len()
            ));
        }
        let mut plain = String::new();
        let mut is_sparse = false;
        for (field, text) in FIELDS.iter().zip(texts) {
            let values = field
                .read(&text.to_ascii_uppercase())
                .map_err(|why| format!("{} {text:?}: {why}", field.name))?;
            if !plain.is_empty() {
                plain.push(' ');
            }
            match values {
                None => plain.push('*'),
                Some(values) => {
                    is_sparse |= field.name == "hour" && values.len() < 24;
                    for (at, value) in values.iter().enumerate() {
                        let comma = if at > 0 { "," } else { "" };
                        // Writing to a string does not fail.
                        let _ = write!(plain, "{comma}{value}");
                    }
                }
            }
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&plain)
            .map_err(|error| error.to_string())?;
        Ok(Times {
            cron,
            zone,
            is_sparse,
        })
    }

    /// The first time after `after_ms`, both in milliseconds since the epoch. `None`: there is none within a hundred
    /// years.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        let local = naive(self.zone.to_datetime(after))?;
        // Where a clock is set back, local times come twice, and a later one may be earlier in truth.
        let doubt = if self.is_set_near(after) {
            FOLD
        } else {
            TimeDelta::zero()
        };
        let horizon = local.checked_add_signed(HORIZON)?;
        let mut at = local.checked_sub_signed(doubt)?;
        let mut best: Option<(i64, NaiveDateTime)> = None;
        loop {
            if let Some((ms, found)) = best
                && at >= found.checked_add_signed(doubt)?
            {
                return Some(ms);
            }
            at = self.cron.find_next_occurrence(&at, false).ok()?;
            if at > horizon {
                return best.map(|(ms, _)| ms);
            }
            for ms in self.instants(at)?.into_iter().flatten() {
                if ms > after_ms && best.is_none_or(|(earliest, _)| ms < earliest) {
                    best = Some((ms, at));
                }
            }
        }
    }

    /// Whether the zone's clocks are set within [`FOLD`] of a time.
    fn is_set_near(&self, time: Timestamp) -> bool {
        let near = |transition: Option<Timestamp>| {
            transition
                .is_some_and(|at| (at.as_second() - time.as_second()).abs() <= FOLD.num_seconds())
        };
        near(self.zone.preceding(time).next().map(|t| t.timestamp()))
            || near(self.zone.following(time).next().map(|t| t.timestamp()))
    }

    /// When a local time is: never, once or twice.
    fn instants(&self, local: NaiveDateTime) -> Option<[Option<i64>; 2]> {
        let civil = civil(local)?;
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let at = |offset: jiff::tz::Offset| {
            let time = offset.to_timestamp(civil).ok();
            time.map(Timestamp::as_millisecond)
        };
        Some(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { before, .. } if self.is_sparse => [at(before), None],
            AmbiguousOffset::Fold { before, after } => [at(before), at(after)],
        })
    }
}

impl Field {
    /// The values that a field's text means, ascending; `None`: all.
    fn read(&self, text: &str) -> Result<Option<Vec<u32>>, String> {
        let mut values = Vec::new();
        let mut is_all = false;
        for part in text.split(',') {
            if matches!(part, "*" | "*/1" | "/1") {
                is_all = true;
            }
            self.read_part(part, &mut values)?;
        }
        // Sunday is 0 and 7.
        if self.name == "day of week" {
            for value in &mut values {
                *value %= 7;
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok((!is_all).then_some(values))
    }

    fn read_part(&self, part: &str, values: &mut Vec<u32>) -> Result<(), String> {
        let (span, step) = match part.split_once('/') {
            None => (part, None),
            Some((span, step)) => (span, Some(self.step(step)?)),
        };
        let (first, last) = match span {
            "*" => (*self.values.start(), self.most()),
            "" if step.is_some() => (*self.values.start(), self.most()),
            _ => {
                let (first, last) = span.split_once('-').unwrap_or((span, ""));
                let first = self.value(first)?;
                let last = match last {
                    "" if span.ends_with('-') => self.value("")?,
                    "" if step.is_some() => self.most(),
                    "" => first,
                    last => self.value(last)?,
                };
                (first, last)
            }
        };
        if first > last {
            return Err(format!("the range {span} ends before it begins"));
        }
        values.extend((first..=last).step_by(step.unwrap_or(1) as usize));
        Ok(())
    }

    /// The largest value, each counted once.
    fn most(&self) -> u32 {
        match self.name {
            "day of week" => 6,
            _ => *self.values.end(),
        }
    }

    fn step(&self, text: &str) -> Result<u32, String> {
        let most = *self.values.end();
        match digits(text) {
            Some(step) if (1..=most).contains(&step) => Ok(step),
            _ => Err(format!("the step {text:?} is not from 1 to {most}")),
        }
    }

    /// A number or a name. In a range, `SUN` comes after `SAT`.
    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| *name == text);
        let value = match named {
            Some(at) => Some(self.first + at as u32),
            None => digits(text),
        };
        value
            .filter(|value| self.values.contains(value))
            .ok_or_else(|| {
                let (least, most) = (self.values.start(), self.values.end());
                format!("{text:?} is not a value from {least} to {most}")
            })
    }
}

fn digits(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn naive(civil: DateTime) -> Option<NaiveDateTime> {
    NaiveDate::from_ymd_opt(
        i32::from(civil.year()),
        civil.month() as u32,
        civil.day() as u32,
    )?
    .and_hms_opt(
        civil.hour() as u32,
        civil.minute() as u32,
        civil.second() as u32,
    )
}

fn civil(naive: NaiveDateTime) -> Option<DateTime> {
    use chrono::Datelike;
    DateTime::new(
        i16::try_from(naive.year()).ok()?,
        naive.month() as i8,
        naive.day() as i8,
        naive.hour() as i8,
        naive.minute() as i8,
        naive.second() as i8,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests;
