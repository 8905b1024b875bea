//! Signed decisions at the terminal: what is signed, by which command, and the Approval for Git.
//!
//! **Invariants:** what is printed to be signed is what KubeChat verifies ([`kubechat_core::sshsig`]); a private key is
//! read, used and forgotten, and never leaves the process.

use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kubechat_core::sshsig::{self, CannotSign, NAMESPACE};
use kubechat_crds::approval::{Signature, SignatureFormat};
use kubechat_crds::{Approval, sha256_hex};
use zeroize::Zeroizing;

use super::error::CliError;
use super::render::Tone;
use super::ui::Ui;
use crate::args::SignArgs;

/// Longest private key file, in bytes.
const MAX_KEY: u64 = 64 * 1024;
/// Longest part of a plan's name in the name of an Approval.
const MAX_NAME: usize = 200;

/// What the command line says about time and signature.
pub(crate) fn prepare(
    mut approval: Approval,
    cluster_uid: &str,
    args: &SignArgs,
    now: Timestamp,
) -> Result<Approval, CliError> {
    if let Some(life) = args.expires {
        let at = jiff::SignedDuration::try_from(life)
            .ok()
            .and_then(|life| now.checked_add(life).ok())
            .ok_or_else(|| CliError::Usage("--expires is too far ahead".to_owned()))?;
        let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
        approval.spec.expires_at = Some(Time(second));
    }
    let Some(key) = &args.sign_with else {
        return Ok(approval);
    };
    let statement = statement(&approval, cluster_uid)?;
    let value = sign(key, &statement)?;
    approval.spec.signature = Some(Signature {
        format: SignatureFormat::Sshsig,
        value,
    });
    Ok(approval)
}

/// The exact bytes that are signed.
pub(crate) fn statement(approval: &Approval, cluster_uid: &str) -> Result<String, CliError> {
    let namespace = approval.namespace().unwrap_or_default();
    sshsig::statement(cluster_uid, &namespace, &approval.spec)
        .map_err(|why| CliError::Usage(format!("nothing was signed: {why}")))
}

fn sign(key: &Path, statement: &str) -> Result<String, CliError> {
    let shown = key.display();
    let failed = |why: String| {
        CliError::Other(format!(
            "{shown} was not used, and nothing was signed: {why}.\nLeave --sign-with out: the command to sign with ssh-keygen is printed then"
        ))
    };
    let size = std::fs::metadata(key).map_err(|e| failed(e.to_string()))?.len();
    if size > MAX_KEY {
        return Err(failed("it is too long for a private key".to_owned()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(key).map_err(|e| failed(e.to_string()))?);
    sshsig::sign(&text, statement).map_err(|why| match why {
        CannotSign::Unreadable if text.starts_with("ssh-") || text.starts_with("ecdsa-") => {
            failed("it is the public half; the private key is the file without .pub".to_owned())
        }
        CannotSign::Unreadable | CannotSign::Encrypted | CannotSign::Algorithm => failed(why.to_string()),
    })
}

/// Prints the Approval for a file in Git, and how to sign it where it is not signed yet.
pub(crate) fn print(ui: &Ui, mut approval: Approval, cluster_uid: &str) -> Result<(), CliError> {
    let statement = statement(&approval, cluster_uid)?;
    approval.metadata.generate_name = None;
    approval.metadata.name = Some(file_name(&approval, &statement));
    if approval.spec.signature.is_none() {
        ui.say(Tone::Warn, "Not signed yet. Exactly these bytes are signed:");
        ui.show(&format!("\n{statement}\n"));
        ui.say(
            Tone::Plain,
            "Sign them with the key that stands in your ApproverKey:",
        );
        ui.show(&format!("\n{}\n\n", command(&statement)));
        ui.say(
            Tone::Plain,
            "Put what it prints into the Approval, below spec, and commit the file:",
        );
        ui.show("\n  signature:\n    format: sshsig\n    value: |\n      -----BEGIN SSH SIGNATURE-----\n      ..\n\n");
    }
    let value = serde_json::to_value(&approval)
        .map_err(|error| CliError::Other(format!("cannot write the Approval: {error}")))?;
    ui.emit_value(&value)
}

/// One name for one decision by one key: two people's files stand beside each other, and the same one twice is the same.
fn file_name(approval: &Approval, statement: &str) -> String {
    let value = approval.spec.signature.as_ref().map(|s| s.value.as_str());
    let hash = sha256_hex(format!("{statement}{}", value.unwrap_or_default()).as_bytes());
    let plan: String = approval.spec.plan_ref.name.chars().take(MAX_NAME).collect();
    let prefix = approval.metadata.generate_name.clone();
    let prefix = prefix.unwrap_or_else(|| "approve-".to_owned());
    let hash = hash.get(..8).unwrap_or_default();
    format!("{}{prefix}{hash}", format!("{plan}-").replace(".-", "-"))
}

/// The command a shell runs to sign it: each line an argument, so that nothing in it is read as a command.
fn command(statement: &str) -> String {
    let lines: Vec<String> = statement
        .lines()
        .map(|line| format!("'{}'", line.replace('\'', "'\\''")))
        .collect();
    format!(
        "printf '%s\\n' {} | ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519",
        lines.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kubechat_crds::DecisionKind;
    use kubechat_crds::approval::BreakGlass;

    use super::*;
    use crate::cli::decide::approval;
    use crate::cli::testing::{now, plan};

    fn args(key: Option<&Path>) -> SignArgs {
        SignArgs {
            git: true,
            sign_with: key.map(Path::to_owned),
            expires: Some(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn the_printed_command_signs_exactly_the_statement() {
        let mut made = approval(&plan(), DecisionKind::Approve, "", None);
        made.spec.break_glass = Some(BreakGlass {
            incident: "INC'1; rm -rf $HOME `x`".into(),
        });
        let made = prepare(made, "c-uid", &args(None), now()).unwrap();
        let text = statement(&made, "c-uid").unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>()[..5],
            [
                "kubechat.io/approval/v1",
                "c-uid",
                "demo/ask-1-plan",
                &plan().spec.digest,
                "Approve"
            ]
        );
        assert!(
            text.ends_with("2026-05-01T11:00:00Z\nINC'1; rm -rf $HOME `x`\n"),
            "{text}"
        );
        let line = command(&text);
        assert!(line.contains("'INC'\\''1; rm -rf $HOME `x`' | ssh-keygen -Y sign -n kubechat-approval"));
        assert!(line.starts_with("printf '%s\\n' 'kubechat.io/approval/v1' 'c-uid' "));
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        for (path, said) in [
            (folder.path().join("none"), "No such file"),
            (file("pub", "ssh-ed25519 AAAA bob"), "public half"),
            (file("text", "hello"), "no OpenSSH private key"),
            (file("long", &"x".repeat(70_000)), "too long"),
        ] {
            let made = approval(&plan(), DecisionKind::Approve, "", None);
            let error = prepare(made, "c", &args(Some(&path)), now())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(said) && error.contains("nothing was signed") && error.contains("ssh-keygen"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_of_files_are_names_of_kubernetes_and_differ_by_decision() {
        let mut long = plan();
        long.metadata.name = Some(format!("{}.b", "a".repeat(199)));
        let named = |decision| {
            let made = approval(&long, decision, "", None);
            file_name(&made, &statement(&made, "c").unwrap())
        };
        let (yes, no) = (named(DecisionKind::Approve), named(DecisionKind::Deny));
        assert!(yes != no && yes.len() <= 253 && !yes.contains(".-"), "{yes}");
        assert!(yes.contains("-approve-") && no.contains("-deny-"));
    }
}
