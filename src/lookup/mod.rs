//! What `resolve` does: questions, their answers, verification, comparison, batches, printing.

pub mod answer;
pub mod batch;
pub mod compare;
pub mod dns_query;
pub mod forward_check;
pub mod options;
pub mod print;
pub mod query;
pub mod question;
pub mod question_file;
pub mod services;
pub mod verify;
pub mod work_queue;
