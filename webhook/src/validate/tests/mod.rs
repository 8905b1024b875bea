//! Tables of what validation refuses and allows, one file a kind.

mod approval;
mod chat_request;
mod command_plan;
mod early;
mod emergency;
mod policies;
