//! The method and the limits in words, as they stand beside each number in `results.json`.

use super::Args;
use super::admission::{self, Admission};
use super::blast::{self, Blast};
use super::latency::{self, Latency};
use super::machine::Surroundings;
use super::noise::{self, Noise};
use super::redact::{self, Redaction};
use super::throughput::{self, Throughput};
use super::{costliest, policy};

/// How the run was done, for all numbers of a part.
pub(super) fn circumstances(
    args: &Args,
    blocks: &[&Noise],
    left_out: usize,
    around: &Surroundings,
) -> String {
    let quick = if args.quick {
        "Quick run, not for comparison. "
    } else {
        ""
    };
    let disk = if args.no_fsync {
        "etcd does not wait for the disk"
    } else {
        "etcd waits for the disk"
    };
    format!(
        "{quick}Median of {} (A B B A each, interleaved) with bootstrap 95 % interval, seed {}; {disk}, the audit log always does. {}.",
        noise::words(blocks, left_out),
        args.seed,
        around.line()
    )
}

/// B1.
pub(super) fn efficiency(found: &Throughput, settings: throughput::Settings) -> String {
    format!(
        "{:.1} turns/s x {:.2} writes / {:.0} raw writes/s, each with {} at once in closed loops of {:.1} s and {:.1} s. \
         A turn: alice asks to label a ConfigMap, confirms as soon as the plan waits, and sees it Succeeded. \
         Raw: the {} writes of one recorded turn ({} bytes of JSON) on copies of the same kinds without rules, webhook, policies or \
         controller ({:.0}/s on kinds without a schema), as admin, whom priority and fairness does not queue; alice, operator and \
         webhook are in it and waited {:.2} ms a request on average. Limit: {}.",
        found.turns_per_second,
        found.writes.value,
        found.raw_per_second,
        settings.workers,
        settings.window.as_secs_f64(),
        settings.window.as_secs_f64() / 2.0,
        found.raw_writes_per_turn,
        found.raw_bytes_per_turn,
        found.bare_per_second,
        found.queue_ms,
        cpu(found)
    )
}

/// Where the CPU of a turn goes, largest first.
fn cpu(found: &Throughput) -> String {
    let mut parts: Vec<(&String, f64)> = found
        .cpu_per_turn
        .iter()
        .map(|(name, seconds)| (name, *seconds))
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = parts.iter().map(|part| part.1).sum();
    let raw: f64 = found.cpu_per_raw_write.values().sum();
    let shown: Vec<String> = parts
        .iter()
        .take(5)
        .map(|(name, seconds)| format!("{name} {:.1}", seconds * 1000.0))
        .collect();
    format!(
        "a turn costs {:.1} ms of CPU ({}), its writes alone {:.1} ms",
        all * 1000.0,
        shown.join(", "),
        raw * found.writes.value * 1000.0
    )
}

/// B2.
pub(super) fn writes(found: &Throughput, settings: throughput::Settings) -> String {
    format!(
        "Difference of apiserver_request_total over each leg of turns: persisted writes (2xx, no dry-runs) on kubechat.io and \
         on the target, / turns, with {} turns at once; a turn alone has {:.1}. Events and leases are not counted.",
        settings.workers, found.lone_writes
    )
}

/// B4.
pub(super) fn admission(found: &Admission, settings: admission::Settings) -> String {
    format!(
        "p99 of {} creates a block, {:.0} begun a second at fixed times: one review posted to the mutating and then to the validating \
         side of KubeChat's webhook (p50 {:.2} ms) / the same of a webhook of the same server stack that allows everything, in a \
         process of its own (p50 {:.2} ms, p99 {:.2} ms); {} creates a side in all. Limit: two TLS requests on loopback; what is ours \
         is the seal (HMAC), the schema, limits and the search for secrets in the prompt.",
        settings.creates * 2,
        1.0 / settings.pause.as_secs_f64(),
        found.ours_p50,
        found.noop_p50,
        found.noop_p99,
        found.samples
    )
}

