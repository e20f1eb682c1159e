//! Standard output: the size of one write is limited, so that no single call occupies a thread.

use serde_json::json;

use crate::support::{TestHost, failure};

/// A workflow that writes `bytes` newlines to standard output with one call.
fn writing(bytes: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "tidemill:guest/types@0.1.0" (instance $types
                (type $record (record
                    (field "code" string) (field "message" string) (field "retryable" bool)
                    (field "details" (option string))))
                (export "failure" (type (eq $record)))))
            (alias export $types "failure" (type $failure))
            (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
            (alias export $errors "error" (type $error))
            (import "wasi:io/streams@0.2.0" (instance $streams
                (export "output-stream" (type $stream (sub resource)))
                (alias outer 1 $error (type $outer-error))
                (export "error" (type $error (eq $outer-error)))
                (type $variant (variant (case "last-operation-failed" (own $error)) (case "closed")))
                (export "stream-error" (type $stream-error (eq $variant)))
                (export "[method]output-stream.write"
                    (func (param "self" (borrow $stream)) (param "contents" (list u8))
                        (result (result (error $stream-error)))))))
            (alias export $streams "output-stream" (type $stream))
            (import "wasi:cli/stdout@0.2.0" (instance $stdout
                (alias outer 1 $stream (type $outer-stream))
                (export "output-stream" (type $stream (eq $outer-stream)))
                (export "get-stdout" (func (result (own $stream))))))
            (core module $memory
                (memory (export "memory") 200)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
            (core instance $memory (instantiate $memory))
            (alias core export $memory "memory" (core memory $bytes))
            (alias core export $memory "realloc" (core func $realloc))
            (core func $get-stdout (canon lower (func $stdout "get-stdout")))
            (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $bytes)))
            (core module $m
                (import "memory" "memory" (memory 200))
                (import "host" "get-stdout" (func $get-stdout (result i32)))
                (import "host" "write" (func $write (param i32 i32 i32 i32)))
                (func (export "run") (param i32 i32) (result i32)
                    (memory.fill (i32.const 65536) (i32.const 10) (i32.const {bytes}))
                    (call $write (call $get-stdout) (i32.const 65536) (i32.const {bytes}) (i32.const 16))
                    ;; Ok("7")
                    (i32.store8 (i32.const 64) (i32.const 0))
                    (i32.store (i32.const 68) (i32.const 128))
                    (i32.store (i32.const 72) (i32.const 1))
                    (i32.store8 (i32.const 128) (i32.const 55))
                    (i32.const 64)))
            (core instance $i (instantiate $m
                (with "memory" (instance $memory))
                (with "host" (instance
                    (export "get-stdout" (func $get-stdout)) (export "write" (func $write))))))
            (func $run (param "input" string) (result (result string (error $failure)))
                (canon lift (core func $i "run") (memory $bytes) (realloc $realloc)))
            (instance $workflow (export "run" (func $run)))
            (export "tidemill:guest/workflow@0.1.0" (instance $workflow)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_write_beyond_the_maximum_stops_the_guest() {
    let host = TestHost::new();
    for (bytes, fits) in [(4096, true), (7 << 20, false)] {
        let digest = host.put_bytes(&writing(bytes));
        let job = host.job(host.engine.module(digest).await.unwrap());
        if fits {
            assert_eq!(job.output(json!({})).await, json!(7));
            assert_eq!(job.channel.messages().len(), bytes);
        } else {
            let (failure, _) = failure(job.run(json!({})).await);
            assert_eq!(failure.code, "host/trap");
            assert!(failure.message.contains("check-write"), "{}", failure.message);
            assert!(job.channel.messages().is_empty());
        }
    }
}
