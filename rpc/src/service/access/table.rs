//! What each RPC requires of its caller (spec 08, section 4.4): one row an RPC. Where the contract and the reference
//! differ, either pair will do.

use proto::littlehorse::AclAction::{self, AllActions, Read, Run, WriteMetadata};
use proto::littlehorse::AclResource::{
    self, AclAllResources as AllResources, AclExternalEvent as ExternalEvent,
    AclPrincipal as Principal, AclQuota as Quota, AclStruct as Struct, AclTask as Task,
    AclTaskWorkerGroup as TaskWorkerGroup, AclTenant as Tenant, AclUserTask as UserTask,
    AclWorkflow as Workflow, AclWorkflowEvent as WorkflowEvent,
};

/// One RPC.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name.
    pub rpc: &'static str,
    /// Any one of these; none: nothing is required. The first is what a refusal names.
    pub requires: &'static [(AclResource, AclAction)],
    /// Whether it is charged to quotas.
    pub writes: bool,
}

const fn rule(
    rpc: &'static str,
    requires: &'static [(AclResource, AclAction)],
    writes: bool,
) -> Rule {
    Rule {
        rpc,
        requires,
        writes,
    }
}

impl Rule {
    /// Whether it is about what belongs to the cluster: the tenant of the call does not matter.
    pub(crate) fn is_of_cluster(&self) -> bool {
        self.requires
            .iter()
            .any(|(resource, _)| matches!(resource, Tenant | Principal | Quota))
    }
}

/// The rule of an RPC, by its name.
pub(crate) fn of(rpc: &str) -> Option<&'static Rule> {
    // By far the most frequent ones first.
    RULES.iter().find(|rule| rule.rpc == rpc)
}

