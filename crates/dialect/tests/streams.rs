//! Recorded streams: what is seen in them, what the client gets, and that no way of cutting them into pieces matters.

use bytes::Bytes;
use expect_test::{ExpectFile, expect_file};
use proptest::prelude::*;
use quorate_dialect::openai::{Seen, StreamEnd, StreamReader, UsageChunk};

const EVENT_BYTES_MAX: usize = 4_096;

const STREAMS: &[(&str, &[u8])] = &[
    ("plain", include_bytes!("golden/openai/plain.sse")),
    ("keep_alive_comments", include_bytes!("golden/openai/keep_alive_comments.sse")),
    ("crlf_and_bom", include_bytes!("golden/openai/crlf_and_bom.sse")),
    ("usage_with_last_choice", include_bytes!("golden/openai/usage_with_last_choice.sse")),
    ("error_inside", include_bytes!("golden/openai/error_inside.sse")),
    ("error_at_once", include_bytes!("golden/openai/error_at_once.sse")),
    ("cut", include_bytes!("golden/openai/cut.sse")),
    ("no_done", include_bytes!("golden/openai/no_done.sse")),
    ("no_last_newline", include_bytes!("golden/openai/no_last_newline.sse")),
    ("multi_line_data", include_bytes!("golden/openai/multi_line_data.sse")),
    ("absent_choices_filter", include_bytes!("golden/openai/absent_choices_filter.sse")),
    ("dearer_tier", include_bytes!("golden/openai/dearer_tier.sse")),
    ("usage_nonsense", include_bytes!("golden/openai/usage_nonsense.sse")),
];

#[derive(Debug, PartialEq, Eq)]
struct Played {
    forward: Vec<u8>,
    last: Vec<u8>,
    seen: Seen,
    end: StreamEnd,
}

fn play<'a>(pieces: impl Iterator<Item = &'a [u8]>, usage_chunk: UsageChunk) -> Played {
    let mut reader = StreamReader::new(usage_chunk, 1, EVENT_BYTES_MAX);
    let (mut forward, mut last) = (Vec::new(), Vec::new());
    for piece in pieces {
        let passed = reader.feed(&Bytes::copy_from_slice(piece)).expect("every event is short");
        assert!(last.is_empty() || passed.forward.is_empty(), "nothing goes on after the end");
        forward.extend_from_slice(&passed.forward);
        last.extend_from_slice(&passed.last);
    }
    let passed = reader.close();
    forward.extend_from_slice(&passed.forward);
    last.extend_from_slice(&passed.last);
    Played { forward, last, seen: reader.seen().clone(), end: reader.end() }
}

fn check(stream: &[u8], expected: &ExpectFile) {
    let played = play(std::iter::once(stream), UsageChunk::Hide);
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("whole events are UTF-8").replace('\r', "␍");
    expected.assert_eq(&format!(
        "end: {:?}\nseen: {:#?}\n--- forward ---\n{}--- last ---\n{}",
        played.end,
        played.seen,
        text(&played.forward),
        text(&played.last)
    ));
}

#[test]
fn recorded_streams_are_read_as_expected() {
    for (name, stream) in STREAMS {
        check(stream, &expect_file![format!("golden/openai/{name}.expected")]);
    }
}

#[test]
fn a_client_that_asked_for_usage_gets_every_byte() {
    for (name, stream) in STREAMS {
        let played = play(std::iter::once(*stream), UsageChunk::Show);
        let all = [played.forward, played.last].concat();
        let whole_events = if played.end == StreamEnd::Cut { all.len() } else { stream.len() };
        assert_eq!(all[..whole_events], stream[..whole_events], "{name}");
    }
}

#[test]
fn a_piece_of_whole_events_is_passed_on_without_a_copy() {
    let piece = Bytes::from_static(STREAMS[0].1);
    let passed = StreamReader::new(UsageChunk::Hide, 1, EVENT_BYTES_MAX).feed(&piece).unwrap();
    assert_eq!(passed.forward.as_ptr(), piece.as_ptr());
}

