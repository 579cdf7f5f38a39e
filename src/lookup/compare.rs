//! Compares the answers of the system and of DNS to one question.

use super::answer::Answer;
use super::no_answer::{LookupResult, NoAnswer};
use crate::error::{ExitCode, Failure, Phase};
use crate::report::event::lookup::{LookupReport, LookupSource, LookupStatus, View};

/// Compares the answers of the system with those of DNS. It is a difference (1) if one of them has no
/// answer, an unknown name (6) if both have none. A source that failed (75, 28, 8) determines the
/// status; the answers of the other one are kept. A source without an answer has an entry too.
pub fn compare<T>(
    question: &str,
    (system, dns): (LookupResult<T>, LookupResult<T>),
    same: impl Fn(&T, &T) -> bool,
    format: impl Fn(Vec<T>) -> Vec<String>,
) -> Answer {
    let mut missing = Vec::new();
    let mut answers = |via, result: LookupResult<T>| {
        result.unwrap_or_else(|no_answer| {
            missing.push((via, no_answer));
            Vec::new()
        })
    };
    let (system, dns) = (answers(LookupSource::System, system), answers(LookupSource::Dns, dns));
    let is_empty = system.is_empty() && dns.is_empty();
    let mut views = merge(system, dns, same, format);
    views.extend(missing.iter().map(|(via, no_answer)| missing_view(*via, no_answer)));
    let agree = views.iter().all(|view| view.via == LookupSource::Both);
    let (status, code) = if agree {
        (LookupStatus::Ok, ExitCode::Done)
    } else {
        (LookupStatus::Differs, ExitCode::Negative)
    };
    let mut reasons = missing.into_iter().map(|(_, no_answer)| no_answer);
    let answer = match reasons.find(|no_answer| !no_answer.is_definitive()) {
        Some(failed) => failed.into(),
        None if is_empty => {
            let why = "neither the system nor DNS has an answer";
            NoAnswer::from(Failure::new(Phase::Resolve, question, why)).into()
        }
        None => Answer::ok(LookupReport { status, code: code.number(), ..LookupReport::default() }),
    };
    let views = (!is_empty).then_some(views);
    Answer { result: LookupReport { views, ..answer.result }, ..answer }
}

/// Groups the answers by their source.
fn merge<T>(
    system: Vec<T>,
    dns: Vec<T>,
    same: impl Fn(&T, &T) -> bool,
    format: impl Fn(Vec<T>) -> Vec<String>,
) -> Vec<View> {
    let known = |list: &[T], answer: &T| list.iter().any(|other| same(other, answer));
    let (shared, dns_only): (Vec<T>, Vec<T>) = dns.into_iter().partition(|a| known(&system, a));
    let system_only: Vec<T> = system.into_iter().filter(|answer| !known(&shared, answer)).collect();
    let parts = [
        (LookupSource::Both, shared),
        (LookupSource::System, system_only),
        (LookupSource::Dns, dns_only),
    ];
    let views = parts.into_iter().flat_map(|(via, answers)| {
        let view = move |answer| View { via, answer: Some(answer), cause: None };
        format(answers).into_iter().map(view)
    });
    views.collect()
}

fn missing_view(via: LookupSource, no_answer: &NoAnswer) -> View {
    View { via, answer: None, cause: Some(no_answer.failure.cause()) }
}

impl Answer {
    /// Lists the answers of all sources as addresses.
    pub fn into_addresses(mut self) -> Answer {
        self.result.addresses = Some(self.all_answers());
        self
    }

    /// Lists the answers of all sources as names.
    pub fn into_names(mut self) -> Answer {
        self.result.names = Some(self.all_answers());
        self
    }

    fn all_answers(&self) -> Vec<String> {
        self.result.views.iter().flatten().filter_map(|view| view.answer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(system: LookupResult<u8>, dns: LookupResult<u8>) -> Answer {
        let format = |list: Vec<u8>| list.iter().map(u8::to_string).collect();
        compare("x", (system, dns), |a, b| a == b, format)
    }

    fn absent() -> LookupResult<u8> {
        Err(Failure::new(Phase::Resolve, "x", "absent").into())
    }

    #[test]
    fn answers_are_listed_with_their_source() {
        let answer = compared(Ok(vec![1, 2]), Ok(vec![3, 2]));
        let rows = answer.result.rows().into_iter().map(|row| row.join(" "));
        assert_eq!(rows.collect::<Vec<_>>(), ["both 2", "system 1", "dns 3"]);
        assert_eq!((answer.result.status, answer.result.code), (LookupStatus::Differs, 1));
        assert_eq!(compared(Ok(vec![1, 2]), Ok(vec![2, 1])).result.code, 0);
    }

    #[test]
    fn missing_answer_differs_and_failed_source_fails() {
        let rows = |answer: &Answer| {
            answer.result.rows().iter().map(|row| row.join(" ")).collect::<Vec<_>>()
        };
        let differs = compared(Ok(vec![1]), absent());
        assert_eq!(
            (differs.result.code, rows(&differs)),
            (1, vec!["system 1".into(), "dns -".into()])
        );
        let differs = compared(absent(), Ok(vec![1]));
        assert_eq!(
            (differs.result.code, rows(&differs)),
            (1, vec!["dns 1".into(), "system -".into()])
        );
        assert_eq!(compared(absent(), absent()).result.code, 6);
        let failing = Failure::new(Phase::Resolve, "x", "SERVFAIL").with_code(ExitCode::TryAgain);
        let failed = compared(Ok(vec![1]), Err(failing.into()));
        assert_eq!((failed.result.code, failed.result.status), (75, LookupStatus::Failing));
        assert_eq!(rows(&failed), ["system 1", "dns -"]);
        assert_eq!(failed.into_addresses().result.addresses.unwrap(), ["1"]);
    }
}