/// B4, decisions.
pub(super) fn decision(found: &Admission) -> String {
    format!(
        "Median of an Approval CREATE, both sides of the webhook ({:.2} ms) / (median of the no-op + twice the median of the \
         SubjectAccessReview it asks, {:.2} ms). Limit: the plan is read fresh while the review is asked (the webhook saw the \
         plan when it was made; of another it asks two reviews).",
        found.decision_p50, found.review_p50
    )
}

/// The blast radius.
pub(super) fn blast(found: &Blast, settings: blast::Settings, pods: usize) -> String {
    format!(
        "p95 of {} plans a block (\"delete deployment huge\", one after the other, as alice), by the operator's own clock, from the \
         first read to the last number, for a Deployment of {} pods behind a Service in a cluster and namespace of {} pods / median \
         of {} lists of the same pods as the same person ({:.0} ms, not parsed).",
        settings.plans * 2,
        found.pods,
        pods + found.pods,
        settings.plans * 2,
        found.list_milliseconds
    )
}

/// B24.
pub(super) fn latency(found: &Latency, settings: latency::Settings) -> String {
    format!(
        "p95 of {} plans a block, {:.1} asked for a second at fixed times (scale, restart, set image, delete a pod, label all 10 pods \
         of an app; from the create call until the watch shows AwaitingApproval: p50 {:.0} ms, p95 {:.0} ms) / median of {} lists of \
         all {} pods, page size 500 ({:.0} ms, {:.1} MB, not parsed). Limit: a plan is two creates and two status writes of the API \
         server, and the reads and dry-runs of its targets, one after the other.",
        settings.plans * 2,
        1.0 / settings.pause.as_secs_f64(),
        found.plan_p50 * 1000.0,
        found.plan_p95 * 1000.0,
        settings.lists * 2,
        found.pods,
        found.list_seconds * 1000.0,
        found.list_bytes as f64 / 1e6
    )
}

/// B25.
pub(super) fn policy(found: &policy::Decisions, settings: policy::Settings) -> String {
    format!(
        "Median of {} processes of {} decisions each: 50 rules in CEL over a plan of one object, none of which matches; packs \
         compiled before, variables made for each decision. A plan of ten objects: {:.0} us.",
        settings.runs, settings.rounds, found.ten
    )
}

/// B25 at its worst.
pub(super) fn costliest(found: &costliest::Costliest, settings: costliest::Settings) -> String {
    let least = found
        .all
        .iter()
        .map(|(_, took)| *took)
        .fold(f64::INFINITY, f64::min);
    format!(
        "Median of {} processes of {} decisions each, over a plan of 64 steps and 512 objects that holds as much as rules are \
         shown at most, by 64 times the slowest of {} costly rules: {}. The fastest of them takes {least:.1} ms. Limit: what all \
         rules of a decision may cost together; beyond it the plan is denied.",
        settings.runs,
        settings.rounds,
        found.all.len(),
        found.expression
    )
}

/// Redaction.
pub(super) fn redact(found: &Redaction) -> String {
    let peer = found.peer.as_ref().map_or_else(
        || "detect-secrets could not be run here (python3 with pip is needed)".to_owned(),
        |peer| {
            format!(
                "detect-secrets {} takes {:.0} ms for the same file (its own process, start included) and marks {:.1} % of those lines, \
                 and {} others",
                peer.version,
                peer.milliseconds,
                peer.share * 100.0,
                peer.others
            )
        },
    );
    format!(
        "p95 of {} redactions in each of {} processes, of {} bytes with {} planted secrets of {} kinds in lines of their own; the \
         interval is over processes. {} other lines were marked. {peer}.",
        redact::ROUNDS,
        found.runs,
        found.bytes,
        found.planted,
        found.kinds,
        found.others
    )
}
