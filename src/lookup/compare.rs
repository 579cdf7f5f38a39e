//! Two views of one question side by side: where hosts file and DNS disagree.

use super::answer::Answer;
use super::options::{LookupResult, NoAnswer};
use crate::error::{ExitCode, Failure, Phase};
use crate::report::lookup::{LookupReport, View};

/// Compares the system's answers with DNS's. That one of them knows of nothing is a difference (1);
/// that both do is an absence (6); a side that fails is its failure (75, 28, 8), beside what the
/// other one has. A side without an answer has a view of its own.
pub fn compare_views<T>(
    word: &str,
    (system, dns): (LookupResult<T>, LookupResult<T>),
    same: impl Fn(&T, &T) -> bool,
    format: impl Fn(Vec<T>) -> Vec<String>,
) -> Answer {
    let (system, no_system) = apart(system);
    let (dns, no_dns) = apart(dns);
    let nothing = system.is_empty() && dns.is_empty();
    let mut views = compared(system, dns, same, format);
    views.extend(no_system.iter().map(|absence| missing("system", absence)));
    views.extend(no_dns.iter().map(|absence| missing("dns", absence)));
    let agree = views.iter().all(|view| view.via == "both");
    let (status, code) =
        if agree { ("ok", ExitCode::Done) } else { ("differs", ExitCode::Negative) };
    let answer = match [no_system, no_dns].into_iter().flatten().find(|side| !side.is_definitive())
    {
        Some(unknown) => unknown.answer(),
        None if nothing => {
            let why = "neither the system nor DNS knows it";
            Answer::failed(Failure::new(Phase::Resolve, word, why))
        }
        None => Answer::ok(LookupReport { status, code: code.number(), ..LookupReport::default() }),
    };
    let views = (!nothing).then_some(views);
    Answer { facts: LookupReport { views, ..answer.facts }, ..answer }
}

/// The answers, and why there are none.
fn apart<T>(answers: LookupResult<T>) -> (Vec<T>, Option<NoAnswer>) {
    match answers {
        Ok(found) => (found, None),
        Err(absence) => (Vec::new(), Some(absence)),
    }
}

fn compared<T>(
    system: Vec<T>,
    dns: Vec<T>,
    same: impl Fn(&T, &T) -> bool,
    format: impl Fn(Vec<T>) -> Vec<String>,
) -> Vec<View> {
    let known = |list: &[T], answer: &T| list.iter().any(|other| same(other, answer));
    let (shared, theirs): (Vec<T>, Vec<T>) = dns.into_iter().partition(|a| known(&system, a));
    let ours: Vec<T> = system.into_iter().filter(|answer| !known(&shared, answer)).collect();
    let parts = [("both", shared), ("system", ours), ("dns", theirs)];
    let views = parts.into_iter().flat_map(|(via, answers)| {
        let view = move |answer| View { via, answer: Some(answer), cause: None };
        format(answers).into_iter().map(view)
    });
    views.collect()
}

fn missing(via: &'static str, absence: &NoAnswer) -> View {
    View { via, answer: None, cause: Some(absence.failure.cause()) }
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
        self.facts.views.iter().flatten().filter_map(|view| view.answer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(system: LookupResult<u8>, dns: LookupResult<u8>) -> Answer {
        let told = |list: Vec<u8>| list.iter().map(u8::to_string).collect();
        compare_views("x", (system, dns), |a, b| a == b, told)
    }

    fn absent() -> LookupResult<u8> {
        Err(Failure::new(Phase::Resolve, "x", "absent").into())
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
        let rows = |answer: &Answer| {
            answer.facts.rows().iter().map(|row| row.join(" ")).collect::<Vec<_>>()
        };
        let differs = compare(Ok(vec![1]), absent());
        assert_eq!(
            (differs.facts.code, rows(&differs)),
            (1, vec!["system 1".into(), "dns -".into()])
        );
        let differs = compare(absent(), Ok(vec![1]));
        assert_eq!(
            (differs.facts.code, rows(&differs)),
            (1, vec!["dns 1".into(), "system -".into()])
        );
        assert_eq!(compare(absent(), absent()).facts.code, 6);
        let failing = Failure::resolver("x", "SERVFAIL");
        let unknown = compare(Ok(vec![1]), Err(failing.into()));
        assert_eq!((unknown.facts.code, unknown.facts.status), (75, "failing"));
        assert_eq!(rows(&unknown), ["system 1", "dns -"]);
        assert_eq!(unknown.into_addresses().facts.addresses.unwrap(), ["1"]);
    }
}
