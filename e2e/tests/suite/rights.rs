//! What each account may do, asked of the API server itself; half of it is what they may not.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::runner::{Ctx, Test, shared};

const RBAC: &str = "rbac.authorization.k8s.io";
const KUBECHAT: &str = "kubechat.io";

pub(crate) fn tests() -> Vec<Test> {
    shared![
        accounts_have_exactly_the_rights_listed,
        accounts_may_ask_and_approve_exactly_as_listed
    ]
}

/// (account, verb, group, resource, where, allowed)
type Right = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Where,
    bool,
);

#[derive(Clone, Copy, Debug)]
enum Where {
    /// In a work namespace.
    Here,
    /// In the namespace erin asks from.
    Ops,
    /// In a namespace nobody was given rights in.
    Elsewhere,
    /// In all namespaces, or on a kind without one.
    Cluster,
}
use Where::{Cluster, Elsewhere, Here, Ops};

async fn accounts_have_exactly_the_rights_listed(ctx: Arc<Ctx>) -> Result<()> {
    let rights = [
        ("admin", "delete", "", "nodes", Cluster, true),
        ("admin", "create", RBAC, "clusterroles", Cluster, true),
        ("alice", "patch", "apps", "deployments", Here, true),
        ("alice", "delete", "", "pods", Here, true),
        ("alice", "get", "", "secrets", Here, true),
        ("alice", "get", "apps", "deployments", Elsewhere, false),
        ("alice", "create", RBAC, "rolebindings", Here, false),
        ("alice", "list", "", "nodes", Cluster, false),
        ("alice", "impersonate", "", "users", Cluster, false),
        ("bob", "get", "apps", "deployments", Here, true),
        ("bob", "patch", "apps", "deployments", Here, false),
        ("bob", "get", "", "secrets", Here, false),
        ("bob", "get", "apps", "deployments", Elsewhere, false),
        ("carol", "list", "", "pods", Here, true),
        ("carol", "delete", "", "pods", Here, false),
        ("carol", "delete", "", "nodes", Cluster, false),
        ("dave", "get", "apps", "deployments", Here, true),
        ("dave", "patch", "apps", "deployments", Here, false),
        ("dave", "get", "", "secrets", Here, false),
        ("dave", "list", "", "pods", Elsewhere, false),
        ("erin", "patch", "apps", "deployments", Here, true),
        ("erin", "delete", "", "nodes", Cluster, true),
        ("erin", "create", RBAC, "clusterrolebindings", Cluster, true),
    ];
    check(&ctx, &rights).await
}

async fn accounts_may_ask_and_approve_exactly_as_listed(ctx: Arc<Ctx>) -> Result<()> {
    // The roles come with KubeChat.
    ctx.product().await?;
    let rights = [
        ("alice", "create", KUBECHAT, "chatrequests", Here, true),
        ("alice", "create", KUBECHAT, "approvals", Here, true),
        ("alice", "create", KUBECHAT, "chatrequests", Elsewhere, false),
        (
            "alice",
            "approve-destructive",
            KUBECHAT,
            "commandplans",
            Here,
            false,
        ),
        ("alice", "create", KUBECHAT, "commandplans", Here, false),
        ("alice", "patch", KUBECHAT, "riskpolicies", Cluster, false),
        ("bob", "approve-caution", KUBECHAT, "commandplans", Here, true),
        ("bob", "approve-destructive", KUBECHAT, "commandplans", Here, true),
        ("bob", "create", KUBECHAT, "chatrequests", Here, false),
        (
            "carol",
            "approve-destructive",
            KUBECHAT,
            "commandplans",
            Cluster,
            true,
        ),
        ("carol", "create", KUBECHAT, "commandplans", Cluster, false),
        ("dave", "create", KUBECHAT, "chatrequests", Here, true),
        ("dave", "create", KUBECHAT, "chatrequests", Ops, false),
        ("dave", "approve-caution", KUBECHAT, "commandplans", Here, false),
        ("erin", "create", KUBECHAT, "chatrequests", Ops, true),
        ("erin", "approve-destructive", KUBECHAT, "commandplans", Ops, true),
    ];
    check(&ctx, &rights).await
}

async fn check(ctx: &Ctx, rights: &[Right]) -> Result<()> {
    let here = ctx.namespace("rights").await?;
    let mut wrong = Vec::new();
    for right in rights {
        let (account, verb, group, resource, at, expected) = *right;
        let namespace = match at {
            Here => Some(here.as_str()),
            Ops => Some("ops"),
            Elsewhere => Some("kube-system"),
            Cluster => None,
        };
        if may(&ctx.client(account).await?, verb, group, resource, namespace).await? != expected {
            wrong.push(format!("{right:?}"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "the API server says the opposite of:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

async fn may(
    client: &Client,
    verb: &str,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
) -> Result<bool> {
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        non_resource_attributes: None,
    };
    let review = SelfSubjectAccessReview {
        spec,
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    Ok(answer.status.context("a review without status")?.allowed)
}
