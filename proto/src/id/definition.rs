//! Ids of definitions and of other objects that belong to no WfRun.

use super::{Part, component, number, text_form};
use crate::littlehorse::{
    BulkJobId, ExternalEventDefId, PrincipalId, QuotaId, ScheduledWfRunId, StructDefId, TaskDefId,
    TaskWorkerGroupId, TenantId, UserTaskDefId, WfSpecId, WorkflowEventDefId,
    WorkflowMigrationPlanId,
};

text_form!(
    WfSpecId,
    "<name>/<major>/<revision>",
    |id, f| write!(f, "{}/{:05}/{:05}", id.name, id.major_version, id.revision),
    |text| {
        let mut parts = text.split('/');
        let id = WfSpecId {
            name: component(parts.next()?)?,
            major_version: number(parts.next()?)?,
            revision: number(parts.next()?)?,
        };
        parts.next().is_none().then_some(id)
    },
);

/// An id of one name, written as it is.
macro_rules! name_only {
    ($id:ident, $field:ident) => {
        text_form!($id, "<name>", |id, f| f.write_str(&id.$field), |text| {
            component(text).map(|$field| $id { $field })
        },);
    };
}

name_only!(TaskDefId, name);
name_only!(ExternalEventDefId, name);
name_only!(WorkflowEventDefId, name);
name_only!(WorkflowMigrationPlanId, name);
name_only!(ScheduledWfRunId, id);
name_only!(BulkJobId, id);
name_only!(TenantId, id);

text_form!(
    PrincipalId,
    "<id>",
    |id, f| f.write_str(&id.id),
    // Given by an identity provider, so that it may hold any character.
    |text| (!text.is_empty()).then(|| PrincipalId {
        id: text.to_owned()
    }),
);

/// An id of a name and one version.
macro_rules! versioned {
    ($id:ident) => {
        text_form!(
            $id,
            "<name>/<version>",
            |id, f| write!(f, "{}/{:05}", id.name, id.version),
            |text| {
                let (name, version) = text.split_once('/')?;
                Some($id {
                    name: component(name)?,
                    version: number(version)?,
                })
            },
        );
    };
}

versioned!(UserTaskDefId);
versioned!(StructDefId);

text_form!(
    TaskWorkerGroupId,
    "<taskDefName>",
    |id, f| write!(f, "{}", Part(&id.task_def_id)),
    |text| Some(TaskWorkerGroupId {
        task_def_id: Some(text.parse().ok()?),
    }),
);

text_form!(
    QuotaId,
    "<tenant>[/<principal>]",
    |id, f| {
        write!(f, "{}", Part(&id.tenant))?;
        match &id.principal {
            Some(principal) => write!(f, "/{principal}"),
            None => Ok(()),
        }
    },
    |text| {
        let (tenant, principal) = match text.split_once('/') {
            Some((tenant, principal)) => (tenant, Some(principal.parse().ok()?)),
            None => (text, None),
        };
        Some(QuotaId {
            tenant: Some(tenant.parse().ok()?),
            principal,
        })
    },
);

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, same};
    use super::*;

    #[test]
    fn versions_are_padded_to_five_digits() {
        let spec = |major_version, revision| WfSpecId {
            name: "a-b".to_owned(),
            major_version,
            revision,
        };
        same(&spec(0, 12), "a-b/00000/00012");
        same(&spec(99_999, 123_456), "a-b/99999/123456");
        assert_eq!("a-b/1/2".parse(), Ok(spec(1, 2)));
        refused::<WfSpecId>(&["", "a", "a/0", "/0/0", "a/0/0/0", "a/x/0", "a/0/", "a/-1/0"]);

        let name = || "a".to_owned();
        let user_task = UserTaskDefId {
            name: name(),
            version: 3,
        };
        same(&user_task, "a/00003");
        let struct_def = StructDefId {
            name: name(),
            version: 0,
        };
        same(&struct_def, "a/00000");
        refused::<StructDefId>(&["", "a", "a/", "/1", "a/0/0"]);
    }

    #[test]
    fn names_are_written_as_they_are() {
        let task_def = TaskDefId {
            name: "greet".to_owned(),
        };
        same(&task_def, "greet");
        refused::<TaskDefId>(&["", "a/b"]);
        let group = TaskWorkerGroupId {
            task_def_id: Some(task_def),
        };
        same(&group, "greet");
        same(&TenantId { id: "t".to_owned() }, "t");
        let event = WorkflowEventDefId {
            name: "a.b c".to_owned(),
        };
        same(&event, "a.b c");
    }

    #[test]
    fn a_quota_may_name_a_principal() {
        let mut quota = QuotaId {
            tenant: Some(TenantId { id: "t".to_owned() }),
            principal: None,
        };
        same(&quota, "t");
        quota.principal = Some(PrincipalId {
            id: "p/q".to_owned(),
        });
        same(&quota, "t/p/q");
        refused::<QuotaId>(&["", "/p", "t/"]);
    }

    #[test]
    fn versions_order_by_number() {
        let spec = |text: &str| text.parse::<WfSpecId>().unwrap();
        assert!(spec("a/2/0") < spec("a/10/0"));
        assert!(spec("a/1/9") < spec("a/1/10"));
        assert!(spec("a/1/9") < spec("a/2/0"));
        assert!(spec("a/9/9") < spec("b/0/0"));
    }
}
