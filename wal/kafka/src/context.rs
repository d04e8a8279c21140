//! What librdkafka tells beside results: errors of connections, log lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What the clients of one log have heard.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// The last thing that only an operator can mend.
    refusal: Mutex<Option<String>>,
    /// The last error of any kind.
    last: Mutex<Option<String>>,
    /// No broker can be reached.
    pub(crate) down: AtomicBool,
    /// Perhaps no broker can be reached: brokers also close connections that rest.
    pub(crate) suspect: AtomicBool,
    /// How often a transaction had to wait for the markers of the one before it; counted with `debug=eos` only.
    pub(crate) concurrent: AtomicU64,
}

impl Trouble {
    fn hear(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        *self.last.lock() = Some(reason.to_owned());
        match code {
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::Resolve,
            ) => *self.refusal.lock() = Some(reason.to_owned()),
            Some(RDKafkaErrorCode::AllBrokersDown) => self.suspect.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    /// The most telling reason why nothing works.
    pub(crate) fn reason(&self) -> Option<String> {
        let refusal = self.refusal.lock().clone();
        refusal.or_else(|| self.last.lock().clone())
    }

    /// Whether the brokers refuse who we say we are.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refusal.lock().clone()
    }
}

/// Of one client.
#[derive(Debug)]
pub(crate) struct Context {
    trouble: Arc<Trouble>,
    errors: AtomicU64,
}

impl Context {
    pub(crate) fn new(trouble: &Arc<Trouble>) -> Context {
        Context {
            trouble: Arc::clone(trouble),
            errors: AtomicU64::new(0),
        }
    }

    /// How many errors this client has told so far.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        // How librdkafka describes CONCURRENT_TRANSACTIONS.
        if message.contains("another concurrent operation") {
            self.trouble.concurrent.fetch_add(1, Ordering::Relaxed);
        }
        // librdkafka says of each failed attempt to connect that it is an error; what comes of it we say ourselves.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", "{fac}: {message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(target: "librdkafka", "{fac}: {message}");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", "{fac}: {message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "told of an error");
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.trouble.hear(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Context {}
