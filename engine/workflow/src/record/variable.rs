//! Variable: a value that threads of a WfRun share (spec 02, section 11).

use proto::ironhorse::v1::VariableRow;
use proto::littlehorse::{Variable, VariableId, WfRunId};

use super::{OfRun, Row};
use crate::key::VariableAt;
use crate::value::mask;

impl Row for VariableRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for VariableRow {
    type Place = VariableAt;
}

/// The public message: with its id, and a masked value hidden.
pub fn public(
    wf_run_id: WfRunId,
    thread_run_number: i32,
    name: String,
    row: VariableRow,
) -> Variable {
    let mut variable = row.variable.unwrap_or_default();
    variable.id = Some(VariableId {
        wf_run_id: Some(wf_run_id),
        thread_run_number,
        name,
    });
    if variable.masked {
        variable.value = Some(mask::hidden());
    }
    variable
}
