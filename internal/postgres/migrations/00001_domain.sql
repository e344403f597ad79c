-- +goose Up
-- Demand and supply. Text that people type is bounded here a second time, so
-- that no code path can store what a page cannot show.

CREATE TABLE advertiser (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    domain     text        NOT NULL CHECK (char_length(domain) BETWEEN 1 AND 253),
    time_zone  text        NOT NULL,
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE campaign (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    advertiser_id bigint      NOT NULL REFERENCES advertiser,
    name          text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz CHECK (ends_at > starts_at),
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version       bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON campaign (advertiser_id);

CREATE TABLE line_item (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id     bigint      NOT NULL REFERENCES campaign,
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    tier            smallint    NOT NULL CHECK (tier BETWEEN 1 AND 4),
    cpm             bigint      NOT NULL CHECK (cpm >= 0),
    lifetime_budget bigint      CHECK (lifetime_budget >= 0),
    daily_budget    bigint      CHECK (daily_budget >= 0),
    starts_at       timestamptz NOT NULL,
    ends_at         timestamptz CHECK (ends_at > starts_at),
    targeting       jsonb       NOT NULL DEFAULT '{}',
    status          text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version         bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON line_item (campaign_id);

CREATE TABLE creative (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line_item_id bigint      NOT NULL REFERENCES line_item,
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    status       text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version      bigint      NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON creative (line_item_id);

-- Who signs in. An advertiser's or publisher's user belongs to one of them;
-- operators and reviewers belong to the house.
CREATE TABLE app_user (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text        NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    name          text        NOT NULL DEFAULT '',
    role          text        NOT NULL CHECK (role IN ('operator', 'reviewer', 'advertiser', 'publisher')),
    advertiser_id bigint      REFERENCES advertiser,
    publisher_id  bigint,
    password_hash text        NOT NULL, -- argon2id, PHC string; '' allows no sign-in
    language      text        NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'ja')),
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version       bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((role = 'advertiser') = (advertiser_id IS NOT NULL)),
    CHECK ((role = 'publisher') = (publisher_id IS NOT NULL))
);
CREATE UNIQUE INDEX ON app_user (lower(email));

-- The content of a creative, frozen: an edit inserts the next number.
CREATE TABLE creative_revision (
    creative_id bigint      NOT NULL REFERENCES creative,
    number      integer     NOT NULL CHECK (number >= 1),
    format      text        NOT NULL CHECK (format IN ('banner', 'html')),
    width       integer     NOT NULL CHECK (width BETWEEN 1 AND 10000),
    height      integer     NOT NULL CHECK (height BETWEEN 1 AND 10000),
    landing_url text        NOT NULL CHECK (char_length(landing_url) BETWEEN 1 AND 2048),
    image_sha256 text       NOT NULL DEFAULT '',
    image_type  text        NOT NULL DEFAULT '',
    image_bytes bigint      NOT NULL DEFAULT 0,
    markup      text        NOT NULL DEFAULT '',
    review      text        NOT NULL DEFAULT 'draft' CHECK (review IN ('draft', 'pending', 'approved', 'rejected')),
    reason      text        NOT NULL DEFAULT '',
    reviewed_by bigint      REFERENCES app_user,
    reviewed_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (creative_id, number),
    CHECK ((format = 'banner') = (image_sha256 <> '')),
    CHECK ((format = 'html') = (markup <> ''))
);
CREATE INDEX ON creative_revision (creative_id, number DESC) WHERE review = 'approved';
CREATE INDEX ON creative_revision (created_at) WHERE review = 'pending';

CREATE TABLE publisher (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    domain     text        NOT NULL CHECK (char_length(domain) BETWEEN 1 AND 253),
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE app_user ADD FOREIGN KEY (publisher_id) REFERENCES publisher;

CREATE TABLE property (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    publisher_id  bigint      NOT NULL REFERENCES publisher,
    name          text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    kind          text        NOT NULL CHECK (kind IN ('site', 'app')),
    domain        text        NOT NULL CHECK (char_length(domain) BETWEEN 1 AND 253),
    revenue_share integer     NOT NULL CHECK (revenue_share BETWEEN 0 AND 10000),
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version       bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON property (publisher_id);

CREATE TABLE placement (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    property_id         bigint      NOT NULL REFERENCES property,
    name                text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    formats             text[]      NOT NULL CHECK (cardinality(formats) BETWEEN 1 AND 4),
    widths              integer[]   NOT NULL DEFAULT '{}', -- sizes, the two arrays in step
    heights             integer[]   NOT NULL DEFAULT '{}' CHECK (cardinality(heights) = cardinality(widths)),
    floor               bigint      NOT NULL DEFAULT 0 CHECK (floor >= 0),
    blocked_advertisers bigint[]    NOT NULL DEFAULT '{}',
    status              text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON placement (property_id);

-- Browser sessions and API tokens are stored as SHA-256 of what the client holds.
CREATE TABLE session (
    token_sha256 bytea       PRIMARY KEY,
    data         bytea       NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX ON session (expires_at);

CREATE TABLE api_token (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint      NOT NULL REFERENCES app_user,
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    token_sha256 bytea       NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);

-- Who changed what; rows are only ever added.
CREATE TABLE audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    user_id bigint      REFERENCES app_user,
    action  text        NOT NULL, -- create, update, submit, approve, reject, sign_in, …
    kind    text        NOT NULL, -- the noun
    item_id bigint      NOT NULL,
    detail  jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX ON audit_log (kind, item_id, id);

-- The newest word on whether a thing is stopped, for the bank's heartbeat. A row
-- is written in the transaction that changes the status (or the approval).
CREATE TABLE stop (
    kind       text        NOT NULL CHECK (kind IN ('advertiser', 'campaign', 'line_item', 'creative')),
    item_id    bigint      NOT NULL,
    stopped    boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, item_id)
);
CREATE INDEX ON stop (changed_at);

CREATE SEQUENCE snapshot_generation;

-- +goose Down
DROP SEQUENCE snapshot_generation;
DROP TABLE stop, audit_log, api_token, session, placement, property, creative_revision, app_user, publisher, creative, line_item, campaign, advertiser CASCADE;
