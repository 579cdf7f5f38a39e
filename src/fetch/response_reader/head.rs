//! What the head of a response leads to: its event, the body's beginning and its end.

use super::ResponseReader;
use crate::error::{ExitCode, Failure, Phase};
use crate::fetch::body_splice::BodySplice;
use crate::fetch::output::KeptPart;
use crate::fetch::part_names::Start;
use crate::fetch::partial_file::BodyMetadata;
use crate::fetch::response_policy::{NextAction, is_encoded};
use crate::fetch::resume_tag::{ResumeTag, Validators};
use crate::fetch::status;
use crate::http::Head;
use crate::http::range::{self, ShortRange};
use crate::report::event::{Event, ResponseHead};

impl<'a> ResponseReader<'a> {
    /// Decides what is done with the response at its head.
    pub fn on_head(&mut self, head: &Head) -> Result<(), Failure> {
        self.report_head(head)?;
        self.check_status(head)?;
        let length = self.parser.progress().expected;
        self.action = self.policy.next_action(head, length)?;
        let is_delivered = matches!(self.action, NextAction::Deliver(_));
        let has_body = !self.is_raw && !self.policy.options.request.head;
        // A 304 has no body, and so nothing that would replace the file.
        if is_delivered && head.status != 304 && has_body {
            self.begin_body(head, length)?;
        }
        Ok(())
    }

    /// Begins an HTTP/0.9 body with its first bytes.
    pub fn begin_http09(&mut self, first_bytes: &[u8]) -> Result<(), Failure> {
        if self.is_raw {
            return Ok(());
        }
        self.splice = BodySplice::Untried;
        self.begin_unnamed_body()?;
        self.output.write(first_bytes)
    }

    /// Emits the head of a response, final or interim.
    pub fn report_head(&mut self, head: &Head) -> Result<(), Failure> {
        if self.is_raw {
            return Ok(());
        }
        let policy = &self.policy;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = head.fields.iter().map(|field| (field.name.clone(), text(&field.value)));
        policy.report.emit(&Event::Answer(ResponseHead {
            conn: policy.conn,
            url: policy.url.to_string(),
            version: format!("HTTP/1.{}", head.minor),
            status: head.status,
            reason: text(&head.reason),
            fields: fields.collect(),
            is_marked: policy.report.shows_traffic(),
        }));
        if policy.options.output.include_header {
            self.output.write_header(&head.raw)?;
        }
        Ok(())
    }

    /// Stores what a status of 400 or above means. A 407 of the proxy is no response of the
    /// server: its body is not delivered.
    fn check_status(&mut self, head: &Head) -> Result<(), Failure> {
        let policy = &self.policy;
        self.status_error = match (head.status, policy.proxy) {
            (407, Some(proxy)) if !self.is_raw => {
                return Err(status::proxy_error(head, proxy));
            }
            (407, Some(proxy)) => Some(status::proxy_error(head, proxy)),
            (400.., _) => Some(status::server_error(head, policy.url, policy.proxy)),
            _ => None,
        };
        Ok(())
    }

    fn begin_body(&mut self, head: &Head, length: Option<u64>) -> Result<(), Failure> {
        let start = match self.policy.resume_point {
            Some(point) if head.status == 206 => Start::Resume(point),
            _ => self.first_start(),
        };
        let is_plain = !self.is_decoded(head);
        let length = length.filter(|_| is_plain);
        if is_plain {
            self.splice = BodySplice::Untried;
        }
        self.output.begin(start, length, self.metadata(head))
    }

    /// Begins a body without a parsed head.
    pub fn begin_unnamed_body(&mut self) -> Result<(), Failure> {
        let metadata = BodyMetadata { tag: ResumeTag::NotResumable, ..BodyMetadata::default() };
        self.output.begin(self.first_start(), None, metadata)
    }

    /// The start of a complete body.
    fn first_start(&self) -> Start<'a> {
        if self.policy.options.output.resume {
            Start::Restart(self.policy.resume_point)
        } else {
            Start::New
        }
    }

    fn is_decoded(&self, head: &Head) -> bool {
        self.policy.options.response.parser.decode && is_encoded(head)
    }

    /// What the file records about its body.
    fn metadata(&self, head: &Head) -> BodyMetadata {
        let validators = Validators::load(head);
        let named = validators.strong().cloned().map(ResumeTag::Validator);
        let tag = match (head.status, self.policy.resume_point) {
            (206, Some(point)) => named.unwrap_or_else(|| point.tag.clone()),
            (200, _) if self.is_decoded(head) => ResumeTag::Decoded,
            (200, _) if !is_encoded(head) => named.unwrap_or_default(),
            (206, None) if range::is_beginning(head) && !is_encoded(head) => {
                named.unwrap_or_default()
            }
            _ => ResumeTag::NotResumable,
        };
        BodyMetadata { tag, validators }
    }

    /// Checks that a complete body also is the complete requested range.
    pub fn check_length(&self) -> Result<(), Failure> {
        let NextAction::Deliver(Some(ShortRange { received, requested })) = self.action else {
            return Ok(());
        };
        let present = self.policy.resume_point.map_or(0, |point| point.length);
        let (received, requested) = (present + received, present + requested);
        let why =
            format!("the range ends before the requested one; got {received} of {requested} bytes");
        Err(Failure::new(Phase::Receive, self.policy.url, why).with_code(ExitCode::Partial))
    }

    /// Finishes the output of a complete response.
    ///
    /// Fails with 22 for a status of 400 or above, after its body was delivered.
    pub fn finish(self) -> Result<NextAction, Failure> {
        tracing::debug!(url = %self.policy.url, action = self.action.name(), "response");
        if !matches!(self.action, NextAction::Deliver(_)) {
            return Ok(self.action);
        }
        // Only --raw gets here with a status that is not saved.
        if self.status_error.is_some() && self.policy.is_refused(400) {
            self.output.discard()?;
        } else {
            self.output.finish()?;
        }
        let is_success = self.policy.options.response.any_status;
        self.status_error.filter(|_| !is_success).map_or(Ok(self.action), Err)
    }

    /// Keeps what was received. Adds a hint with its path, unless `failure` has one.
    pub fn keep_partial(self, failure: Failure) -> Result<Failure, Failure> {
        let kept = self.output.keep_partial(self.policy.options.output.kept_name)?;
        let is_interrupted = matches!(
            failure.code,
            ExitCode::Partial | ExitCode::Timeout | ExitCode::Interrupted | ExitCode::Terminated
        );
        let Some(KeptPart { path, resumable }) = kept else { return Ok(failure) };
        if failure.hint.is_some() || !is_interrupted {
            return Ok(failure);
        }
        let more = if resumable { "; resume with --continue" } else { "" };
        Ok(failure.with_hint(format!("the received part is kept in {}{more}", path.display())))
    }
}
