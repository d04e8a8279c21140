//! What the deterministic code is told once, the same on every server of a cluster.

use runtime::Route;

/// See the module.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which core group a routing key belongs to.
    pub core: Route,
    /// Active ThreadRuns of one WfRun, of any status and type (spec 03, section 11.1).
    pub max_thread_runs: i32,
    /// How long the metrics of a minute are kept, in milliseconds (spec 07, section 7.5).
    pub metric_retention_ms: i64,
}

impl Settings {
    /// The defaults of spec 08, section 11, with so many core groups.
    pub fn new(core_groups: u16) -> Settings {
        Settings {
            core: Route::new(core_groups),
            max_thread_runs: 65,
            metric_retention_ms: 14 * 24 * 3600 * 1000,
        }
    }
}

/// Whose rows a command works on, and the settings it works with.
#[derive(Debug, Clone, Copy)]
pub struct Tenant<'a> {
    /// The tenant's id.
    pub name: &'a str,
    /// See there.
    pub settings: &'a Settings,
}
