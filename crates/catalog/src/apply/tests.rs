//! Rules of the catalogue, and random commands against its invariants.

use crate::fixtures::{
    ADMIN, apply, at, command, create_key, founded, founding, furnished, key_text, name, owned_by, provider,
    put_model, put_organisation, put_provider, put_route, put_team, put_user, revoke_key, rotate_key, route,
};
use crate::{
    AllowedModels, Catalog, Change, Claim, Command, EndUser, Expected, Founding, KeySpec, ObjectId,
    OrganisationSpec, Outcome, ProviderSpec, Rejection, Role, RouteSpec, Strategy, WhenClientLeaves,
    WithoutQuorum,
};
use expect_test::{Expect, expect};
use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_compose, prop_oneof, proptest};
use proptest::strategy::Strategy as Draw;
use quorate_domain::{ClusterId, EndUserId, KeyId, Revision, Span, Subject, Tags};

fn refuses(catalog: &mut Catalog, changes: impl IntoIterator<Item = Change>, why: &Expect) {
    why.assert_eq(&apply(catalog, changes).unwrap_err().to_string());
}

fn delete_provider(named: &str) -> Change {
    Change::DeleteProvider { expected: Expected::Any, name: name(named) }
}

fn delete_team(named: &str) -> Change {
    Change::DeleteTeam { expected: Expected::Any, name: name(named) }
}

#[test]
fn a_cluster_is_founded_once() {
    let mut catalog = founded();
    let again = catalog.apply(at(5), Command::Found(founding()));
    assert_eq!(again, Outcome::Applied { revision: Revision::new(1) });
    let other = Founding { cluster: ClusterId::new(8), ..founding() };
    let refused = Outcome::Rejected(Rejection::AlreadyFounded { cluster: ClusterId::new(9) });
    assert_eq!(catalog.apply(at(5), Command::Found(other)), refused);
    assert_eq!(catalog, founded());
}

#[test]
fn a_copy_goes_on_with_revisions_that_the_original_never_gave() {
    let mut catalog = furnished();
    let key = catalog.keys().keys().next().copied().unwrap();
    let (cluster, left_out) = (Some(ClusterId::new(77)), 1_000_000);
    let gone_on = catalog.apply(at(5), Command::GoOn { cluster, left_out });
    assert_eq!(gone_on, Outcome::Applied { revision: Revision::new(1_000_002) });
    assert_eq!(catalog.foundation().unwrap().cluster, ClusterId::new(77));
    assert_eq!(catalog.key(key), furnished().key(key), "keys stay as they are");
    apply(&mut catalog, [put_organisation("new")]).unwrap();
    assert_eq!(catalog.revision(), Revision::new(1_000_003));
    let refused = Outcome::Rejected(Rejection::NotFounded);
    assert_eq!(Catalog::default().apply(at(5), Command::GoOn { cluster, left_out }), refused);
}

#[test]
fn nothing_changes_before_the_cluster_is_founded() {
    refuses(
        &mut Catalog::default(),
        [put_organisation("acme")],
        &expect!["the cluster is not initialised yet"],
    );
}

#[test]
fn every_change_of_a_command_bears_one_revision() {
    let catalog = furnished();
    let revisions = [catalog.provider("p").unwrap().revision, catalog.route("r").unwrap().revision];
    assert_eq!((revisions, catalog.revision()), ([Revision::new(2); 2], Revision::new(2)));
}

#[test]
fn a_put_keeps_the_birthday_and_takes_the_revision() {
    let mut catalog = furnished();
    let outcome = catalog.apply(at(7_000), command([put_provider("p", Some("other"))]));
    assert_eq!(outcome, Outcome::Applied { revision: Revision::new(3) });
    let provider = catalog.provider("p").unwrap();
    assert_eq!(
        (provider.created_at, provider.updated_at, provider.revision),
        (at(1_000), at(7_000), Revision::new(3))
    );
}

#[test]
fn putting_what_is_there_already_changes_nothing() {
    let mut catalog = furnished();
    assert_eq!(apply(&mut catalog, [put_provider("p", Some("sk-stored")), put_route("r", &["m"])]), Ok(2));
}

