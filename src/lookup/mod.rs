//! Lookups (`resolve`): questions, answers, verification, comparison, batches, printing.
//!
//! [`run`] answers a list of questions in a `batch`; `resolve` answers one of them, from the system
//! (`query`) or from name servers (`dns_query`, `records`).

mod answer;
mod batch;
mod compare;
mod dns_query;
mod forward_check;
mod no_answer;
mod options;
mod print;
mod query;
mod question;
mod question_file;
mod records;
mod resolve;
mod run;
mod services;
#[cfg(test)]
mod tests;
mod verify;
mod work_queue;

pub use options::{LookupOptions, VerifyOptions};
pub use run::{QuestionList, run};
