//! API keys: create, list, show, set, rotate, revoke. A secret is in exactly one answer and nowhere else.

use super::budget::NewBudget;
use super::caller::{Administrator, Editor, Reader};
use super::input::{Body, Numbered};
use super::{Admin, AdminError, budget, view};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use quorate_catalog::{
    AllowedModels, ApiKey, ApiKeyText, Change, Digest, EndUserPolicy, KeySpec, KeyState, NewKey, ObjectId,
    OnRevocation, Owner, Rejection, Role, Text, WithoutQuorum,
};
use quorate_domain::{KeyId, LogTime, Name, Span, Subject, Tags};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A key as people write it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeyInput {
    label: Option<Text>,
    owner: Owner,
    allowed_models: Allowed,
    /// RFC 3339.
    expires_at: Option<String>,
    /// Instead of `expires_at`: from now on.
    expires_in_ms: Option<Span>,
    without_quorum: WithoutQuorum,
    on_revocation: OnRevocation,
    tags: Tags,
    request_tags: Tags,
    end_user: EndUserPolicy,
}

/// A new key as people write it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewKeyInput {
    role: Role,
    label: Option<Text>,
    owner: Owner,
    allowed_models: Allowed,
    expires_at: Option<String>,
    expires_in_ms: Option<Span>,
    without_quorum: WithoutQuorum,
    on_revocation: OnRevocation,
    tags: Tags,
    request_tags: Tags,
    end_user: EndUserPolicy,
    /// Budgets of the key itself, in force before the key is.
    budgets: Vec<NewBudget>,
}

/// `"all"`, or the names of routes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "allowed_models: write \"all\" or a list of route names")]
enum Allowed {
    Word(AllWord),
    Only(BTreeSet<Name>),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllWord {
    All,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    overlap_ms: Span,
}

impl Default for Allowed {
    fn default() -> Self {
        Self::Word(AllWord::All)
    }
}

/// Without a word about it, the secret before stops at once.
impl Default for Rotation {
    fn default() -> Self {
        Self { overlap_ms: Span::from_millis(0) }
    }
}

impl KeyInput {
    fn spec(self, now: LogTime) -> Result<KeySpec, AdminError> {
        let allowed_models = match self.allowed_models {
            Allowed::Word(AllWord::All) => AllowedModels::All,
            Allowed::Only(routes) => AllowedModels::Only(routes),
        };
        let expires_at = match (self.expires_at, self.expires_in_ms) {
            (None, None) => None,
            (None, Some(span)) => Some(now.plus(span)),
            (Some(at), None) => Some(log_time(&at)?),
            (Some(_), Some(_)) => {
                return Err(AdminError::Body("give expires_at or expires_in_ms, not both".to_owned()));
            }
        };
        Ok(KeySpec {
            label: self.label,
            owner: self.owner,
            allowed_models,
            expires_at,
            without_quorum: self.without_quorum,
            on_revocation: self.on_revocation,
            tags: self.tags,
            request_tags: self.request_tags,
            end_user: self.end_user,
        })
    }
}

impl NewKeyInput {
    fn split(self) -> (Role, KeyInput, Vec<NewBudget>) {
        let Self { role, label, owner, allowed_models, expires_at, expires_in_ms, budgets, .. } = self;
        let (without_quorum, on_revocation) = (self.without_quorum, self.on_revocation);
        let input = KeyInput {
            label,
            owner,
            allowed_models,
            expires_at,
            expires_in_ms,
            without_quorum,
            on_revocation,
            tags: self.tags,
            request_tags: self.request_tags,
            end_user: self.end_user,
        };
        (role, input, budgets)
    }
}

fn log_time(text: &str) -> Result<LogTime, AdminError> {
    let wrong =
        || AdminError::Body(format!("expires_at: {text:?} is not a time such as 2030-01-31T12:00:00Z"));
    let at: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(at.as_millisecond()).map(LogTime::from_millis).map_err(|_| wrong())
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _: Reader,
) -> Result<impl IntoResponse, AdminError> {
    let keys: Vec<Arc<ApiKey>> = admin.replica()?.catalog().read().keys().values().cloned().collect();
    let now = admin.clock.wall();
    Ok(view::listed(&keys.iter().map(|key| shown(key, now)).collect::<Vec<_>>()))
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Numbered(id): Numbered,
) -> Result<Response, AdminError> {
    answer(&admin, StatusCode::OK, KeyId::new(id), Told::default())
}

pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Response, AdminError> {
    let (role, input, budgets) = body.read::<NewKeyInput>()?.split();
    let spec = input.spec(admin.clock.wall())?;
    loop {
        let (id, text, digest) = drawn(&admin)?;
        let subject = Subject::Key(id);
        let budgets =
            budgets.iter().map(|budget| budget.spec_for(subject.clone())).collect::<Result<Vec<_>, _>>()?;
        budget::store_all(&admin, &by, budgets).await?;
        let new = NewKey { id, role, spec: spec.clone(), digest };
        match admin.change(&by, vec![Change::CreateKey(new)]).await {
            Ok(_) => {
                return answer(
                    &admin,
                    StatusCode::CREATED,
                    id,
                    Told { secret: Some(&text), withdrawn: None },
                );
            }
            // One draw in a hundred million among a million keys: draw again.
            Err(AdminError::Catalog(Rejection::AlreadyExists { object: ObjectId::Key(taken) }))
                if taken == id => {}
            Err(error) => {
                budget::remove_all(&admin, &by, &subject).await;
                return Err(error);
            }
        }
    }
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
    body: Body,
) -> Result<Response, AdminError> {
    let id = KeyId::new(id);
    let spec = body.read::<KeyInput>()?.spec(admin.clock.wall())?;
    admin.change(&by, vec![Change::UpdateKey { id, expected: precondition.into(), spec }]).await?;
    answer(&admin, StatusCode::OK, id, Told::default())
}

pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
    body: Body,
) -> Result<Response, AdminError> {
    let id = KeyId::new(id);
    let Rotation { overlap_ms: overlap } = body.read()?;
    let text = ApiKeyText::mint(id, &random()?);
    let digest = digest(&admin, &text)?;
    admin.change(&by, vec![Change::RotateKey { id, expected: precondition.into(), digest, overlap }]).await?;
    let withdrawn = match overlap.millis() {
        0 => Some(admin.withdrawn(id).await?),
        _ => None,
    };
    answer(&admin, StatusCode::OK, id, Told { secret: Some(&text), withdrawn })
}

