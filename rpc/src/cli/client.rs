//! `ironhorse status` and `ironhorse get`: what a person wants to know, over the public API and HTTP.

use ironhorse_rpc::tools;
use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::{LhStatus, ListNodeRunsRequest, ListVariablesRequest, WfRunId, node_run};
use tonic::transport::Channel;

#[derive(Debug, clap::Args)]
pub(crate) struct StatusFlags {
    /// The server's gRPC address.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:2023")]
    server: String,
    /// The server's HTTP address [default: the same host, port 1822].
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetFlags {
    /// What it is.
    #[arg(value_parser = ["wfRun"])]
    kind: String,
    /// Its id; a child's is `parent_child`.
    id: String,
    /// The server's gRPC address.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:2023")]
    server: String,
    /// The tenant.
    #[arg(long, default_value = "default")]
    tenant: String,
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(work)
}

async fn connect(server: &str) -> Result<LittleHorseClient<Channel>, String> {
    LittleHorseClient::connect(format!("http://{server}"))
        .await
        .map_err(|error| {
            format!("no server at {server}: {error} (is `ironhorse server` running there?)")
        })
}

fn said(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

pub(crate) fn status(flags: StatusFlags) -> Result<(), String> {
    block_on(async {
        let mut client = connect(&flags.server).await?;
        let version = client
            .get_server_version(())
            .await
            .map_err(|status| said(&status))?
            .into_inner();
        let principal = client
            .whoami(())
            .await
            .map_err(|status| said(&status))?
            .into_inner();
        println!("server     {}", flags.server);
        println!(
            "API level  {}.{}.{}",
            version.major_version,
            version.minor_version,
            version.patch_version.unwrap_or(0)
        );
        println!("you are    {}", principal.id.unwrap_or_default().id);
        println!("state      serving");
        Ok(())
    })?;
    match (&flags.http, tools::status(&http_address(&flags))) {
        (_, Ok(status)) => {
            for line in indexes(&status) {
                println!("{line}");
            }
            Ok(())
        }
        (Some(_), Err(error)) => Err(error.to_string()),
        // It may well be served without HTTP, or elsewhere.
        (None, Err(error)) => {
            println!("indexes    not known: {error}");
            Ok(())
        }
    }
}

fn http_address(flags: &StatusFlags) -> String {
    let on_same_host = || {
        let host = flags.server.rsplit_once(':').map(|(host, _)| host);
        format!("{}:{}", host.unwrap_or(&flags.server), tools::HTTP_PORT)
    };
    flags.http.clone().unwrap_or_else(on_same_host)
}

/// What a server's status says of its indexes: one line each that is being built.
fn indexes(status: &serde_json::Value) -> Vec<String> {
    let builds = status["indexBuilds"].as_array();
    let lines: Vec<String> = builds
        .into_iter()
        .flatten()
        .map(|build| {
            let text = |field: &str| build[field].as_str().unwrap_or("?").to_owned();
            let count = |field: &str| build[field].as_u64().unwrap_or(0);
            format!(
                "indexes    group {}: {} is being built, {} of about {} rows; searches that need it are refused",
                text("partition"),
                text("index"),
                count("rows"),
                count("ofRows"),
            )
        })
        .collect();
    if builds.is_some() && lines.is_empty() {
        return vec!["indexes    complete".to_owned()];
    }
    lines
}

pub(crate) fn get(flags: GetFlags) -> Result<(), String> {
    debug_assert_eq!(flags.kind, "wfRun");
    block_on(async {
        let mut client = connect(&flags.server).await?;
        let tenant = flags
            .tenant
            .parse()
            .map_err(|_| "the tenant is not ASCII text".to_owned())?;
        let with_tenant = |message| {
            let mut request = tonic::Request::new(message);
            request
                .metadata_mut()
                .insert("tenantid", tonic::metadata::MetadataValue::clone(&tenant));
            request
        };
        let id = WfRunId::from_any_text(&flags.id);
        let run = client
            .get_wf_run(with_tenant(id.clone()))
            .await
            .map_err(|status| said(&status))?
            .into_inner();
        println!("WfRun    {}", flags.id);
        println!("WfSpec   {}", run.wf_spec_id.clone().unwrap_or_default());
        println!("status   {}", run.status().as_str_name());
        for thread in &run.thread_runs {
            let name = &thread.thread_spec_name;
            println!(
                "thread {} {name} {} at {}",
                thread.number,
                thread.status().as_str_name(),
                thread.current_node_position
            );
            if let Some(message) = &thread.error_message {
                println!("    {message}");
            }
        }
        let mut request = tonic::Request::new(ListNodeRunsRequest {
            wf_run_id: Some(id.clone()),
            ..Default::default()
        });
        request
            .metadata_mut()
            .insert("tenantid", tonic::metadata::MetadataValue::clone(&tenant));
        let nodes = client
            .list_node_runs(request)
            .await
            .map_err(|status| said(&status))?
            .into_inner();
        for node in nodes.results {
            let at = node.id.clone().unwrap_or_default();
            let mark = match node.status() {
                LhStatus::Completed => "done",
                LhStatus::Error | LhStatus::Exception => "failed",
                LhStatus::Running | LhStatus::Starting => "running",
                LhStatus::Halting | LhStatus::Halted => "halted",
            };
            println!(
                "  node {}/{} {} {} {mark}",
                at.thread_run_number,
                at.position,
                kind(node.node_type.as_ref()),
                node.node_name
            );
            for failure in &node.failures {
                println!("      {}: {}", failure.failure_name, failure.message);
            }
        }
        let mut request = tonic::Request::new(ListVariablesRequest {
            wf_run_id: Some(id),
            ..Default::default()
        });
        request.metadata_mut().insert("tenantid", tenant.clone());
        let variables = client
            .list_variables(request)
            .await
            .map_err(|status| said(&status))?
            .into_inner();
        for variable in variables.results {
            let at = variable.id.unwrap_or_default();
            let value = variable.value.and_then(|value| value.value);
            let text = value.map_or("null".to_owned(), |value| format!("{value:?}"));
            println!("  variable {}/{} = {text}", at.thread_run_number, at.name);
        }
        Ok(())
    })
}

fn kind(node: Option<&node_run::NodeType>) -> &'static str {
    match node {
        Some(node_run::NodeType::Task(_)) => "TASK",
        Some(node_run::NodeType::ExternalEvent(_)) => "EXTERNAL_EVENT",
        Some(node_run::NodeType::Sleep(_)) => "SLEEP",
        Some(node_run::NodeType::Exit(_)) => "EXIT",
        Some(node_run::NodeType::Entrypoint(_)) => "ENTRYPOINT",
        _ => "NODE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_that_is_being_built_is_a_line() {
        let build = serde_json::json!({
            "partition": "1", "index": "WfRuns by status", "rows": 3000, "ofRows": 40000
        });
        let lines = indexes(&serde_json::json!({"indexBuilds": [build, build]}));
        assert_eq!(lines.len(), 2);
        for word in ["group 1", "WfRuns by status", "3000 of about 40000"] {
            assert!(lines[0].contains(word), "{word} is not in {lines:?}");
        }
        assert_eq!(
            indexes(&serde_json::json!({"indexBuilds": []})),
            ["indexes    complete"]
        );
        // Of an older server nothing is said.
        assert!(indexes(&serde_json::json!({})).is_empty());
    }

    #[test]
    fn http_is_looked_for_on_the_same_host() {
        let flags = |server: &str, http: Option<&str>| StatusFlags {
            server: server.to_owned(),
            http: http.map(str::to_owned),
        };
        for (server, http, expected) in [
            ("host:2023", None, "host:1822"),
            ("[::1]:2023", None, "[::1]:1822"),
            ("host:2023", Some("other:7"), "other:7"),
        ] {
            assert_eq!(http_address(&flags(server, http)), expected);
        }
    }
}
