//! Pages of a stored journal: together they are complete, each reads few chunks, and a position of
//! another journal is detected.

use proptest::prelude::*;

use super::*;

/// Reads a page as a store does: from the start's chunk, and no more chunks than the page needs.
pub(super) fn read(
    chunks: &[Bytes],
    start: PageStart,
    limit: usize,
    bytes: usize,
) -> Result<JournalPage, JournalDamage> {
    Ok(read_counted(chunks, start, limit, bytes)?.0)
}

fn read_counted(
    chunks: &[Bytes],
    start: PageStart,
    limit: usize,
    bytes: usize,
) -> Result<(JournalPage, usize), JournalDamage> {
    let mut reader = PageReader::new(start, limit, bytes);
    let around = reader.around().to_vec();
    for at in &around {
        reader.enter(&chunks[*at as usize])?;
    }
    let mut count = around.len();
    while let Some(chunk) = chunks.get(reader.chunk() as usize) {
        count += 1;
        if !reader.read(chunk)? {
            break;
        }
    }
    Ok((reader.page(), count))
}

/// A journal with `rounds` rounds of calls and of steps, some of which stay open around everything
/// that follows.
fn sample(rounds: u32) -> Journal {
    let mut journal = Journal::empty();
    for round in 0..rounds {
        let Ok(StepReplay::New { id }) = journal.begin_step("charge") else { panic!() };
        journal.open_step(id, 1, at(round.into()), Fuel::new(5));
        journal.step_done(id, Ok(b"done"), at(round.into()), Fuel::new(9)).unwrap();
        journal.record(NewEntry { shown: Some(b"GET /"), ..call(Kind::Fetch, 1, &[1; 700]) });
        if round % 40 == 20 {
            let Ok(StepReplay::New { id }) = journal.begin_step("outer") else { panic!() };
            journal.open_step(id, 1, at(round.into()), Fuel::new(5));
        }
    }
    journal
}

#[test]
fn a_page_of_a_million_entries_reads_few_chunks() {
    let mut journal = Journal::empty();
    for entry in 0..1_000_000_u32 {
        journal.record(call(Kind::Now, entry.to_le_bytes()[0], b"12345678"));
    }
    let chunks = all_for_tests(&journal.chunks);
    assert!(chunks.len() > 3_000);
    let mut start = PageStart::after(499_000);
    for page in 0..5 {
        let (read, count) = read_counted(&chunks, start, 500, 1 << 20).unwrap();
        assert_eq!((read.entries.len(), read.entries[0].seq), (500, 499_001 + page * 500));
        assert!(page == 0 || count <= 6, "{count} chunks for a page");
        start = PageStart::from_bytes(&read.next.unwrap().to_bytes()).unwrap();
    }
    assert_eq!(read(&chunks, PageStart::after(1_000_000), 5, 1).unwrap(), JournalPage::default());
}

#[test]
fn a_page_ends_at_its_entry_or_size_limit() {
    let mut journal = Journal::empty();
    for round in 1..=4 {
        journal.record(call(Kind::Fetch, round, &[0; 5_000]));
    }
    let chunks = all_for_tests(&journal.chunks);
    let first = read(&chunks, PageStart::default(), 50, 10_000).unwrap();
    assert_eq!((first.entries.len(), first.next.as_ref().map(PageStart::entries)), (2, Some(2)));
    assert_eq!(read(&chunks, first.next.unwrap(), 50, 10_000).unwrap().next, None);
    assert_eq!(read(&chunks, PageStart::default(), 50, 1).unwrap().entries.len(), 1, "a page has at least one entry");
    assert_eq!(read(&chunks, PageStart::default(), 4, usize::MAX).unwrap().next, None);
}

#[test]
fn a_position_in_a_cut_journal_is_detected_and_found_again() {
    let mut journal = sample(50);
    let before = all_for_tests(&journal.chunks);
    let next = read(&before, PageStart::after(90), 4, usize::MAX).unwrap().next.unwrap();
    assert!(!next.is_from_beginning());
    journal.truncate(Position::new(20));
    for round in 0..90 {
        journal.record(call(Kind::Fetch, round, &[2; 700]));
    }
    let after = all_for_tests(&journal.chunks);
    assert!(read(&after, next.clone(), 4, usize::MAX).is_err());
    assert_eq!(read(&after, next.without_position(), 1, usize::MAX).unwrap().entries[0].seq, 95);
}

#[test]
fn a_position_takes_few_bytes_and_reads_back() {
    let chunks = all_for_tests(&sample(200).chunks);
    let next = read(&chunks, PageStart::after(390), 4, usize::MAX).unwrap().next.unwrap();
    assert_eq!(next.place.opened.len(), 5);
    let bytes = next.to_bytes();
    assert!(bytes.len() < 50 && PageStart::from_bytes(&bytes) == Some(next));
    assert_eq!(PageStart::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(PageStart::from_bytes(&PageStart::after(7).to_bytes()), Some(PageStart::after(7)));
}

proptest! {
    #[test]
    fn pages_make_up_the_whole(rounds in 0..130u32, limit in 1..40usize, bytes in 1..60_000usize, after in 0..300u64) {
        let journal = sample(rounds);
        let (chunks, all) = (all_for_tests(&journal.chunks), shown(&journal));
        let (mut start, mut entries) = (Some(PageStart::after(after)), Vec::new());
        while let Some(at) = start {
            let page = read(&chunks, PageStart::from_bytes(&at.to_bytes()).unwrap(), limit, bytes).unwrap();
            prop_assert!(page.entries.len() <= limit && (page.next.is_none() || !page.entries.is_empty()));
            entries.extend(page.entries);
            start = page.next;
        }
        prop_assert_eq!(&entries[..], all.get(usize::try_from(after).unwrap()..).unwrap_or_default());
    }

    #[test]
    fn garbage_is_no_start_or_one_that_reads_without_panic(bytes: Vec<u8>, numbers in prop::collection::vec(0..9u32, 0..12)) {
        let mut made = vec![9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        numbers.iter().for_each(|number| made.extend_from_slice(&number.to_le_bytes()));
        let chunks = all_for_tests(&sample(60).chunks);
        for start in [PageStart::from_bytes(&bytes), PageStart::from_bytes(&made)].into_iter().flatten() {
            prop_assert_eq!(PageStart::from_bytes(&start.to_bytes()), Some(start.clone()));
            if start.place.opened.iter().all(|at| (*at as usize) < chunks.len()) {
                let _ = read(&chunks, start, 3, 100);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_damage(chunk: Vec<u8>) {
        let mut reader = PageReader::new(PageStart::default(), 9, 9);
        let _ = reader.enter(&chunk);
        prop_assert!(reader.read(&Bytes::from(chunk)).is_err());
    }
}
