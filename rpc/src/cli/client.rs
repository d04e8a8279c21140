//! `ironhorse status` and `ironhorse get`: what a person wants to know, over the public API.

use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::{LhStatus, ListNodeRunsRequest, ListVariablesRequest, WfRunId, node_run};
use tonic::transport::Channel;

#[derive(Debug, clap::Args)]
pub(crate) struct StatusFlags {
    /// The server's gRPC address.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:2023")]
    server: String,
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
    })
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