pub(super) async fn revoke(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
) -> Result<Response, AdminError> {
    let id = KeyId::new(id);
    admin.change(&by, vec![Change::RevokeKey { id, expected: precondition.into() }]).await?;
    let withdrawn = Some(admin.withdrawn(id).await?);
    answer(&admin, StatusCode::OK, id, Told { secret: None, withdrawn })
}

/// A fresh id that is free here, a text and its digest.
fn drawn(admin: &Admin) -> Result<(KeyId, ApiKeyText, Digest), AdminError> {
    loop {
        let id = ApiKeyText::draw_id(u64::from_le_bytes(random()?));
        if admin.replica()?.catalog().read().key(id).is_none() {
            let text = ApiKeyText::mint(id, &random()?);
            let digest = digest(admin, &text)?;
            return Ok((id, text, digest));
        }
    }
}

fn digest(admin: &Admin, text: &ApiKeyText) -> Result<Digest, AdminError> {
    admin.replica()?.catalog().read().digest(text.expose()).ok_or(AdminError::NotInitialised)
}

fn random<const N: usize>() -> Result<[u8; N], AdminError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| AdminError::NoRandomness)?;
    Ok(bytes)
}

/// What an answer says once, besides the key.
#[derive(Default)]
struct Told<'a> {
    secret: Option<&'a ApiKeyText>,
    /// How it is known that nothing opens by the text before any more, or where something may.
    withdrawn: Option<Value>,
}

fn answer(admin: &Admin, status: StatusCode, id: KeyId, told: Told<'_>) -> Result<Response, AdminError> {
    let key = admin
        .replica()?
        .catalog()
        .read()
        .key(id)
        .ok_or_else(|| AdminError::Missing(ObjectId::Key(id).to_string()))?;
    let mut body = shown(&key, admin.clock.wall());
    if let Value::Object(fields) = &mut body {
        fields.extend(told.secret.map(|text| ("secret".to_owned(), json!(text.expose()))));
        fields.extend(told.withdrawn.map(|how| ("withdrawn".to_owned(), how)));
    }
    Ok(view::versioned(status, key.revision, body))
}

/// A key as people see it: everything but what opens it.
fn shown(key: &ApiKey, now: LogTime) -> Value {
    let (state, until, revoked_at) = match key.state {
        KeyState::Revoked { at } => ("revoked", None, Some(at)),
        KeyState::Active | KeyState::Rotating { .. } if key.has_expired_at(now) => ("expired", None, None),
        KeyState::Rotating { until, .. } if now < until => ("rotating", Some(until), None),
        KeyState::Active | KeyState::Rotating { .. } => ("active", None, None),
    };
    let allowed = match &key.spec.allowed_models {
        AllowedModels::All => json!("all"),
        AllowedModels::Only(routes) => json!(routes),
    };
    let object = json!({
        "id": key.id,
        "label": key.spec.label,
        "role": key.role,
        "owner": key.spec.owner,
        "allowed_models": allowed,
        "state": state,
        "expires_at": key.spec.expires_at.map(view::time),
        "without_quorum": key.spec.without_quorum,
        "on_revocation": key.spec.on_revocation,
        "tags": key.spec.tags,
        "request_tags": key.spec.request_tags,
        "end_user": key.spec.end_user,
        "old_secret_valid_until": until.map(view::time),
        "revoked_at": revoked_at.map(view::time),
    });
    view::with_version(object, key.revision, key.created_at, key.updated_at)
}
