//! Ids of metric windows. They are only written: no client takes their text form.

use super::Part;
use crate::littlehorse::{
    MetricWindowId, MetricWindowType, MetricsWindowLength, TaskDefMetricsId, WfSpecMetricsId,
    metric_window_id::Id,
};
use crate::time::to_millis;
use prost_types::Timestamp;
use std::fmt;

/// The start of a window in milliseconds since the epoch; unset reads as the epoch.
fn start(window: Option<&Timestamp>) -> i64 {
    window.map_or(0, to_millis)
}

/// The name of an enum value, or its number if it has none.
fn enum_text<E: TryFrom<i32>>(number: i32, name: fn(&E) -> &'static str) -> String {
    E::try_from(number).map_or_else(|_| number.to_string(), |value| name(&value).to_owned())
}

fn length(number: i32) -> String {
    enum_text(number, MetricsWindowLength::as_str_name)
}

/// Text form: `<taskDefName>/<windowType>/<startMillis>`.
impl fmt::Display for TaskDefMetricsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = start(self.window_start.as_ref());
        let length = length(self.window_type);
        write!(f, "{}/{length}/{start}", Part(&self.task_def_id))
    }
}

/// Text form: `<wfSpecId>/<windowType>/<startMillis>`.
impl fmt::Display for WfSpecMetricsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = start(self.window_start.as_ref());
        let length = length(self.window_type);
        write!(f, "{}/{length}/{start}", Part(&self.wf_spec_id))
    }
}

impl MetricWindowId {
    /// What the window is about, as a number of [`MetricWindowType`]: it follows from the definition where one is set.
    pub fn effective_type(&self) -> i32 {
        let known = match &self.id {
            Some(Id::WfSpecId(_)) => MetricWindowType::WorkflowMetric,
            Some(Id::TaskDefId(_)) => MetricWindowType::TaskMetric,
            Some(Id::UserTaskDefId(_)) => MetricWindowType::UserTaskMetric,
            Some(Id::QuotaId(_)) => MetricWindowType::QuotaUsageMetric,
            None => return self.metric_type.unwrap_or_default(),
        };
        known as i32
    }
}

/// Text form: `<metricType>/<definition>/<startMillis>`, without the middle part if no definition is set.
impl fmt::Display for MetricWindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&enum_text(
            self.effective_type(),
            MetricWindowType::as_str_name,
        ))?;
        match &self.id {
            Some(Id::WfSpecId(id)) => write!(f, "/{id}")?,
            Some(Id::TaskDefId(id)) => write!(f, "/{id}")?,
            Some(Id::UserTaskDefId(id)) => write!(f, "/{id}")?,
            Some(Id::QuotaId(id)) => write!(f, "/{id}")?,
            None => {}
        }
        write!(f, "/{}", start(self.window_start.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::littlehorse::{TaskDefId, WfSpecId};
    use crate::time::from_millis;

    #[test]
    fn windows() {
        let mut window = MetricWindowId {
            window_start: Some(from_millis(60_000)),
            metric_type: Some(MetricWindowType::TaskMetric as i32),
            ..MetricWindowId::default()
        };
        assert_eq!(window.to_string(), "TASK_METRIC/60000");
        window.id = Some(Id::WfSpecId(WfSpecId {
            name: "w".to_owned(),
            major_version: 1,
            revision: 2,
        }));
        // The definition decides, whatever the type says.
        assert_eq!(window.to_string(), "WORKFLOW_METRIC/w/00001/00002/60000");
        window.id = None;
        window.metric_type = Some(77);
        assert_eq!(window.to_string(), "77/60000");
    }

    #[test]
    fn older_forms() {
        let id = TaskDefMetricsId {
            window_start: Some(from_millis(-1)),
            window_type: MetricsWindowLength::Hours2 as i32,
            task_def_id: Some(TaskDefId {
                name: "t".to_owned(),
            }),
        };
        assert_eq!(id.to_string(), "t/HOURS_2/-1");
        let id = WfSpecMetricsId {
            wf_spec_id: Some("w/0/1".parse().unwrap()),
            ..WfSpecMetricsId::default()
        };
        assert_eq!(id.to_string(), "w/00000/00001/MINUTES_5/0");
    }
}
