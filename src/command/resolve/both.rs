//! Two views of one question side by side: where hosts file and DNS disagree.

use super::answer::Answer;
use super::plan::Answers;
use crate::failure::{Code, Failure, Stage};
use crate::report::resolved::{Resolved, View};

/// Compares the system's answers with DNS's. That one of them knows of nothing is a
/// difference (1); that both do is an absence (6); that one cannot tell is its failure.
pub fn both<T>(
    word: &str,
    (system, dns): (Answers<T>, Answers<T>),
    same: impl Fn(&T, &T) -> bool,
    told: impl Fn(Vec<T>) -> Vec<String>,
) -> Answer {
    let (system, dns) = match (certain(system), certain(dns)) {
        (Ok(system), Ok(dns)) => (system, dns),
        (Err(absence), _) | (_, Err(absence)) => return absence.answer(),
    };
    if system.is_empty() && dns.is_empty() {
        let why = "neither the system nor DNS knows it";
        return Answer::failed(Failure::new(Stage::Resolve, word, why));
    }
    let known = |list: &[T], answer: &T| list.iter().any(|other| same(other, answer));
    let (shared, theirs): (Vec<T>, Vec<T>) = dns.into_iter().partition(|a| known(&system, a));
    let ours: Vec<T> = system.into_iter().filter(|answer| !known(&shared, answer)).collect();
    let agree = ours.is_empty() && theirs.is_empty();
    let parts = [("both", shared), ("system", ours), ("dns", theirs)];
    let views = parts.into_iter().flat_map(|(via, answers)| {
        told(answers).into_iter().map(move |answer| View { via, answer })
    });
    let views = Some(views.collect());
    let (status, code) = if agree { ("ok", Code::Done) } else { ("differs", Code::Negative) };
    Answer::ok(Resolved { status, code: code.number(), views, ..Resolved::default() })
}

/// A known absence as an empty list.
fn certain<T>(answers: Answers<T>) -> Answers<T> {
    match answers {
        Err(absence) if absence.is_certain() => Ok(Vec::new()),
        answers => answers,
    }
}

impl Answer {
    /// Lists what the views hold as addresses.
    pub fn into_addresses(mut self) -> Answer {
        self.facts.addresses = Some(self.viewed());
        self
    }

    /// Lists what the views hold as names.
    pub fn into_names(mut self) -> Answer {
        self.facts.names = Some(self.viewed());
        self
    }

    fn viewed(&self) -> Vec<String> {
        self.facts.views.iter().flatten().map(|view| view.answer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(system: Answers<u8>, dns: Answers<u8>) -> Answer {
        let told = |list: Vec<u8>| list.iter().map(u8::to_string).collect();
        both("x", (system, dns), |a, b| a == b, told)
    }

    fn absent() -> Answers<u8> {
        Err(Failure::new(Stage::Resolve, "x", "absent").into())
    }

    #[test]
    fn each_answer_is_told_with_who_gave_it() {
        let answer = compare(Ok(vec![1, 2]), Ok(vec![3, 2]));
        let rows = answer.facts.rows().into_iter().map(|row| row.join(" "));
        assert_eq!(rows.collect::<Vec<_>>(), ["both 2", "system 1", "dns 3"]);
        assert_eq!((answer.facts.status, answer.facts.code), ("differs", 1));
        assert_eq!(compare(Ok(vec![1, 2]), Ok(vec![2, 1])).facts.code, 0);
    }

    #[test]
    fn to_know_of_nothing_differs_and_not_to_know_fails() {
        assert_eq!(compare(Ok(vec![1]), absent()).facts.code, 1);
        assert_eq!(compare(absent(), absent()).facts.code, 6);
        let failing = Failure::new(Stage::Resolve, "x", "SERVFAIL").with_code(Code::TryAgain);
        assert_eq!(compare(Ok(vec![1]), Err(failing.into())).facts.code, 75);
    }
}
