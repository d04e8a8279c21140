//! Holding callers to their quotas (spec 08, sections 5.2 and 5.3).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use proto::littlehorse::{PrincipalId, Quota, QuotaId, TenantId};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use workflow::key;

use super::{Caller, Service};

/// Length of a window.
const WINDOW: Duration = Duration::from_millis(500);
/// Debts are forgotten beyond so many windows.
const MAX_DEBT: f64 = 60.0;

/// The windows of all quotas that were charged here. In memory: a restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<BTreeMap<Bytes, Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    rate: i32,
    start: Instant,
    remaining: f64,
    debt: f64,
}

impl Window {
    fn new(rate: i32, now: Instant) -> Window {
        Window {
            rate,
            start: now,
            remaining: permits(rate),
            debt: 0.0,
        }
    }

    /// One more call: how long it has to wait, if it is refused.
    fn charge(&mut self, rate: i32, now: Instant) -> Option<Duration> {
        if rate != self.rate {
            *self = Window::new(rate, now);
        }
        let permits = permits(rate);
        let passed = now.saturating_duration_since(self.start);
        let windows = (passed.as_millis() / WINDOW.as_millis()) as f64;
        if windows > 0.0 {
            self.start = now;
            self.remaining = permits;
            self.debt = (self.debt - permits * windows).clamp(0.0, MAX_DEBT * permits);
        }
        self.remaining -= 1.0;
        if self.remaining >= 0.0 {
            return None;
        }
        self.debt += 1.0;
        let delay = (500.0 * (1.0 + self.debt / permits)).floor();
        Some(Duration::from_millis(delay as u64))
    }
}

/// Calls in one window.
fn permits(rate: i32) -> f64 {
    (f64::from(rate) * 0.5).max(1.0).ceil()
}

impl Service {
    /// Charges a call to the quotas of its tenant and of its principal there, to both even if one refuses.
    pub(super) fn charge(&self, caller: &Caller) -> Result<(), Status> {
        if !caller.writes() {
            return Ok(());
        }
        let of = |principal: Option<PrincipalId>| {
            key::quota(&QuotaId {
                tenant: Some(TenantId {
                    id: caller.tenant.clone(),
                }),
                principal,
            })
        };
        let view = self.metadata();
        let mut delay = None;
        for key in [
            of(None),
            of(Some(PrincipalId {
                id: caller.principal.clone(),
            })),
        ] {
            let quota = view.get_decoded(&key, |raw| Quota::decode(raw).ok());
            let Some(quota) = quota else { continue };
            let now = Instant::now();
            let rate = quota.write_requests_per_second;
            let mut windows = self.quotas.0.lock();
            let window = windows.entry(key).or_insert_with(|| Window::new(rate, now));
            delay = delay.max(window.charge(rate, now));
        }
        match delay {
            None => Ok(()),
            Some(delay) => Err(Status::with_error_details(
                Code::ResourceExhausted,
                format!("Quota exceeded. Retry after {}ms.", delay.as_millis()),
                ErrorDetails::with_retry_info(Some(delay)),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long each of so many calls has to wait, in milliseconds; 0: not at all.
    fn delays(window: &mut Window, rate: i32, calls: usize, now: Instant) -> Vec<u128> {
        let mut delays = Vec::new();
        for _ in 0..calls {
            let delay = window.charge(rate, now);
            delays.push(delay.map_or(0, |delay| delay.as_millis()));
        }
        delays
    }

    #[test]
    fn windows_debts_and_delays() {
        let now = Instant::now();
        let mut window = Window::new(10, now);
        // spec 08-38
        assert_eq!(
            delays(&mut window, 10, 8, now),
            [0, 0, 0, 0, 0, 600, 700, 800]
        );
        let later = now + Duration::from_millis(600);
        assert_eq!(delays(&mut window, 10, 1, later), [0]);
        // Small ones: whole windows.
        let mut window = Window::new(2, now);
        assert_eq!(delays(&mut window, 2, 4, now), [0, 1000, 1500, 2000]);
        // Another rate holds at once.
        let mut window = Window::new(1000, now);
        assert_eq!(delays(&mut window, 1000, 1, now), [0]);
        assert_eq!(delays(&mut window, 2, 2, now), [0, 1000]);
        // Debts are paid by time, and have an end.
        let mut window = Window::new(2, now);
        delays(&mut window, 2, 1000, now);
        let later = now + WINDOW;
        assert_eq!(delays(&mut window, 2, 2, later), [0, 31_000]);
        let much_later = later + Duration::from_mins(1);
        assert_eq!(delays(&mut window, 2, 2, much_later), [0, 1000]);
    }
}
