//! Lookups (`resolve`): questions, answers, verification, comparison, batches, printing.
//!
//! [`run`] answers a list of questions; [`resolve`](resolve::resolve) answers one of them, from
//! the system or from name servers ([`query`], [`dns_query`]).

pub mod answer;
pub mod batch;
pub mod compare;
pub mod dns_query;
pub mod forward_check;
pub mod no_answer;
pub mod options;
pub mod print;
pub mod query;
pub mod question;
pub mod question_file;
pub mod records;
pub mod resolve;
mod run;
pub mod services;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod work_queue;

pub use options::{LookupOptions, VerifyOptions};
pub use run::{QuestionList, run};
