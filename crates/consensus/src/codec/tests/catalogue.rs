//! What is asked of the catalogue, and what comes of it.

use crate::machine;
use quorate_catalog::{
    Actor, AllowedModels, ApiKeyText, Apply, BaseUrl, Change, Command, Credential, Dialect, Digest,
    EndUserPolicy, Expected, Founding, HeaderName, KeySpec, MediaTokensMax, ModelSpec, NewKey, ObjectId,
    OnRevocation, OrganisationSpec, Outcome, OutputLimitParameter, Owner, Pepper, Prices, PromptOverhead,
    ProviderSpec, Rejection, Role, RouteSpec, Strategy, Target, TeamSpec, Text, Timeouts, Tokenizer,
    UserSpec, WhenClientLeaves, WithoutQuorum,
};
use quorate_domain::{
    ClusterId, KeyId, LogTime, Name, NodeId, PicoUsdPerToken, Revision, Secret, Span, Tags, Tokens,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn commands() -> Vec<(&'static str, machine::Command)> {
    let founding = Command::Found(founding());
    let changes = [writes(), deletions(), of_keys()].concat();
    let changes = changes.into_iter().map(|(name, change)| (name, command(Actor::Key(KEY), change)));
    let by_node = ("catalogue_apply_by_node", command(Actor::Node(NodeId::new(4)), delete_user()));
    let (cluster, left_out) = (Some(ClusterId::new(0xC2)), 1_000_000);
    let go_on = ("catalogue_go_on", Command::GoOn { cluster, left_out });
    [("catalogue_found", founding), by_node, go_on]
        .into_iter()
        .chain(changes)
        .map(|(name, command)| (name, machine::Command::Catalog(command)))
        .collect()
}

const KEY: KeyId = KeyId::new(17);

pub(super) fn founding() -> Founding {
    let admin = ApiKeyText::mint(KeyId::new(1), &[3; 32]);
    Founding::new(ClusterId::new(0xC1), Secret::new([42; 32]), &admin)
}

pub(super) fn digest(of: &str) -> Digest {
    Pepper::new(Secret::new([42; 32])).digest(of)
}

fn command(actor: Actor, change: Change) -> Command {
    Command::Apply(Apply { actor, reason: Some("a reason".to_owned()), changes: vec![change] })
}

/// One object of each kind, and keys in each state: 17 is active, 18 is rotating, 19 is revoked.
pub(super) fn furnish() -> Command {
    let (expected, first, second) = (Expected::Any, digest("the text of a key"), digest("its next text"));
    let create = |id| {
        let (id, spec) = (KeyId::new(id), key_spec());
        Change::CreateKey(NewKey { id, role: Role::Client, spec, digest: first })
    };
    let (rotating, revoked) = (KeyId::new(18), KeyId::new(19));
    let specs = [
        Change::PutProvider { expected, spec: provider() },
        Change::PutModel { expected, spec: model(OutputLimitParameter::MaxTokens) },
        put_route(Strategy::Ordered),
    ];
    let keys = [
        create(17),
        create(18),
        create(19),
        Change::RotateKey { id: rotating, expected, digest: second, overlap: Span::from_millis(60_000) },
        Change::RevokeKey { id: revoked, expected },
    ];
    let changes = specs.into_iter().chain(tenants().map(|(_, change)| change)).chain(keys).collect();
    Command::Apply(Apply { actor: Actor::Key(KEY), reason: None, changes })
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn text(text: &str) -> Option<Text> {
    Some(Text::parse(text).unwrap())
}

fn writes() -> Vec<(&'static str, Change)> {
    let expected = Expected::Revision(Revision::new(32));
    let put_provider = |leaves| {
        let spec = ProviderSpec { when_client_leaves: leaves, ..provider() };
        Change::PutProvider { expected: Expected::Absent, spec }
    };
    let put_model = |parameter, tokenizer| Change::PutModel {
        expected,
        spec: ModelSpec { tokenizer: Some(tokenizer), ..model(parameter) },
    };
    let read_on = WhenClientLeaves::ReadOn(Span::from_millis(1_005));
    let named = [
        ("catalogue_put_provider_to_read_on", put_provider(read_on)),
        ("catalogue_put_provider_to_cancel", put_provider(WhenClientLeaves::Cancel)),
        ("catalogue_put_model", put_model(OutputLimitParameter::MaxTokens, Tokenizer::O200kBase)),
        (
            "catalogue_put_model_completion",
            put_model(OutputLimitParameter::MaxCompletionTokens, Tokenizer::Cl100kBase),
        ),
        ("catalogue_put_route_ordered", put_route(Strategy::Ordered)),
        ("catalogue_put_route_weighted", put_route(Strategy::Weighted)),
    ];
    named.into_iter().chain(tenants()).collect()
}

fn tenants() -> [(&'static str, Change); 3] {
    let expected = Expected::Any;
    let acme = OrganisationSpec { name: name("acme"), description: text("All of us") };
    let (organisation, description) = (Some(name("acme")), text("Who searches"));
    let search = TeamSpec { name: name("search"), organisation, description };
    let (organisation, team) = (Some(name("acme")), Some(name("search")));
    let ann = UserSpec { name: name("ann"), organisation, team, description: text("Ann") };
    [
        ("catalogue_put_organisation", Change::PutOrganisation { expected, spec: acme }),
        ("catalogue_put_team", Change::PutTeam { expected, spec: search }),
        ("catalogue_put_user", Change::PutUser { expected, spec: ann }),
    ]
}

fn provider() -> ProviderSpec {
    let header = (HeaderName::parse("x-team").unwrap(), Credential::parse("${env:TEAM}").unwrap());
    ProviderSpec {
        name: name("openai"),
        dialect: Dialect::OpenAi,
        base_url: BaseUrl::parse("https://api.openai.com/v1").unwrap(),
        credential: Some(Credential::parse("sk-of-a-sample").unwrap()),
        headers: BTreeMap::from([header]),
        timeouts: Timeouts {
            connect: Span::from_millis(1_001),
            first_byte: Span::from_millis(1_002),
            idle: Span::from_millis(1_003),
            total: Span::from_millis(1_004),
        },
        when_client_leaves: WhenClientLeaves::Cancel,
    }
}

fn model(output_limit_parameter: OutputLimitParameter) -> ModelSpec {
    let pico = PicoUsdPerToken::new;
    let price = Prices {
        input: pico(101),
        cached_input: Some(pico(102)),
        cache_write: Some(pico(103)),
        output: pico(104),
        reasoning: Some(pico(105)),
        audio_input: Some(pico(106)),
        audio_output: Some(pico(107)),
    };
    ModelSpec {
        name: name("small"),
        provider: name("openai"),
        upstream_model: Text::parse("gpt-small").unwrap(),
        price,
        context_tokens: Tokens::new(8_192),
        output_tokens_max: Tokens::new(4_096),
        prompt_overhead: PromptOverhead { per_request: Tokens::new(3), per_message: Tokens::new(4) },
        output_limit_parameter,
        tokenizer: None,
        media_tokens_max: MediaTokensMax {
            image: Some(Tokens::new(1_105)),
            audio: Some(Tokens::new(6_000)),
            file: None,
        },
    }
}

fn put_route(strategy: Strategy) -> Change {
    let targets = vec![Target { model: name("small"), weight: 7 }];
    Change::PutRoute { expected: Expected::Any, spec: RouteSpec { name: name("chat"), strategy, targets } }
}

fn delete_user() -> Change {
    Change::DeleteUser { expected: Expected::Any, name: name("ann") }
}

fn deletions() -> Vec<(&'static str, Change)> {
    let expected = Expected::Revision(Revision::new(33));
    vec![
        ("catalogue_delete_provider", Change::DeleteProvider { expected, name: name("openai") }),
        ("catalogue_delete_model", Change::DeleteModel { expected, name: name("small") }),
        ("catalogue_delete_route", Change::DeleteRoute { expected, name: name("chat") }),
        ("catalogue_delete_organisation", Change::DeleteOrganisation { expected, name: name("acme") }),
        ("catalogue_delete_team", Change::DeleteTeam { expected, name: name("search") }),
        ("catalogue_delete_user", delete_user()),
    ]
}

fn key_spec() -> KeySpec {
    KeySpec {
        label: text("ci"),
        owner: Owner {
            organisation: Some(name("acme")),
            team: Some(name("search")),
            user: Some(name("ann")),
        },
        allowed_models: AllowedModels::Only(BTreeSet::from([name("chat")])),
        expires_at: Some(LogTime::from_millis(1_900_000_000_000)),
        without_quorum: WithoutQuorum::GrantOnly,
        on_revocation: OnRevocation::CutStreams,
        tags: Tags::parse("prod").unwrap(),
        request_tags: Tags::parse("batch,eval").unwrap(),
        end_user: EndUserPolicy::Required,
    }
}

fn of_keys() -> Vec<(&'static str, Change)> {
    let spec = key_spec();
    let digest = digest("the text of a key");
    let create = |role, spec| Change::CreateKey(NewKey { id: KEY, role, spec, digest });
    let (id, expected, overlap) = (KEY, Expected::Revision(Revision::new(34)), Span::from_millis(60_000));
    vec![
        ("catalogue_create_key_client", create(Role::Client, spec.clone())),
        ("catalogue_create_key_admin", create(Role::Admin, KeySpec::default())),
        ("catalogue_update_key", Change::UpdateKey { id, expected, spec: spec.clone() }),
        (
            "catalogue_update_key_open",
            Change::UpdateKey { id, expected, spec: KeySpec { without_quorum: WithoutQuorum::Open, ..spec } },
        ),
        ("catalogue_rotate_key", Change::RotateKey { id, expected, digest, overlap }),
        ("catalogue_revoke_key", Change::RevokeKey { id, expected }),
    ]
}

pub(super) fn outcomes() -> Vec<(&'static str, Vec<machine::Outcome>)> {
    let applied = Outcome::Applied { revision: Revision::new(35) };
    let rejected = [of_objects(), of_specs(), rejections_of_keys()].concat();
    let rejected = rejected.into_iter().map(|it| machine::Outcome::Catalog(Outcome::Rejected(it))).collect();
    vec![("catalogue", vec![machine::Outcome::Catalog(applied)]), ("catalogue_rejected", rejected)]
}

fn of_objects() -> Vec<Rejection> {
    let object = ObjectId::Team(name("search"));
    let (expected, actual) = (Revision::new(36), Revision::new(37));
    vec![
        Rejection::NotFounded,
        Rejection::AlreadyFounded { cluster: ClusterId::new(0xC1) },
        Rejection::TooManyChanges { count: 201, max: 200 },
        Rejection::Missing { object: ObjectId::Provider(name("openai")) },
        Rejection::AlreadyExists { object: ObjectId::Model(name("small")) },
        Rejection::Changed { object: ObjectId::Route(name("chat")), expected, actual },
        Rejection::Dangling { object: object.clone(), missing: ObjectId::Organisation(name("acme")) },
        Rejection::StillUsed { object, by: ObjectId::User(name("ann")) },
        Rejection::TwoOrganisations { object: ObjectId::Key(KEY), one: name("acme"), other: name("other") },
    ]
}

fn of_specs() -> Vec<Rejection> {
    let (provider, model, route) = (name("openai"), name("small"), name("chat"));
    vec![
        Rejection::TooManyHeaders { provider: provider.clone(), max: 33 },
        Rejection::NoTime { provider: provider.clone() },
        Rejection::NothingBehindMask { provider },
        Rejection::ContextTooSmall { model: model.clone() },
        Rejection::TargetCount { route: route.clone(), max: 34 },
        Rejection::TargetTwice { route: route.clone(), model },
        Rejection::NoWeight { route },
    ]
}

fn rejections_of_keys() -> Vec<Rejection> {
    let (overlap, max) = (Span::from_millis(61), Span::from_millis(60));
    vec![
        Rejection::ExpiredAtBirth { key: KEY },
        Rejection::KeyRevoked { key: KEY },
        Rejection::OverlapTooLong { overlap, max },
        Rejection::LastAdminKey { key: KEY },
        Rejection::NoPriceOfSound { model: name("small") },
    ]
}
