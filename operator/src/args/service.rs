//! Arguments of the processes that run in the cluster: operator, interpreter and webhook.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::label;
use super::{CONNECTION, SYSTEM_NAMESPACE};

/// Form of the log lines of operator and webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// `kubechat operator`.
#[derive(Args, Clone, Debug)]
pub struct OperatorArgs {
    /// Kubeconfig file [default: in-cluster, else $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    pub context: Option<String>,
    /// Namespace KubeChat lives in: its Lease and its keys
    #[arg(short, long, env = "KUBECHAT_NAMESPACE", default_value = SYSTEM_NAMESPACE, value_name = "NAME", value_parser = label, help_heading = CONNECTION)]
    pub namespace: String,
    /// Where the audit log is kept: sqlite:FILE
    #[arg(long, env = "KUBECHAT_AUDIT_STORE", value_name = "STORE")]
    pub audit_store: String,
    /// Key of the audit log (made by `kubechat audit init`)
    #[arg(long, env = "KUBECHAT_AUDIT_KEY", value_name = "FILE")]
    pub audit_key: PathBuf,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Base URL of the webhook, where it is not reached through its Service (https://127.0.0.1:9443)
    #[arg(long, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// Service of the webhook
    #[arg(long, value_name = "NAME", default_value = "kubechat-webhook", value_parser = label)]
    pub webhook_service_name: String,
    /// Seconds a leader's lease lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..=300))]
    pub lease_seconds: u64,
    /// Form of the log lines
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Name of this process in the Lease [default: host name and process id]
    #[arg(long, value_name = "NAME", default_value_t = process_identity(), hide_default_value = true)]
    pub identity: String,
    /// Namespace of the Secrets that AIProviders name
    #[arg(long, value_name = "NAME", default_value = kubechat_crds::install::CREDENTIALS_NAMESPACE, value_parser = label)]
    pub credentials_namespace: String,
    /// Let AIProviders be on this machine (http://127.0.0.1:PORT). For development only
    #[arg(long)]
    pub development: bool,
    /// Leave asking models to another process (`kubechat interpreter`): this one asks none, and records what that one intends
    #[arg(long)]
    pub separate_interpreter: bool,
    /// Objects of one kind that are worked on at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Seconds between looks at the own guards: certificate, CA bundle, whether admission stamps
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600), hide = true)]
    pub check_seconds: u64,
}

/// `kubechat interpreter`.
#[derive(Args, Clone, Debug)]
pub struct InterpreterArgs {
    /// Kubeconfig file [default: in-cluster, else $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    pub context: Option<String>,
    /// Namespace KubeChat lives in: its Lease
    #[arg(short, long, env = "KUBECHAT_NAMESPACE", default_value = SYSTEM_NAMESPACE, value_name = "NAME", value_parser = label, help_heading = CONNECTION)]
    pub namespace: String,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8082")]
    pub listen: SocketAddr,
    /// Seconds a leader's lease lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..=300))]
    pub lease_seconds: u64,
    /// Form of the log lines
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Name of this process in the Lease [default: host name and process id]
    #[arg(long, value_name = "NAME", default_value_t = process_identity(), hide_default_value = true)]
    pub identity: String,
    /// Namespace of the Secrets that AIProviders name
    #[arg(long, value_name = "NAME", default_value = kubechat_crds::install::CREDENTIALS_NAMESPACE, value_parser = label)]
    pub credentials_namespace: String,
    /// Let AIProviders be on this machine (http://127.0.0.1:PORT). For development only
    #[arg(long)]
    pub development: bool,
}

/// `kubechat webhook`.
#[derive(Args, Clone, Debug)]
pub struct WebhookArgs {
    /// Kubeconfig file [default: in-cluster, else $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    pub context: Option<String>,
    /// Namespace KubeChat lives in: its keys
    #[arg(short, long, env = "KUBECHAT_NAMESPACE", default_value = SYSTEM_NAMESPACE, value_name = "NAME", value_parser = label, help_heading = CONNECTION)]
    pub namespace: String,
    /// Namespace of the Secrets that AIProviders name: as the operator has it
    #[arg(long, value_name = "NAME", default_value = kubechat_crds::install::CREDENTIALS_NAMESPACE, value_parser = label)]
    pub credentials_namespace: String,
    /// Address of the TLS admission server (/mutate, /validate)
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_listen: SocketAddr,
    /// Form of the log lines
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// `host-pid`: two processes never share it.
fn process_identity() -> String {
    format!(
        "{}-{}",
        gethostname::gethostname().to_string_lossy(),
        std::process::id()
    )
}
