//! ThreadRun: one thread of a WfRun (spec 03).

use proto::ironhorse::v1::ThreadRunRow;

use super::{OfRun, Row};
use crate::key::ThreadAt;

impl Row for ThreadRunRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for ThreadRunRow {
    type Place = ThreadAt;
}