#[test]
fn a_change_meant_for_another_version_is_refused() {
    let mut catalog = furnished();
    let put = |expected| Change::PutRoute {
        expected,
        spec: RouteSpec { strategy: Strategy::Weighted, ..route("r", &["m"]) },
    };
    let id = || ObjectId::Route(name("r"));
    assert_eq!(apply(&mut catalog, [put(Expected::Absent)]), Err(Rejection::AlreadyExists { object: id() }));
    let (expected, actual) = (Revision::new(1), Revision::new(2));
    let changed = Rejection::Changed { object: id(), expected, actual };
    assert_eq!(apply(&mut catalog, [put(Expected::Revision(expected))]), Err(changed));
    assert_eq!(apply(&mut catalog, [put(Expected::Revision(actual))]), Ok(3));
}

#[test]
fn a_document_is_applied_whole_or_not_at_all() {
    let mut catalog = furnished();
    refuses(
        &mut catalog,
        [put_provider("q", None), put_model("n", "q"), put_team("red", None), put_route("s", &["n", "gone"])],
        &expect!["route s names model gone, which does not exist"],
    );
    assert_eq!(catalog, furnished());
}

#[test]
fn what_is_still_used_cannot_be_deleted() {
    let mut catalog = furnished();
    let only_r = AllowedModels::Only([name("r")].into());
    let spec = KeySpec { allowed_models: only_r, ..owned_by(None, Some("red"), None) };
    apply(&mut catalog, [create_key(5, Role::Client, spec)]).unwrap();
    refuses(&mut catalog, [delete_provider("p")], &expect!["provider p is still used by model m"]);
    refuses(&mut catalog, [delete_team("red")], &expect!["team red is still used by user ann"]);
    let delete_route = Change::DeleteRoute { expected: Expected::Any, name: name("r") };
    refuses(&mut catalog, [delete_route], &expect!["route r is still used by key 5"]);
    refuses(&mut catalog, [delete_provider("q")], &expect!["there is no provider q"]);
}

#[test]
fn a_whole_chain_can_be_deleted_in_any_order() {
    let mut catalog = furnished();
    let changes = [
        delete_provider("p"),
        Change::DeleteModel { expected: Expected::Any, name: name("m") },
        Change::DeleteRoute { expected: Expected::Any, name: name("r") },
    ];
    assert_eq!(apply(&mut catalog, changes), Ok(3));
    assert!(catalog.providers().is_empty() && catalog.routes().is_empty());
}

#[test]
fn what_names_a_missing_object_is_refused() {
    let mut catalog = furnished();
    refuses(&mut catalog, [put_model("n", "q")], &expect!["model n names provider q, which does not exist"]);
    refuses(
        &mut catalog,
        [create_key(5, Role::Client, owned_by(None, None, Some("bob")))],
        &expect!["key 5 names user bob, which does not exist"],
    );
}

#[test]
fn nobody_belongs_to_two_organisations() {
    let mut catalog = furnished();
    apply(
        &mut catalog,
        [put_organisation("zeta"), create_key(5, Role::Client, owned_by(Some("acme"), None, Some("ann")))],
    )
    .unwrap();
    refuses(
        &mut catalog,
        [create_key(6, Role::Client, owned_by(Some("zeta"), None, Some("ann")))],
        &expect!["key 6 would belong to two organisations, zeta and acme"],
    );
    refuses(
        &mut catalog,
        [put_team("red", Some("zeta"))],
        &expect!["key 5 would belong to two organisations, acme and zeta"],
    );
    refuses(
        &mut catalog,
        [put_user("ann", Some("zeta"), None)],
        &expect!["key 5 would belong to two organisations, acme and zeta"],
    );
}

#[test]
fn a_request_spends_the_budgets_of_the_key_and_of_all_above_it() {
    let mut catalog = furnished();
    apply(&mut catalog, [create_key(5, Role::Client, owned_by(None, None, Some("ann")))]).unwrap();
    let key = catalog.key(KeyId::new(5)).unwrap();
    let claim = Claim { route: "r".parse().unwrap(), tags: Tags::default(), end_user: EndUser::Unsaid };
    let subjects: Vec<String> = catalog.subjects_of(&key, &claim).iter().map(ToString::to_string).collect();
    assert_eq!(subjects, ["key:5", "key:5/model:r", "user:ann", "team:red", "org:acme"]);
    let admin = catalog.key(ADMIN).unwrap();
    assert_eq!(catalog.subjects_of(&admin, &claim).len(), 2);
}

