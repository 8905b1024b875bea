//! What GitOps tools make of KubeChat's objects, on golden objects.

#[cfg(test)]
mod cases;
