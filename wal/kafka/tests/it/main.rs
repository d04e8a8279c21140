//! The log on real brokers.

mod contract;