#[test]
fn an_end_user_belongs_to_the_organisation_of_the_key() {
    let mut catalog = furnished();
    let organisation = Change::PutOrganisation {
        expected: Expected::Any,
        spec: OrganisationSpec { name: "a/b".parse().unwrap(), description: None },
    };
    let slashed = create_key(7, Role::Client, owned_by(Some("a/b"), None, None));
    let free = create_key(6, Role::Client, KeySpec::default());
    let owned = create_key(5, Role::Client, owned_by(None, None, Some("ann")));
    apply(&mut catalog, [organisation, owned, free, slashed]).unwrap();
    let end_user = EndUser::Is(EndUserId::parse("u/1").unwrap());
    let claim = Claim { route: "r".parse().unwrap(), tags: Tags::default(), end_user };
    let last = |id| {
        let key = catalog.key(KeyId::new(id)).unwrap();
        catalog.subjects_of(&key, &claim).last().unwrap().to_string()
    };
    assert_eq!(last(5), "end-user:acme/u/1");
    assert_eq!(last(6), "key:6/model:r", "a key of no organisation serves nobody's end users");
    assert_eq!(last(7), "org:a/b");
}

#[test]
fn a_request_bears_the_tags_of_its_key_and_adds_those_that_it_may() {
    let tags = |text: &str| Tags::parse(text).unwrap();
    let spec = KeySpec { tags: tags("prod"), request_tags: tags("batch,eval"), ..KeySpec::default() };
    let mut catalog = furnished();
    apply(&mut catalog, [create_key(5, Role::Client, spec)]).unwrap();
    let key = catalog.key(KeyId::new(5)).unwrap();
    let with = |text| {
        let claim = Claim { route: "r".parse().unwrap(), tags: tags(text), end_user: EndUser::Unsaid };
        let forbidden = claim.forbidden_tag(&key.spec).map(ToString::to_string);
        let subjects = catalog.subjects_of(&key, &claim).into_iter();
        let borne: Vec<String> =
            subjects.filter(|it| matches!(it, Subject::Tag(_))).map(|it| it.to_string()).collect();
        (borne.join(" "), forbidden)
    };
    assert_eq!(with(""), ("tag:prod".to_owned(), None));
    // In one order, whoever gives them: what takes the same budgets in two orders waits for itself.
    assert_eq!(with("batch,prod"), ("tag:batch tag:prod".to_owned(), None));
    assert_eq!(with("batch,others").1.as_deref(), Some("others"));
}

#[test]
fn routes_and_models_that_cannot_work_are_refused() {
    let mut catalog = furnished();
    let put = |spec| Change::PutRoute { expected: Expected::Any, spec };
    refuses(&mut catalog, [put_route("s", &[])], &expect!["route s needs 1 to 16 targets"]);
    refuses(&mut catalog, [put_route("s", &["m", "m"])], &expect!["route s has model m twice"]);
    let mut weightless = RouteSpec { strategy: Strategy::Weighted, ..route("s", &["m"]) };
    weightless.targets[0].weight = 0;
    refuses(&mut catalog, [put(weightless)], &expect!["route s is weighted and every weight is zero"]);
    let mut hasty = provider("p", None);
    hasty.timeouts.idle = Span::from_millis(0);
    let put_hasty = Change::PutProvider { expected: Expected::Any, spec: hasty };
    refuses(&mut catalog, [put_hasty], &expect!["provider p has a timeout of zero"]);
    let deaf = WhenClientLeaves::ReadOn(Span::from_millis(0));
    let deaf = ProviderSpec { when_client_leaves: deaf, ..provider("p", None) };
    let put_deaf = Change::PutProvider { expected: Expected::Any, spec: deaf };
    refuses(&mut catalog, [put_deaf], &expect!["provider p has a timeout of zero"]);
}

#[test]
fn a_masked_credential_keeps_the_stored_one() {
    let mut catalog = furnished();
    let mut spec = catalog.provider("p").unwrap().spec.masked();
    spec.timeouts.connect = Span::from_millis(7);
    apply(&mut catalog, [Change::PutProvider { expected: Expected::Any, spec }]).unwrap();
    let provider = catalog.provider("p").unwrap();
    assert_eq!(String::from(provider.spec.credential.clone().unwrap()), "sk-stored");
    refuses(
        &mut catalog,
        [put_provider("q", Some("***"))],
        &expect!["provider q has no stored value that *** could stand for"],
    );
}

#[test]
fn a_key_id_is_never_given_twice() {
    let mut catalog = founded();
    let create = || create_key(5, Role::Client, KeySpec::default());
    assert_eq!(apply(&mut catalog, [create()]), Ok(2));
    assert_eq!(apply(&mut catalog, [create()]), Ok(2));
    refuses(&mut catalog, [create_key(5, Role::Admin, KeySpec::default())], &expect!["key 5 already exists"]);
    apply(&mut catalog, [revoke_key(5)]).unwrap();
    refuses(&mut catalog, [create_key(5, Role::Admin, KeySpec::default())], &expect!["key 5 already exists"]);
}

