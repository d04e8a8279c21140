//! RunWf (spec 03, section 3.1).

use crate::time::timestamp;
use proto::ironhorse::v1::{RunWf, WfRunRow};
use proto::littlehorse::{LhStatus, ThreadType, WfRun, WfRunId};
use runtime::{Context, Rejection};

use super::{check_ancestors, split_wf_run_id};
use crate::run::{Run, Unit, advance, start_thread, validate_inputs};
use crate::spec;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: &str,
    command: RunWf,
) -> Result<WfRun, Rejection> {
    let RunWf { request, id } = command;
    let request = request.unwrap_or_default();
    let name = &request.wf_spec_name;
    if name.is_empty() {
        return Err(Rejection::invalid(
            "Missing required argument: wf_spec_name",
        ));
    }
    if !proto::name::is_hostname(&id) {
        return Err(Rejection::invalid(format!(
            "Optional argument id must be a valid hostname: {id:?}"
        )));
    }
    let spec = spec::wf_spec(
        context.global(),
        tenant,
        name,
        request.major_version,
        request.revision,
    )
    .ok_or_else(|| Rejection::not_found(format!("Couldn't find WfSpec {}", asked(&request))))?;
    let parent = request.parent_wf_run_id.map(split_wf_run_id);
    let wf_run_id = WfRunId {
        id: id.clone(),
        parent_wf_run_id: parent.clone().map(Box::new),
    };
    check_ancestors("parent_wf_run_id", &wf_run_id)?;
    let run = Run::new(tenant, &wf_run_id);
    let request_id = context.request_id().0.to_be_bytes();
    let mut unit = Unit::new(context, tenant);
    if unit.is_taken(&run)? {
        // The same command once more, after a change of owner: it meets its own effect.
        if unit.wf_run_row(&run)?.request_id[..] == request_id {
            return unit.public_wf_run(&run);
        }
        return Err(Rejection::already_exists(format!(
            "WfRun with id {id} already exists!"
        )));
    }
    match (&spec.wf_spec.parent_wf_spec, &parent) {
        (None, None) => {}
        (Some(parent_spec), None) => {
            let name = &parent_spec.wf_spec_name;
            return Err(Rejection::invalid(format!(
                "Missing required argument: parent_wf_run_id, a WfRun of WfSpec {name}"
            )));
        }
        (None, Some(_)) => {
            return Err(Rejection::invalid(format!(
                "parent_wf_run_id is given, but WfSpec {name} has no parent WfSpec"
            )));
        }
        (Some(parent_spec), Some(parent)) => {
            let parent_run = Run::new(tenant, parent);
            let expected = &parent_spec.wf_spec_name;
            if !unit.exists(&parent_run)? {
                let id = parent.to_string();
                return Err(Rejection::precondition(format!(
                    "Parent WfRun {id} of WfSpec {expected} does not exist"
                )));
            }
            let actual = unit
                .wf_run(&parent_run)?
                .wf_spec_id
                .clone()
                .unwrap_or_default()
                .name;
            if actual != *expected {
                return Err(Rejection::invalid(format!(
                    "parent_wf_run_id is a WfRun of WfSpec {actual}, but the parent must be one of WfSpec {expected}"
                )));
            }
        }
    }
    let entrypoint = &spec.wf_spec.entrypoint_thread_name;
    let structs = spec::Structs::new(unit.context.global(), tenant);
    let inputs = validate_inputs(spec.thread(entrypoint)?, request.variables, &structs)
        .map_err(Rejection::invalid)?;
    let wf_run = WfRun {
        id: None,
        wf_spec_id: Some(spec.id()),
        status: LhStatus::Running.into(),
        start_time: Some(timestamp(unit.now_ms())),
        ..WfRun::default()
    };
    let row = WfRunRow {
        version: 1,
        wf_run: Some(wf_run),
        request_id: request_id.to_vec().into(),
        spec_created_ms: spec.created_ms(),
        ..WfRunRow::default()
    };
    unit.insert_wf_run(&run, row);
    start_thread(
        &mut unit,
        &run,
        &spec,
        entrypoint,
        None,
        ThreadType::Entrypoint,
        inputs,
    )?;
    advance(&mut unit, &run)?;
    let started = unit.public_wf_run(&run)?;
    unit.finish()?;
    Ok(started)
}

fn asked(request: &proto::littlehorse::RunWfRequest) -> String {
    let name = &request.wf_spec_name;
    match (request.major_version, request.revision) {
        (Some(major), Some(revision)) => format!("{name} {major}.{revision}"),
        (Some(major), None) => format!("{name} {major}"),
        _ => name.clone(),
    }
}
