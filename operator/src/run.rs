//! The operator process: leads or stands by, keeps its guards in order, runs the controllers.
//!
//! **Invariant:** any task that ends unexpectedly ends the process; so does the loss of the lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Config};
use kubechat_crds::{
    AIProvider, Approval, ApproverKey, AuditPolicy, AuditPolicySpec, ChatRequest, ChatSession, CommandPlan,
    RiskPolicy,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::OperatorArgs;
use crate::audit::{self, Audit};
use crate::cluster::client::{self, call};
use crate::cluster::discovery::Discovery;
use crate::cluster::impersonate::Impersonator;
use crate::cluster::watch::{Gone, reflect, reflect_seen, reflect_telling};
use crate::context::{Context, Stores};
use crate::controllers;
use crate::controllers::lane::{Lane, forward, look_again, watch, watch_on};
use crate::controllers::removed;
use crate::duty::every;
use crate::events::Events;
use crate::http::{Health, serve};
use crate::leader::{Candidate, Leadership};
use crate::metrics::Metrics;
use crate::models::{self, Desk, Log, Models};
use crate::pace::Pace;
use crate::selfcheck::Admission;
use crate::setup::{seal, tls};
use crate::talks::Talks;

/// How long running reconciles may take to end at shutdown; a step under way stops before it is over ([`Pace`]).
const DRAIN: Duration = Duration::from_secs(40);

/// Runs the operator until shutdown.
///
/// # Errors
/// When it cannot start, when a part of it ends, and when the lease is lost.
pub async fn run(args: OperatorArgs, shutdown: CancellationToken) -> anyhow::Result<()> {
    let OperatorArgs {
        kubeconfig,
        context,
        namespace,
        audit_store,
        audit_key,
        listen,
        webhook_url,
        webhook_service_name,
        lease_seconds,
        log_format: _,
        identity,
        credentials_namespace: credentials,
        development,
        separate_interpreter: elsewhere,
        concurrency,
        check_seconds,
    } = args;
    let store = audit::path(&audit_store)?;
    let key = kubechat_audit::read_key(&audit_key).with_context(|| {
        format!(
            "the audit key {} cannot be used (kubechat audit init makes one)",
            audit_key.display()
        )
    })?;
    let config = client::config(kubeconfig.as_deref(), context.as_deref())
        .await
        .context("no cluster to talk to")?;
    let client = client::client(config.clone())?;
    let metrics = Arc::new(Metrics::default());
    let ready = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let health = Health {
        ready: Arc::clone(&ready),
        metrics: Arc::clone(&metrics),
    };
    tasks.spawn(serve(listen, health, shutdown.clone()));

    let mut candidate = Candidate::new(
        client.clone(),
        &namespace,
        &identity,
        Duration::from_secs(lease_seconds),
    );
    // Biased: at shutdown every part ends, and that is not unexpected.
    let leadership = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        leadership = candidate.acquire(&ready) => leadership,
        ended = tasks.join_next() => return first_end(ended),
    };
    ready.store(false, Ordering::SeqCst);
    metrics.leader.set(1);
    tracing::info!(identity, fence = leadership.fence, "leading");

    let endpoint = tls::Endpoint {
        namespace: namespace.clone(),
        service: webhook_service_name,
        url: webhook_url,
    };
    let started = async {
        let audit = audit::open(store, key, leadership.fence, &metrics).await?;
        let parts = Parts {
            check: Duration::from_secs(check_seconds),
            client,
            config,
            namespace,
            audit,
            metrics,
            leadership: leadership.clone(),
            models: models::Options {
                credentials,
                development,
                elsewhere,
            },
        };
        lead(parts, endpoint, concurrency, ready, &mut tasks, &shutdown).await
    };
    if let Err(problem) = started.await {
        // Perhaps another operator can, and this one after it was mended.
        candidate.release(&leadership).await;
        return Err(problem);
    }
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        why = candidate.hold(&leadership) => Err(anyhow::anyhow!(why)),
        ended = tasks.join_next() => first_end(ended),
    };
    // Nothing new begins; what runs may end within its time.
    shutdown.cancel();
    let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} });
    tokio::select! {
        drained = drained => if drained.is_err() {
            tracing::warn!("some reconciles did not end in time; they are taken up by the next leader");
        },
        // What is under way may be recorded only by a leader.
        () = keep(&mut candidate, &leadership) => {}
    }
    candidate.release(&leadership).await;
    ended
}

/// Goes on leading until it is dropped; never takes a lease that was lost.
async fn keep(candidate: &mut Candidate, leadership: &Leadership) {
    if leadership.check().is_ok() {
        candidate.hold(leadership).await;
    }
    std::future::pending::<()>().await;
}

fn first_end(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match ended {
        Some(Ok(Err(error))) => Err(error),
        Some(Ok(Ok(()))) | None => Err(anyhow::anyhow!("a part of the operator ended unexpectedly")),
        Some(Err(error)) => Err(anyhow::anyhow!("a part of the operator failed: {error}")),
    }
}

struct Parts {
    check: Duration,
    client: Client,
    config: Config,
    namespace: String,
    audit: Audit,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    models: models::Options,
}

