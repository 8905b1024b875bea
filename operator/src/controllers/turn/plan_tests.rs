use super::*;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};
use crate::testing::server::Fate;

#[tokio::test]
async fn a_plan_counts_in_the_hour_of_its_person_before_the_cache_shows_it_unless_the_api_server_refused_it()
{
    for (refused, counts) in [(None, 1), (Some(500), 1), (Some(403), 0)] {
        let mut world = World::new();
        world.propose(&[Verb::Label]).await;
        let mut spec = world.plan().spec;
        world.server.remove(&crate::testing::plans::plan_path());
        let process = world.start(Fuse::long()).await;
        spec.chat_request_ref.uid = "another".into();
        let mut request = ChatRequest::new("turn", kubechat_crds::ChatRequestSpec::default());
        request.metadata.namespace = Some("demo".into());
        request.metadata.uid = Some("another".into());
        world.server.fates(move |asked| match refused {
            Some(code) if asked.method == http::Method::POST => Fate::Refused(code),
            Some(_) | None => Fate::Answered,
        });
        let made = create(&request, &process.ctx, "another", spec).await;
        assert_eq!(made.is_ok(), refused.is_none());
        assert!(process.ctx.stores.plans.state().is_empty());
        let found = process.ctx.plans_within_the_hour("alice", Timestamp::now());
        assert_eq!(found.len(), counts, "{refused:?}");
    }
}
