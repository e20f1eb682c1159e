//! Type names are nouns and unique in their crate.

use syn::Item;

use crate::allowed::{Offenders, check};

/// Nouns that end like participles. A finding is what a fuzzer finds, a ceiling the maximum that a
/// policy sets, a recording what a run made for replay.
const NOUNS: &[&str] = &[
    "Feed",
    "Seed",
    "Speed",
    "Need",
    "Bed",
    "Embed",
    "Shed",
    "Thread",
    "String",
    "Ring",
    "Posting",
    "Setting",
    "Timing",
    "Binding",
    "Mapping",
    "Listing",
    "Warning",
    "Heading",
    "Encoding",
    "Thing",
    "Spring",
    "Meaning",
    "Rating",
    "Building",
    "Briefing",
    "Firing",
    "Finding",
    "Ceiling",
    "Recording",
];
/// Participles that do not end in `ed` or `ing`.
const PARTICIPLES: &[&str] = &[
    "Began",
    "Begun",
    "Bound",
    "Brought",
    "Built",
    "Came",
    "Caught",
    "Done",
    "Drawn",
    "Driven",
    "Fallen",
    "Forgotten",
    "Found",
    "Given",
    "Gone",
    "Held",
    "Hidden",
    "Kept",
    "Known",
    "Left",
    "Lent",
    "Let",
    "Lost",
    "Made",
    "Met",
    "Over",
    "Paid",
    "Ran",
    "Said",
    "Seen",
    "Sent",
    "Shown",
    "Spent",
    "Stood",
    "Sworn",
    "Taken",
    "Thrown",
    "Told",
    "Torn",
    "Went",
    "Won",
    "Worn",
    "Written",
    "Woken",
];
/// Verbs and particles that are not type names on their own.
const VERBS: &[&str] = &[
    "Again", "Ask", "Asks", "Begin", "Begins", "Bring", "Come", "Comes", "Finish", "Get", "Give", "Go", "Goes",
    "Insist", "Judge", "Keep", "Keeps", "Leave", "Leaves", "Let", "Lets", "Make", "Makes", "Put", "Puts", "Rest",
    "Say", "Says", "Send", "Settle", "Stand", "Take", "Takes", "Tell", "Tells", "Then", "Wants", "What", "Which",
    "Whose",
];

/// The sources of the host, of the SDK and of their tests.
pub fn sources() -> impl Iterator<Item = (String, String)> {
    let ours = |name: &str| name.starts_with("runtime/") || name.starts_with("sdk/") || name.starts_with("tests/");
    tidemill_tidy::files("rs").into_iter().filter(move |(name, _)| ours(name))
}

/// All items of a file and of its inline modules, with or without test modules.
pub fn items(text: &str, tests: bool) -> Vec<Item> {
    let mut found = Vec::new();
    let mut open = syn::parse_file(text).unwrap().items;
    while let Some(item) = open.pop() {
        if let Item::Mod(module) = item {
            let is_test = module.attrs.iter().any(|attribute| {
                attribute.path().is_ident("cfg")
                    && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
            });
            if let (Some((_, items)), true) = (module.content, tests || !is_test) {
                open.extend(items);
            }
        } else {
            found.push(item);
        }
    }
    found
}

/// The name of the type that an item declares.
fn type_name(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Union(item) => Some(item.ident.to_string()),
        Item::Trait(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

/// The words of a name in camel case.
fn words(name: &str) -> Vec<&str> {
    let mut starts: Vec<_> =
        name.char_indices().filter(|(_, letter)| letter.is_uppercase()).map(|(at, _)| at).collect();
    starts.push(name.len());
    starts.windows(2).map(|pair| &name[pair[0]..pair[1]]).collect()
}

/// Whether a name ends with a participle, or is a verb.
fn is_no_noun(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    let participle = (last.ends_with("ed") || last.ends_with("ing")) && last.len() > 3 && !NOUNS.contains(last);
    participle || PARTICIPLES.contains(last) || (words.len() == 1 && VERBS.contains(last))
}

/// Folder of the crate of a file; for a file outside of a crate, its own folder.
pub fn crate_of(name: &str) -> &str {
    let of_crate = ["/src/", "/tests/", "/benches/"].into_iter().find_map(|part| name.find(part));
    of_crate.or_else(|| name.rfind('/')).map_or("", |at| &name[..at])
}

#[test]
fn types_are_named_by_nouns() {
    let mut found = Offenders::new();
    for (file, text) in sources() {
        let names = items(&text, true).into_iter().filter_map(|item| type_name(&item));
        for name in names.filter(|name| is_no_noun(name)) {
            found.entry(format!("{name} {}", crate_of(&file))).or_default().push(file.clone());
        }
    }
    check("types", "name a type with a noun, not with a bare participle or verb", &found);
}

#[test]
fn a_crate_has_one_type_of_a_name() {
    let mut found = Offenders::new();
    for (file, text) in sources().filter(|(file, _)| file.contains("/src/")) {
        for name in items(&text, false).into_iter().filter_map(|item| type_name(&item)) {
            found.entry(format!("{name} {}", crate_of(&file))).or_default().push(file.clone());
        }
    }
    found.retain(|_, files| files.len() > 1);
    check("twins", "two types of one crate have the same name: make the names specific", &found);
}

#[test]
fn participles_are_distinguished_from_nouns() {
    for name in ["Kept", "Asked", "Waiting", "RunEnded", "Ask", "NotWritten"] {
        assert!(is_no_noun(name), "{name}");
    }
    for name in ["RunRecord", "KeptRun", "EventFeed", "Posting", "AskRequest", "Wait"] {
        assert!(!is_no_noun(name), "{name}");
    }
}