#[test]
fn an_event_without_end_is_refused_before_it_fills_the_memory() {
    let mut reader = StreamReader::new(UsageChunk::Hide, 1, EVENT_BYTES_MAX);
    let fed = (0..=EVENT_BYTES_MAX / 64).map(|_| reader.feed(&Bytes::from_static(&[b'x'; 64])));
    assert!(fed.last().unwrap().is_err());
}

/// A stream of two choices, chunk by chunk, and whether what it says of its usage by then is all of it.
fn is_usage_final_after(chunks: &[&str]) -> (bool, StreamEnd) {
    let mut reader = StreamReader::new(UsageChunk::Hide, 2, EVENT_BYTES_MAX);
    for chunk in chunks {
        reader.feed(&Bytes::from(format!("data: {chunk}\n\n"))).expect("every event is short");
    }
    (reader.seen().is_usage_final, reader.end())
}

#[test]
fn of_several_choices_all_must_have_ended_before_usage_is_final_or_the_stream_is_whole() {
    const FIRST_ENDS: &str =
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    const SECOND_GROWS: &str = r#"{"choices":[{"index":1,"delta":{"content":"a"},"finish_reason":null}],"usage":{"prompt_tokens":1}}"#;
    const SECOND_ENDS: &str = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
    const USAGE_ALONE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
    assert_eq!(is_usage_final_after(&[FIRST_ENDS]), (false, StreamEnd::Cut));
    assert_eq!(is_usage_final_after(&[FIRST_ENDS, SECOND_GROWS]), (false, StreamEnd::Cut));
    assert_eq!(is_usage_final_after(&[FIRST_ENDS, USAGE_ALONE]), (false, StreamEnd::Cut));
    assert_eq!(is_usage_final_after(&[FIRST_ENDS, FIRST_ENDS]), (false, StreamEnd::Cut), "one choice, twice");
    assert_eq!(
        is_usage_final_after(&[FIRST_ENDS, SECOND_ENDS]),
        (false, StreamEnd::Finished),
        "as it was before"
    );
    assert_eq!(is_usage_final_after(&[FIRST_ENDS, SECOND_ENDS, USAGE_ALONE]), (true, StreamEnd::Finished));
}

#[test]
fn each_chunk_but_roles_and_reasons_to_finish_is_a_token_at_the_least() {
    for (name, stream) in STREAMS {
        let seen = play(std::iter::once(*stream), UsageChunk::Hide).seen;
        assert!(seen.n_chunks_without_tokens <= seen.n_chunks, "{name}");
    }
    let plain = play(std::iter::once(STREAMS[0].1), UsageChunk::Hide).seen;
    assert_eq!((plain.n_chunks, plain.least_tokens().get()), (3, 1), "a role, words, and the end");
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_into_pieces_does_not_matter(
        which in 0..STREAMS.len(),
        hide in any::<bool>(),
        mut cuts in prop::collection::vec(0_usize..2_000, 0..40),
    ) {
        let stream = STREAMS[which].1;
        let usage_chunk = if hide { UsageChunk::Hide } else { UsageChunk::Show };
        cuts.extend([0, stream.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(stream.len()));
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(play(pieces, usage_chunk), play(std::iter::once(stream), usage_chunk));
    }

    #[test]
    fn no_bytes_make_the_reader_fail_or_lose_whole_events(pieces in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            Just(b"data: ".to_vec()), Just(b"\n\n".to_vec()), Just(b"\r".to_vec()), Just(b"\n".to_vec()),
            Just(br#"{"error":1,"usage":{"#.to_vec()), Just(b"[DONE]".to_vec()),
        ],
        0..40,
    )) {
        let all = pieces.concat();
        let played = play(pieces.iter().map(Vec::as_slice), UsageChunk::Show);
        let passed = [played.forward, played.last].concat();
        let common = passed.len().min(all.len());
        prop_assert_eq!(&passed[..common], &all[..common]);
        prop_assert!(passed[common..].iter().all(|byte| *byte == b'\n'));
    }
}