#[test]
fn a_revoked_key_stays_revoked() {
    let mut catalog = founded();
    apply(&mut catalog, [create_key(5, Role::Client, KeySpec::default())]).unwrap();
    assert_eq!(apply(&mut catalog, [revoke_key(5)]), Ok(3));
    assert_eq!(apply(&mut catalog, [revoke_key(5)]), Ok(3));
    refuses(&mut catalog, [rotate_key(5, 9, 0)], &expect!["key 5 is revoked"]);
    let update = Change::UpdateKey { id: KeyId::new(5), expected: Expected::Any, spec: KeySpec::default() };
    refuses(&mut catalog, [update], &expect!["key 5 is revoked"]);
}

#[test]
fn a_rotation_asked_for_twice_happens_once() {
    let mut catalog = founded();
    apply(&mut catalog, [create_key(5, Role::Client, KeySpec::default())]).unwrap();
    assert_eq!(apply(&mut catalog, [rotate_key(5, 8, 100)]), Ok(3));
    assert_eq!(apply(&mut catalog, [rotate_key(5, 8, 100)]), Ok(3));
    let text = key_text(5, 7);
    assert!(catalog.authenticate(text.expose(), at(1_099)).is_ok());
    refuses(
        &mut catalog,
        [rotate_key(5, 9, Catalog::OVERLAP_MAX.millis() + 1)],
        &expect!["an overlap of 7776000001 ms is too long, at most 7776000000 are possible"],
    );
}

#[test]
fn a_key_that_was_ever_open_may_go_on_where_nobody_has_heard_that_it_is_closed() {
    let mut catalog = founded();
    let says = |without_quorum| KeySpec { without_quorum, ..KeySpec::default() };
    let put = |without_quorum| Change::UpdateKey {
        id: KeyId::new(5),
        expected: Expected::Any,
        spec: says(without_quorum),
    };
    let may = |catalog: &Catalog, id| catalog.key(KeyId::new(id)).unwrap().may_go_on_without_quorum();
    let create = |id, role, word| create_key(id, role, says(word));
    apply(&mut catalog, [create(5, Role::Client, WithoutQuorum::Closed)]).unwrap();
    apply(&mut catalog, [create(6, Role::Client, WithoutQuorum::GrantOnly)]).unwrap();
    apply(&mut catalog, [create(7, Role::Admin, WithoutQuorum::Open)]).unwrap();
    assert_eq!([5, 6, 7].map(|id| may(&catalog, id)), [false, true, false]);
    apply(&mut catalog, [put(WithoutQuorum::Open)]).unwrap();
    apply(&mut catalog, [put(WithoutQuorum::Closed)]).unwrap();
    apply(&mut catalog, [rotate_key(5, 8, 0), revoke_key(5)]).unwrap();
    assert!(may(&catalog, 5), "a node that is cut off may know the version between");
}

#[test]
fn the_last_admin_key_can_be_replaced_but_not_lost() {
    let mut catalog = founded();
    refuses(&mut catalog, [revoke_key(1)], &expect!["key 1 is the last admin key that does not expire"]);
    let brief = KeySpec { expires_at: Some(at(9_000)), ..KeySpec::default() };
    let update = Change::UpdateKey { id: ADMIN, expected: Expected::Any, spec: brief };
    refuses(&mut catalog, [update], &expect!["key 1 is the last admin key that does not expire"]);
    let replace = [revoke_key(1), create_key(2, Role::Admin, KeySpec::default())];
    assert_eq!(apply(&mut catalog, replace), Ok(2));
}

#[test]
fn a_key_is_not_born_expired() {
    let spec = KeySpec { expires_at: Some(at(1_000)), ..KeySpec::default() };
    refuses(
        &mut founded(),
        [create_key(5, Role::Client, spec)],
        &expect!["key 5 would have expired before it begins"],
    );
}

#[test]
fn a_command_has_bounded_size() {
    let changes = std::iter::repeat_with(|| revoke_key(5)).take(Catalog::CHANGES_MAX + 1);
    refuses(&mut founded(), changes, &expect!["1001 changes in one command, at most 1000 are possible"]);
}

