//! Flag groups that several commands share, each with its help in one place.

pub mod answering;
pub mod bind;
pub mod dial;
pub mod identity;
pub mod output;
pub mod pattern;
pub mod retrying;
pub mod run;
pub mod script;
pub mod serve;
pub mod session;
pub mod socket;
pub mod talk;
pub mod tls;
pub mod values;
