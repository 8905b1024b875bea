//! Named places between the effects of an execution, where a test ends the process or lets it hang.
//!
//! They exist in test builds only: in every other build [`at`] is an empty function, so that no environment variable and
//! no flag can stop a product. The boundaries of the network and of the audit store are the fake API server's and the fake
//! store's own.

/// A place between two effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Everything was read and judged; nothing is recorded.
    BeforeIntent,
    /// The intent stands in the log; the status does not know.
    AfterIntent,
    /// The status says Sent; nothing was sent.
    AfterReport,
    /// Right before one write.
    BeforeSend,
    /// The API server answered one write.
    AfterSend,
    /// All writes of a step were answered; the log does not know.
    BeforeResult,
    /// The result stands in the log; the status does not know.
    AfterResult,
    /// All steps are done; the effect is waited for.
    Waiting,
    /// The end is known; the status does not say it yet.
    BeforeEnd,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::AfterReport,
        Self::BeforeSend,
        Self::AfterSend,
        Self::BeforeResult,
        Self::AfterResult,
        Self::Waiting,
        Self::BeforeEnd,
    ];
}

#[cfg(test)]
pub(crate) type Hook = std::sync::Arc<dyn Fn(Point) -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

#[cfg(test)]
tokio::task_local! {
    /// What happens at each point in this task.
    pub(crate) static HOOK: Hook;
}

/// Passes a point.
#[cfg(test)]
pub async fn at(point: Point) {
    if let Ok(hook) = HOOK.try_with(std::sync::Arc::clone) {
        hook(point).await;
    }
}

/// Passes a point.
#[cfg(not(test))]
#[inline]
pub async fn at(_: Point) {}