/// Starts everything a leader does.
async fn lead(
    parts: Parts,
    endpoint: tls::Endpoint,
    concurrency: u16,
    ready: Arc<AtomicBool>,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Parts {
        check,
        client,
        config,
        namespace,
        audit,
        metrics,
        leadership,
        models,
    } = parts;
    let keys = seal::ensure(&client, &namespace).await.context("the seal key")?;
    tls::ensure(&client, &endpoint)
        .await
        .context("the webhook's certificate")?;
    let system: Api<Namespace> = Api::all(client.clone());
    let cluster_uid = call("read namespace kube-system", system.get("kube-system"))
        .await?
        .metadata
        .uid
        .unwrap_or_default();

    let (plans_left, told) = removed::begin(&audit).await.context("the last hour of the log")?;
    let (past, lines) = (Arc::clone(&plans_left.past), Arc::clone(&plans_left.past));
    let (went, talks): (Arc<Notify>, Arc<Talks>) = Default::default();
    let one_went = Arc::clone(&went);
    let seen = Arc::clone(&talks);
    let (leaving, removed_turns) = models::leaving();
    let (requests, has_requests, request_stream) =
        reflect_seen::<ChatRequest>(client.clone(), move |event| {
            seen.see(event);
            leaving.see(event);
            if let Event::Delete(turn) = event {
                lines.leave_line(turn.metadata.uid.as_deref().unwrap_or_default());
            }
            if matches!(event, Event::Delete(_) | Event::InitDone) {
                one_went.notify_one();
            }
        });
    let (plans, has_plans, plan_stream) =
        reflect_telling::<CommandPlan>(client.clone(), move |gone| match gone {
            Gone::Read(plan) => plans_left.plan(plan),
            Gone::Unread(_) => plans_left.unread(),
        });
    let (approvals, has_approvals, approval_stream) = reflect::<Approval>(client.clone());
    let (sessions, has_sessions, session_stream) = reflect::<ChatSession>(client.clone());
    let (policies, has_policies, policy_stream) = reflect::<RiskPolicy>(client.clone());
    let (providers, _, provider_stream) = reflect::<AIProvider>(client.clone());
    let (audit_policies, _, audit_policy_stream) = reflect::<AuditPolicy>(client.clone());
    let (approver_keys, _, approver_key_stream) = reflect::<ApproverKey>(client.clone());
    let stores = Stores {
        requests,
        plans,
        approvals,
        sessions,
        policies,
        filled: vec![has_requests, has_plans, has_approvals, has_sessions, has_policies],
    };

    let recorder = Recorder::new(
        client.clone(),
        Reporter {
            controller: "kubechat-operator".into(),
            instance: None,
        },
    );
    let (events, sent_events) = Events::new(recorder);
    let live = Arc::default();
    let desk = Desk {
        client: client.clone(),
        metrics: Arc::clone(&metrics),
        leadership: leadership.clone(),
        events: events.clone(),
        namespace: namespace.clone(),
        policies: stores.policies.clone(),
        live: Arc::clone(&live),
        log: Log::Own(audit.clone()),
    };
    let (mut models, interpreted) = Models::new(models, desk);
    models.learn(&audit).await.context("the last day of the log")?;
    let ctx = Arc::new(Context {
        people: Arc::new(Impersonator::new(config)?),
        audit,
        seal: Arc::new(RwLock::new(keys)),
        namespace,
        cluster_uid,
        discovery: Arc::new(Discovery::default()),
        leadership,
        admission: Arc::new(Admission::new(Arc::clone(&metrics))),
        metrics,
        stores: stores.clone(),
        past,
        talks,
        events,
        handled: Arc::default(),
        models: Arc::new(models),
        live,
        holders: Arc::default(),
        pace: Pace::new(shutdown.clone()),
        attempts: Arc::default(),
        client,
    });

    let ends = [shutdown, ctx.pace.settled()];
    let requests = Lane::new(
        tasks,
        "ChatRequest",
        &ctx,
        &stores.requests,
        concurrency,
        shutdown,
        controllers::chat_request::reconcile,
    );
    let plans = Lane::new(
        tasks,
        "CommandPlan",
        &ctx,
        &stores.plans,
        concurrency,
        shutdown,
        controllers::command_plan::reconcile,
    );
    let approvals = Lane::new(
        tasks,
        "Approval",
        &ctx,
        &stores.approvals,
        concurrency,
        shutdown,
        controllers::approval::reconcile,
    );
    let sessions = Lane::new(
        tasks,
        "ChatSession",
        &ctx,
        &stores.sessions,
        4,
        shutdown,
        controllers::chat_session::reconcile,
    );
    let policies = Lane::new(
        tasks,
        "RiskPolicy",
        &ctx,
        &stores.policies,
        1,
        shutdown,
        controllers::risk_policy::reconcile,
    );
    let providers = Lane::new(
        tasks,
        "AIProvider",
        &ctx,
        &providers,
        // A provider that does not answer its probe holds up a few others at most.
        8,
        shutdown,
        controllers::ai_provider::reconcile,
    );
    let audits = Lane::new(
        tasks,
        "AuditPolicy",
        &ctx,
        &audit_policies,
        1,
        shutdown,
        controllers::audit_policy::reconcile,
    );
    let keys = Lane::new(
        tasks,
        "ApproverKey",
        &ctx,
        &approver_keys,
        1,
        shutdown,
        controllers::approver_key::reconcile,
    );

    let (r, p, a, s) = (
        requests.clone(),
        plans.clone(),
        approvals.clone(),
        sessions.clone(),
    );
    tasks.spawn(controllers::kept::sweeps(
        Arc::clone(&ctx),
        went,
        check,
        shutdown.clone(),
    ));
    watch_on(tasks, request_stream, ends, move |request| {
        let (r, p, s) = (r.clone(), p.clone(), s.clone());
        async move {
            if request.spec.cancel {
                p.touch(&controllers::chat_request::plan_name(&request), &request)
                    .await;
            }
            if let Some(session) = &request.spec.session_ref {
                s.touch(&session.name, &request).await;
            }
            r.same(&request).await;
        }
    });
    tasks.spawn(models::told(interpreted, requests.clone(), shutdown.clone()));
    tasks.spawn(models::of_removed(
        removed_turns,
        Arc::clone(&ctx),
        shutdown.clone(),
    ));
    let (r, p2) = (requests.clone(), plans.clone());
    let all_approvals = stores.approvals.clone();
    watch_on(tasks, plan_stream, ends, move |plan| {
        let (r, p, a, all) = (r.clone(), p2.clone(), a.clone(), all_approvals.clone());
        async move {
            let name = kube::ResourceExt::name_any(&plan);
            // A decision that came before its plan, or that the plan has counted by now.
            for waiting in all
                .state()
                .iter()
                .filter(|x| x.spec.plan_ref.name == name && x.metadata.namespace == plan.metadata.namespace)
            {
                a.same(&**waiting).await;
            }
            r.touch(&plan.spec.chat_request_ref.name, &plan).await;
            p.same(&plan).await;
        }
    });
    let (p3, a2) = (plans.clone(), approvals);
    watch_on(tasks, approval_stream, ends, move |approval| {
        let (p, a) = (p3.clone(), a2.clone());
        async move {
            p.touch(&approval.spec.plan_ref.name, &approval).await;
            a.same(&approval).await;
        }
    });
    let (p4, waiting) = (plans.clone(), stores.plans.clone());
    watch_on(tasks, policy_stream, ends, move |policy| {
        let (p, own, waiting) = (p4.clone(), policies.clone(), waiting.clone());
        async move {
            own.same(&policy).await;
            // A changed policy may let plans go, or hold them.
            look_again(&p, &waiting).await;
        }
    });
    controllers::holders::keep(
        tasks,
        &ctx.client,
        &ctx.holders,
        shutdown,
        (&plans, &stores.plans),
    );
    let (p5, waiting) = (plans, stores.plans.clone());
    watch(tasks, approver_key_stream, shutdown, move |key| {
        let (p, own, waiting) = (p5.clone(), keys.clone(), waiting.clone());
        async move {
            own.same(&key).await;
            // What a revoked key signed counts no longer.
            look_again(&p, &waiting).await;
        }
    });
    forward(tasks, session_stream, shutdown, sessions);
    forward(tasks, provider_stream, shutdown, providers);
    let recording = Arc::clone(&ctx);
    watch(tasks, audit_policy_stream, shutdown, move |policy| {
        let (own, ctx, left) = (audits.clone(), Arc::clone(&recording), audit_policies.clone());
        async move {
            // A policy that was deleted switches nothing off any more.
            if left.state().is_empty() {
                ctx.audit.honour(&AuditPolicySpec::default());
            }
            own.same(&policy).await;
        }
    });
    seal::follow(tasks, &ctx, shutdown);
    let left_by_admission = controllers::admission_event::watched(ctx.client.clone(), &ctx.namespace);
    let recording = Arc::clone(&ctx);
    watch(tasks, left_by_admission, shutdown, move |event| {
        let ctx = Arc::clone(&recording);
        async move { controllers::admission_event::record(&event, &ctx).await }
    });

    let (telling, pace) = (told.tell(Arc::clone(&ctx)), ctx.pace.clone());
    tasks.spawn(async move {
        // Whoever tells ends by itself, a while after the process was asked to.
        let all_told = async {
            tokio::join!(telling, pace.idle());
        };
        sent_events.until(all_told).await;
        Ok(())
    });
    let (until, checked) = (shutdown.clone(), Arc::clone(&ctx));
    tasks.spawn(async move {
        every(
            check,
            until,
            || async { checked.admission.prove(&checked).await.map_err(Into::into) },
            "admission check",
        )
        .await
    });
    let (until, kept) = (shutdown.clone(), Arc::clone(&ctx));
    tasks.spawn(async move {
        every(
            check,
            until,
            || async {
                kept.leadership.check()?;
                tls::ensure(&kept.client, &endpoint).await.map_err(Into::into)
            },
            "webhook certificate",
        )
        .await
    });
    ctx.metrics.audit_healthy.set(1);
    ready.store(true, Ordering::SeqCst);
    Ok(())
}
