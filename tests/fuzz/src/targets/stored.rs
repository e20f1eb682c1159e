//! Bytes read from the disk: records of the commit log, and their payloads.

use tidemill_store::embedded::fuzzing as records;
use tidemill_store::kv::fuzzing as log;

use crate::Target;

pub struct LogPayload;

impl Target for LogPayload {
    fn name(&self) -> &'static str {
        "log-record"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        log::log_payloads()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[&[0, 0, 0, 0], &[0xff, 0xff, 0xff, 0xff], &[1, 0, 0, 0], b"TMrc", &[0xff; 8]]
    }

    fn max_bytes(&self) -> usize {
        600
    }

    fn check(&self, input: &[u8]) -> bool {
        let _ = log::reads_log_segment(input);
        log::reads_log_payload(input)
    }
}

pub struct Record;

impl Target for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        records::records()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[&[0x80], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &[3]]
    }

    fn max_bytes(&self) -> usize {
        600
    }

    fn check(&self, input: &[u8]) -> bool {
        records::reads_record(input)
    }
}