#[test]
fn no_secret_shows_in_a_debug_print_or_to_people() {
    let mut catalog = furnished();
    apply(&mut catalog, [create_key(5, Role::Client, KeySpec::default())]).unwrap();
    let shown = serde_json::to_string(&catalog.provider("p").unwrap().spec.masked()).unwrap();
    let printed = format!("{shown} {catalog:?} {:?} {:?}", founding(), put_provider("p", Some("sk-stored")));
    for secret in ["sk-stored", "42, 42", "7, 7"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let error = serde_json::from_str::<RouteSpec>(r#"{"name":"r","targets":[],"retries":3}"#).unwrap_err();
    assert!(error.to_string().contains("`retries`"), "{error}");
}

#[test]
fn a_catalogue_reads_back_as_it_was_stored() {
    let catalog = furnished();
    let stored = serde_json::to_vec(&catalog).unwrap();
    assert_eq!(serde_json::from_slice::<Catalog>(&stored).unwrap(), catalog);
}

fn one_of(names: &'static [&'static str]) -> impl Draw<Value = &'static str> + Clone {
    proptest::sample::select(names)
}

prop_compose! {
    fn some_owner()(
        organisation in proptest::option::of(one_of(&["acme", "zeta"])),
        team in proptest::option::of(one_of(&["red", "blue"])),
        user in proptest::option::of(one_of(&["ann", "bob"])),
    ) -> KeySpec {
        owned_by(organisation, team, user)
    }
}

fn some_expected() -> impl Draw<Value = Expected> {
    prop_oneof![
        4 => Just(Expected::Any),
        1 => Just(Expected::Absent),
        1 => (1_u64..10).prop_map(|revision| Expected::Revision(Revision::new(revision))),
    ]
}

fn some_change() -> impl Draw<Value = Change> {
    let team = one_of(&["red", "blue"]);
    let organisation = || proptest::option::of(one_of(&["acme", "zeta"]));
    prop_oneof![
        one_of(&["p", "q"]).prop_map(|named| put_provider(named, None)),
        (some_expected(), one_of(&["p", "q"]))
            .prop_map(|(expected, named)| Change::DeleteProvider { expected, name: name(named) }),
        (one_of(&["m", "n"]), one_of(&["p", "q"])).prop_map(|(model, provider)| put_model(model, provider)),
        one_of(&["m", "n"])
            .prop_map(|named| Change::DeleteModel { expected: Expected::Any, name: name(named) }),
        (some_expected(), one_of(&["m", "n"]))
            .prop_map(|(expected, model)| Change::PutRoute { expected, spec: route("r", &[model]) }),
        Just(Change::DeleteRoute { expected: Expected::Any, name: name("r") }),
        one_of(&["acme", "zeta"]).prop_map(put_organisation),
        one_of(&["acme", "zeta"])
            .prop_map(|named| Change::DeleteOrganisation { expected: Expected::Any, name: name(named) }),
        (team.clone(), organisation()).prop_map(|(team, organisation)| put_team(team, organisation)),
        team.clone().prop_map(delete_team),
        (one_of(&["ann", "bob"]), organisation(), proptest::option::of(team))
            .prop_map(|(user, organisation, team)| put_user(user, organisation, team)),
        one_of(&["ann", "bob"])
            .prop_map(|named| Change::DeleteUser { expected: Expected::Any, name: name(named) }),
        (1_u64..6, any::<bool>(), some_owner()).prop_map(|(id, admin, owner)| {
            create_key(id, if admin { Role::Admin } else { Role::Client }, owner)
        }),
        (1_u64..6, some_expected(), some_owner()).prop_map(|(id, expected, spec)| Change::UpdateKey {
            id: KeyId::new(id),
            expected,
            spec
        }),
        (1_u64..6, 5_u8..9).prop_map(|(id, secret)| rotate_key(id, secret, 100)),
        (1_u64..6).prop_map(revoke_key),
    ]
}

proptest! {
    /// `apply` of the fixtures checks C1 to C6 after every command, and C5 where it was refused.
    #[test]
    fn no_sequence_of_commands_breaks_an_invariant(
        commands in proptest::collection::vec(proptest::collection::vec(some_change(), 1..4), 1..40),
    ) {
        let (mut catalog, mut replica) = (furnished(), furnished());
        for changes in commands {
            let before = catalog.revision();
            let outcome = apply(&mut catalog, changes.clone());
            prop_assert!(catalog.revision() >= before);
            prop_assert_eq!(apply(&mut replica, changes), outcome);
        }
        prop_assert_eq!(catalog, replica);
    }
}
