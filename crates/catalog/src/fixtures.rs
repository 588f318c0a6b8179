//! A small founded catalogue, and short ways to write commands. Tests only.

use crate::{
    Actor, ApiKeyText, Apply, BaseUrl, Catalog, Change, Command, Credential, Expected, Founding, KeySpec,
    ModelSpec, NewKey, OrganisationSpec, Outcome, Owner, Pepper, Prices, PromptOverhead, ProviderSpec,
    Rejection, Role, RouteSpec, Target, TeamSpec, Text, Timeouts, UserSpec, WhenClientLeaves,
};
use quorate_domain::{ClusterId, KeyId, LogTime, Name, NodeId, PicoUsdPerToken, Revision, Secret, Tokens};
use std::collections::BTreeMap;

pub(crate) const PEPPER: [u8; 32] = [42; 32];
pub(crate) const ADMIN: KeyId = KeyId::new(1);

pub(crate) fn at(millis: u64) -> LogTime {
    LogTime::from_millis(millis)
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn key_text(id: u64, secret: u8) -> ApiKeyText {
    ApiKeyText::mint(KeyId::new(id), &[secret; 32])
}

pub(crate) fn digest(text: &ApiKeyText) -> crate::Digest {
    Pepper::new(Secret::new(PEPPER)).digest(text.expose())
}

pub(crate) fn founding() -> Founding {
    Founding::new(ClusterId::new(9), Secret::new(PEPPER), &key_text(ADMIN.get(), 1))
}

pub(crate) fn founded() -> Catalog {
    let mut catalog = Catalog::default();
    let outcome = catalog.apply(at(1), Command::Found(founding()));
    assert_eq!(outcome, Outcome::Applied { revision: Revision::new(1) });
    catalog
}

/// A provider `p`, its model `m`, the route `r`, the organisation `acme` with team `red` and its user `ann`.
pub(crate) fn furnished() -> Catalog {
    let mut catalog = founded();
    let changes = [
        put_route("r", &["m"]),
        put_model("m", "p"),
        put_provider("p", Some("sk-stored")),
        put_user("ann", None, Some("red")),
        put_team("red", Some("acme")),
        put_organisation("acme"),
    ];
    assert_eq!(apply(&mut catalog, changes), Ok(2));
    catalog
}

pub(crate) fn command(changes: impl IntoIterator<Item = Change>) -> Command {
    let changes = changes.into_iter().collect();
    Command::Apply(Apply { actor: Actor::Node(NodeId::new(1)), reason: None, changes })
}

pub(crate) fn apply(
    catalog: &mut Catalog,
    changes: impl IntoIterator<Item = Change>,
) -> Result<u64, Rejection> {
    let before = catalog.clone();
    let outcome = catalog.apply(at(1_000), command(changes));
    catalog.validate().unwrap();
    match outcome {
        Outcome::Applied { revision } => Ok(revision.get()),
        Outcome::Rejected(rejection) => {
            assert_eq!(*catalog, before, "C5: a rejected command leaves the catalogue untouched");
            Err(rejection)
        }
    }
}

pub(crate) fn provider(provider: &str, credential: Option<&str>) -> ProviderSpec {
    ProviderSpec {
        name: name(provider),
        dialect: crate::Dialect::OpenAi,
        base_url: BaseUrl::parse("http://127.0.0.1:1/v1").unwrap(),
        credential: credential.map(|text| Credential::parse(text).unwrap()),
        headers: BTreeMap::new(),
        timeouts: Timeouts::default(),
        when_client_leaves: WhenClientLeaves::default(),
    }
}

pub(crate) fn put_provider(named: &str, credential: Option<&str>) -> Change {
    Change::PutProvider { expected: Expected::Any, spec: provider(named, credential) }
}

pub(crate) fn put_model(model: &str, provider: &str) -> Change {
    let free = PicoUsdPerToken::FREE;
    let spec = ModelSpec {
        name: name(model),
        provider: name(provider),
        upstream_model: Text::parse(model).unwrap(),
        price: Prices {
            input: free,
            cached_input: None,
            cache_write: None,
            output: free,
            reasoning: None,
            audio_input: None,
            audio_output: None,
        },
        context_tokens: Tokens::new(8_192),
        output_tokens_max: Tokens::new(4_096),
        prompt_overhead: PromptOverhead::default(),
        tokenizer: None,
        output_limit_parameter: crate::OutputLimitParameter::default(),
        media_tokens_max: crate::MediaTokensMax::default(),
    };
    Change::PutModel { expected: Expected::Any, spec }
}

pub(crate) fn route(route: &str, models: &[&str]) -> RouteSpec {
    let targets = models.iter().map(|model| Target { model: name(model), weight: 1 }).collect();
    RouteSpec { name: name(route), strategy: crate::Strategy::Ordered, targets }
}

pub(crate) fn put_route(named: &str, models: &[&str]) -> Change {
    Change::PutRoute { expected: Expected::Any, spec: route(named, models) }
}

pub(crate) fn put_organisation(organisation: &str) -> Change {
    let spec = OrganisationSpec { name: name(organisation), description: None };
    Change::PutOrganisation { expected: Expected::Any, spec }
}

pub(crate) fn put_team(team: &str, organisation: Option<&str>) -> Change {
    let spec = TeamSpec { name: name(team), organisation: organisation.map(name), description: None };
    Change::PutTeam { expected: Expected::Any, spec }
}

pub(crate) fn put_user(user: &str, organisation: Option<&str>, team: Option<&str>) -> Change {
    let (organisation, team) = (organisation.map(name), team.map(name));
    let spec = UserSpec { name: name(user), organisation, team, description: None };
    Change::PutUser { expected: Expected::Any, spec }
}

pub(crate) fn owned_by(organisation: Option<&str>, team: Option<&str>, user: Option<&str>) -> KeySpec {
    let owner = Owner { organisation: organisation.map(name), team: team.map(name), user: user.map(name) };
    KeySpec { owner, ..KeySpec::default() }
}

pub(crate) fn create_key(id: u64, role: Role, spec: KeySpec) -> Change {
    Change::CreateKey(NewKey { id: KeyId::new(id), role, spec, digest: digest(&key_text(id, 7)) })
}

pub(crate) fn revoke_key(id: u64) -> Change {
    Change::RevokeKey { id: KeyId::new(id), expected: Expected::Any }
}

pub(crate) fn rotate_key(id: u64, secret: u8, overlap_ms: u64) -> Change {
    let overlap = quorate_domain::Span::from_millis(overlap_ms);
    let digest = digest(&key_text(id, secret));
    Change::RotateKey { id: KeyId::new(id), expected: Expected::Any, digest, overlap }
}
