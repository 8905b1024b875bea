//! `kubechat egress list`: the outbound ledger, which is the part of the audit log about calls of models.

use kubechat_audit::EventType;

use super::audit;
use super::error::CliError;
use super::exit::Exit;
use crate::args::{AuditCommand, AuditListArgs, ColorChoice, EgressCommand, EgressListArgs};

pub(crate) fn egress(command: EgressCommand, color: ColorChoice) -> Result<Exit, CliError> {
    let EgressCommand::List(args) = command;
    audit::audit(&AuditCommand::List(list(args)), color)
}

fn list(args: EgressListArgs) -> AuditListArgs {
    let EgressListArgs {
        db,
        key,
        request,
        user,
        since_seq,
        limit,
        output,
    } = args;
    AuditListArgs {
        db,
        key,
        event_type: Some(EventType::Outbound),
        plan: None,
        request,
        user,
        since_seq,
        limit,
        output,
    }
}