/// All RPCs.
pub(crate) const RULES: [Rule; 108] = [
    rule("ReportTask", &[(Task, Run)], true),
    rule("PollTask", &[(Task, Read), (Task, Run)], false),
    rule("RunWf", &[(Workflow, Run)], true),
    rule("PutExternalEvent", &[(ExternalEvent, Run)], true),
    rule("GetWfRun", &[(Workflow, Read)], false),
    rule("GetNodeRun", &[(Workflow, Read)], false),
    rule("GetVariable", &[(Workflow, Read)], false),
    rule("SearchWfRun", &[(Workflow, Read)], false),
    rule("PutTaskDef", &[(Task, WriteMetadata)], true),
    rule("GetTaskDef", &[(Task, Read)], false),
    rule("GetTaskWorkerGroup", &[(TaskWorkerGroup, Read)], false),
    rule(
        "PutExternalEventDef",
        &[(ExternalEvent, WriteMetadata)],
        true,
    ),
    rule("GetExternalEventDef", &[(ExternalEvent, Read)], false),
    rule(
        "PutWorkflowEventDef",
        &[(WorkflowEvent, WriteMetadata)],
        true,
    ),
    rule("PutWfSpec", &[(Workflow, WriteMetadata)], true),
    rule("GetWfSpec", &[(Workflow, Read)], false),
    rule("GetLatestWfSpec", &[(Workflow, Read)], false),
    rule("MigrateWfSpec", &[(AllResources, AllActions)], false),
    rule("PutStructDef", &[(Struct, WriteMetadata)], true),
    rule("GetStructDef", &[(Struct, Read)], false),
    rule("ValidateStructDefEvolution", &[(Struct, Read)], false),
    rule("PutUserTaskDef", &[(UserTask, WriteMetadata)], true),
    rule("GetUserTaskDef", &[(UserTask, Read)], false),
    rule("GetLatestUserTaskDef", &[(UserTask, Read)], false),
    rule("ScheduleWf", &[(Workflow, Run)], true),
    rule("SearchScheduledWfRun", &[(Workflow, Read)], false),
    rule("GetScheduledWfRun", &[(Workflow, Read)], false),
    rule("GetUserTaskRun", &[(UserTask, Read)], false),
    rule(
        "AssignUserTaskRun",
        &[(UserTask, WriteMetadata), (UserTask, Run)],
        true,
    ),
    rule("CompleteUserTaskRun", &[(UserTask, Run)], true),
    rule("CancelUserTaskRun", &[(UserTask, Run)], true),
    rule("SaveUserTaskRunProgress", &[(UserTask, Run)], true),
    rule("ListUserTaskRuns", &[(UserTask, Read)], false),
    rule("PutUserTaskRunComment", &[(UserTask, Run)], true),
    rule("EditUserTaskRunComment", &[(UserTask, Run)], true),
    rule("DeleteUserTaskRunComment", &[(UserTask, Run)], true),
    rule("ListNodeRuns", &[(Workflow, Read)], false),
    rule("GetTaskRun", &[(Workflow, Read), (Task, Read)], false),
    rule("ListTaskRuns", &[(Task, Read)], false),
    rule("ListVariables", &[(Workflow, Read)], false),
    rule("PutCorrelatedEvent", &[(ExternalEvent, Run)], true),
    rule("GetExternalEvent", &[(ExternalEvent, Read)], false),
    rule("GetCorrelatedEvent", &[(ExternalEvent, Read)], false),
    rule("AwaitWorkflowEvent", &[(Workflow, Read)], false),
    rule("GetWorkflowEventDef", &[(WorkflowEvent, Read)], false),
    rule("GetWorkflowEvent", &[(WorkflowEvent, Read)], false),
    rule("ListExternalEvents", &[(ExternalEvent, Read)], false),
    rule("ListWorkflowEvents", &[(WorkflowEvent, Read)], false),
    rule(
        "PutWorkflowMigrationPlan",
        &[(Workflow, WriteMetadata)],
        true,
    ),
    rule("GetWorkflowMigrationPlan", &[(Workflow, Read)], false),
    rule(
        "DeleteWorkflowMigrationPlan",
        &[(Workflow, WriteMetadata)],
        true,
    ),
    rule("ApplyWorkflowMigrationPlan", &[(Workflow, Run)], true),
    rule("SearchCorrelatedEvent", &[(ExternalEvent, Read)], false),
    rule("SearchNodeRun", &[(Workflow, Read)], false),
    rule("SearchTaskRun", &[(Task, Read)], false),
    rule("SearchUserTaskRun", &[(UserTask, Read)], false),
    rule("SearchVariable", &[(Workflow, Read)], false),
    rule("SearchExternalEvent", &[(ExternalEvent, Read)], false),
    rule("SearchWorkflowEvent", &[(WorkflowEvent, Read)], false),
    rule("SearchTaskDef", &[(Workflow, Read), (Task, Read)], false),
    rule("SearchUserTaskDef", &[(UserTask, Read)], false),
    rule("SearchWfSpec", &[(Workflow, Read)], false),
    rule("SearchExternalEventDef", &[(ExternalEvent, Read)], false),
    rule("SearchWorkflowEventDef", &[(WorkflowEvent, Read)], false),
    rule("SearchTenant", &[(Tenant, Read)], false),
    rule("SearchPrincipal", &[(Principal, Read)], false),
    rule("SearchQuota", &[(Quota, Read)], false),
    rule("SearchStructDef", &[(Struct, Read)], false),
    rule("GetInactiveThreadRun", &[(Workflow, Read)], false),
    rule("RegisterTaskWorker", &[(Workflow, Read), (Task, Run)], true),
    rule("PutCheckpoint", &[(Task, Run)], true),
    rule("GetCheckpoint", &[(Task, Read)], false),
    rule("StopWfRun", &[(Workflow, Run)], true),
    rule("ResumeWfRun", &[(Workflow, Run)], true),
    rule("RescueThreadRun", &[(Workflow, Run)], true),
    rule(
        "DeleteWfRun",
        &[(Workflow, WriteMetadata), (Workflow, Run)],
        true,
    ),
    rule("DeleteTaskDef", &[(Task, WriteMetadata)], true),
    rule("DeleteStructDef", &[(Struct, WriteMetadata)], true),
    rule("DeleteWfSpec", &[(Workflow, WriteMetadata)], true),
    rule("DeleteUserTaskDef", &[(UserTask, WriteMetadata)], true),
    rule(
        "DeleteExternalEventDef",
        &[(ExternalEvent, WriteMetadata)],
        true,
    ),
    rule("DeleteCorrelatedEvent", &[(ExternalEvent, Run)], true),
    rule(
        "DeleteWorkflowEventDef",
        &[(WorkflowEvent, WriteMetadata)],
        true,
    ),
    rule("DeletePrincipal", &[(Principal, WriteMetadata)], true),
    rule("DeleteQuota", &[(Quota, WriteMetadata)], true),
    rule("DeleteScheduledWfRun", &[(Workflow, Run)], true),
    rule("CreateBulkJob", &[(Workflow, WriteMetadata)], true),
    rule("GetBulkJob", &[(Workflow, Read)], false),
    rule("SearchBulkJob", &[(Workflow, Read)], false),
    rule("DeleteBulkJob", &[(Workflow, WriteMetadata)], true),
    rule(
        "GetTaskDefMetricsWindow",
        &[(AllResources, AllActions)],
        false,
    ),
    rule(
        "GetWfSpecMetricsWindow",
        &[(AllResources, AllActions)],
        false,
    ),
    rule("ListTaskMetrics", &[(Workflow, Read)], false),
    rule("ListWfMetrics", &[(Workflow, Read)], false),
    rule("GetMetricWindow", &[(Workflow, Read)], false),
    rule("SearchWfMetricWindow", &[(Workflow, Read)], false),
    rule("PutTenant", &[(Tenant, WriteMetadata)], true),
    rule("GetTenant", &[(Tenant, Read)], false),
    rule("PutQuota", &[(Quota, WriteMetadata)], true),
    rule("GetQuota", &[(Quota, Read)], false),
    rule("PutPrincipal", &[(Principal, WriteMetadata)], true),
    rule("GetPrincipal", &[(Principal, Read)], false),
    rule("Whoami", &[], false),
    rule("GetServerVersion", &[], false),
    rule(
        "CountNodeRun",
        &[(AllResources, AllActions), (Workflow, Read)],
        false,
    ),
    rule(
        "CountTaskRun",
        &[(AllResources, AllActions), (Task, Read)],
        false,
    ),
    rule("ListQuotaUsageMetrics", &[(Quota, Read)], false),
    rule("SearchWorkflowMigrationPlan", &[(Workflow, Read)], false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_has_a_row() {
        let table = include_str!("../../../../proto/wire/rpcs.tsv");
        let mut rpcs: Vec<&str> = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        let mut ruled: Vec<&str> = RULES.iter().map(|rule| rule.rpc).collect();
        rpcs.sort_unstable();
        ruled.sort_unstable();
        assert_eq!(ruled, rpcs);
    }
}
