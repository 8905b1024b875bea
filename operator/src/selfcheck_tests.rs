use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tower::BoxError;

use super::{Admission, FAILED};
use crate::context::Context;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, Process, World};
use crate::testing::server::Answer;
use kubechat_crds::PlanPhase;

/// A process that remembers as one in earnest does.
fn remembering(process: &Process) -> Context {
    let mut ctx = Context::clone(&process.ctx);
    ctx.admission = Arc::new(Admission::new(Arc::clone(&ctx.metrics)));
    ctx
}

/// Reaches an API server that does not answer, or closes the connection; counts what is asked.
fn out_of_reach(hangs: bool, asked: &Arc<AtomicUsize>) -> Client {
    let asked = Arc::clone(asked);
    let service = tower::service_fn(move |_: Request<Body>| {
        asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Err::<Answer, BoxError>("connection reset".into())
        }
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn many_who_ask_while_the_api_server_hangs_or_refuses_make_one_request_and_forget_it_soon() {
    for hangs in [true, false] {
        let process = World::new().start(Fuse::long()).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let mut ctx = remembering(&process);
        ctx.client = out_of_reach(hangs, &asked);
        tokio::time::pause();
        let mut requests = vec![];
        // All at once, one after the other right behind them, and after a moment.
        for (wait, many) in [(0, 50), (0, 1), (1, 50), (3, 50)] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            let all = join_all((0..many).map(|_| ctx.admission.check(&ctx))).await;
            for looked in all {
                assert_eq!(looked.unwrap_err().reason(), "AdmissionUnhealthy");
            }
            requests.push(asked.load(Ordering::SeqCst));
        }
        assert_eq!(requests, [1, 1, 1, 2], "hangs: {hangs}");
        // Proving does not ask what is remembered, yet waits for what is under way.
        tokio::time::advance(Duration::from_millis(1)).await;
        let all = join_all((0..50).map(|_| ctx.admission.prove(&ctx))).await;
        assert!(all.iter().all(Result::is_err));
        let after = asked.load(Ordering::SeqCst);
        assert!(after > 2 && (after == 3 || !hangs), "hangs: {hangs}: {after}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_success_after_a_failure_is_seen_at_the_next_look() {
    for proves in [true, false] {
        let mut world = World::new();
        let process = world.start(Fuse::long()).await;
        let ctx = remembering(&process);
        tokio::time::pause();
        world.server.stamp(false);
        assert!(ctx.admission.check(&ctx).await.is_err());
        world.server.stamp(true);
        assert!(ctx.admission.check(&ctx).await.is_err(), "for a moment");
        if proves {
            ctx.admission.prove(&ctx).await.unwrap();
        } else {
            tokio::time::advance(FAILED).await;
        }
        ctx.admission.check(&ctx).await.unwrap();
        // And a failure after a success, as soon as that is old.
        world.server.stamp(false);
        ctx.admission.check(&ctx).await.unwrap();
        tokio::time::advance(super::FRESH).await;
        assert!(ctx.admission.check(&ctx).await.is_err());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn who_is_cut_off_while_asking_holds_nobody_up() {
    let mut world = World::new();
    let hangs_once = Fuse::before(|method, path| method == Method::POST && path.ends_with("/chatrequests"));
    let ctx = remembering(&world.start(hangs_once).await);
    tokio::time::pause();
    let cut = tokio::time::timeout(Duration::from_secs(1), ctx.admission.check(&ctx)).await;
    assert!(cut.is_err(), "{cut:?}");
    let next = tokio::time::timeout(Duration::from_secs(1), ctx.admission.check(&ctx)).await;
    next.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_sent_while_the_clock_is_not_the_api_servers() {
    for (ahead, side) in [
        (60, "behind"),
        (3600, "behind"),
        (-60, "ahead of"),
        (-3600, "ahead of"),
    ] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        world.server.run_ahead(ahead);
        let process = world.start(Fuse::long()).await;
        let error = process.look(&world).await.unwrap_err();
        assert_eq!(error.reason(), "ClockSkew", "{ahead}: {error}");
        assert!(error.to_string().contains(side), "{ahead}: {error}");
        assert_eq!(world.writes(&step), [0], "{ahead}");
        world.server.run_ahead(0);
        let plan = process.finish(&world).await;
        assert_eq!(plan.status.unwrap().phase, Some(PlanPhase::Succeeded), "{ahead}");
        assert_eq!(world.writes(&step), [1], "{ahead}");
    }
}
