-- +goose Up
-- The bank (design §5). Its promise M1 stands here as CHECKs: whatever code asks,
-- no account is ever settled and leased beyond its limit.

-- The bank's clock, by which money is leased, returned and settled. A simulation
-- replaces it in its own database; everything that dates money asks here.
CREATE FUNCTION bank_now() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN clock_timestamp();

-- The first instant of a day in a time zone. Where clocks go back over midnight
-- the day begins twice, and Postgres answers with the second time; where they go
-- forward over it, there is no midnight, and it answers with the jump.
CREATE FUNCTION day_start(day date, zone text) RETURNS timestamptz LANGUAGE sql STABLE
RETURN CASE
    WHEN ((day::timestamp AT TIME ZONE zone - interval '1 hour') AT TIME ZONE zone)::date = day
    THEN day::timestamp AT TIME ZONE zone - interval '1 hour'
    ELSE day::timestamp AT TIME ZONE zone
END;

-- A zone that Postgres does not know would fail every grant that meets it.
ALTER TABLE advertiser ADD CONSTRAINT advertiser_time_zone_is_known
    CHECK ((timestamptz 'epoch' AT TIME ZONE time_zone) IS NOT NULL);

-- One budget: of a line item (later also of a campaign or advertiser), for its
-- lifetime (day is null) or for one day of the advertiser's time zone.
-- wanted_* is what the advertiser typed; limit_* is what is in force: lowering a
-- budget below what is out takes effect as that comes back.
CREATE TABLE account (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level               text   NOT NULL CHECK (level IN ('advertiser', 'campaign', 'line_item')),
    owner_id            bigint NOT NULL,
    day                 date,
    wanted_micros       bigint CHECK (wanted_micros >= 0), -- null: no limit
    limit_micros        bigint CHECK (limit_micros >= 0),
    settled_micros      bigint NOT NULL DEFAULT 0 CHECK (settled_micros >= 0),
    leased_micros       bigint NOT NULL DEFAULT 0 CHECK (leased_micros >= 0),
    wanted_impressions  bigint CHECK (wanted_impressions >= 0),
    limit_impressions   bigint CHECK (limit_impressions >= 0),
    settled_impressions bigint NOT NULL DEFAULT 0 CHECK (settled_impressions >= 0),
    leased_impressions  bigint NOT NULL DEFAULT 0 CHECK (leased_impressions >= 0),
    -- Of leases whose every event is in: their reservations, and how many of those
    -- were charged. It is the render rate, by which the bank sets a lease's age.
    final_reserved      bigint NOT NULL DEFAULT 0 CHECK (final_reserved >= 0),
    final_settled       bigint NOT NULL DEFAULT 0 CHECK (final_settled >= 0),
    UNIQUE NULLS NOT DISTINCT (level, owner_id, day),
    CONSTRAINT account_micros_within_limit CHECK (limit_micros IS NULL OR settled_micros + leased_micros <= limit_micros),
    CONSTRAINT account_impressions_within_limit CHECK (limit_impressions IS NULL OR settled_impressions + leased_impressions <= limit_impressions)
);

-- One run of a delivery server.
CREATE TABLE process (
    id              uuid PRIMARY KEY, -- ULID minted at start
    started_at      timestamptz NOT NULL,
    heartbeat_at    timestamptz NOT NULL DEFAULT bank_now(),
    state           text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'ended', 'lost')),
    safe_at         timestamptz, -- its last word: nothing logged before safe_at lies beyond safe_segment
    safe_segment    bigint      NOT NULL DEFAULT 0,
    applied_segment bigint      NOT NULL DEFAULT 0, -- last segment settled, 0: none
    applied_at      timestamptz, -- log time up to which it is settled
    stalled         text        NOT NULL DEFAULT '', -- why settle cannot go on with its stream; '': it can
    ended_at        timestamptz
);
CREATE INDEX ON process (heartbeat_at) WHERE state <> 'ended';

CREATE TABLE lease (
    id                   uuid PRIMARY KEY, -- ULID minted by the process
    process_id           uuid        NOT NULL,
    line_item_id         bigint      NOT NULL,
    day                  date        NOT NULL, -- of the advertiser's time zone
    granted_micros       bigint      NOT NULL CHECK (granted_micros >= 0),
    reserved_micros      bigint      NOT NULL DEFAULT 0, -- known at CLOSE
    settled_micros       bigint      NOT NULL DEFAULT 0 CHECK (settled_micros >= 0),
    returned_micros      bigint      NOT NULL DEFAULT 0 CHECK (returned_micros >= 0),
    granted_impressions  bigint      NOT NULL CHECK (granted_impressions >= 0),
    reserved_impressions bigint      NOT NULL DEFAULT 0,
    settled_impressions  bigint      NOT NULL DEFAULT 0 CHECK (settled_impressions >= 0),
    returned_impressions bigint      NOT NULL DEFAULT 0 CHECK (returned_impressions >= 0),
    granted_at           timestamptz NOT NULL DEFAULT bank_now(),
    deadline             timestamptz NOT NULL, -- nothing is reserved on it later
    max_age              interval    NOT NULL DEFAULT '60 s', -- after its first reservation
    state                text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'final')),
    closed_at            timestamptz,
    last_expiry          timestamptz, -- known at CLOSE: the last hold's end
    recalled             boolean     NOT NULL DEFAULT false,
    CONSTRAINT lease_micros_within_grant CHECK (settled_micros + returned_micros <= granted_micros),
    CONSTRAINT lease_impressions_within_grant CHECK (settled_impressions + returned_impressions <= granted_impressions)
);
CREATE INDEX ON lease (process_id) WHERE state <> 'final';
CREATE INDEX ON lease (line_item_id) WHERE state = 'open';
CREATE INDEX ON lease (last_expiry) WHERE state = 'closed';

-- De-duplication: one bit for each (lease, index, purpose), 8192 a row.
CREATE TABLE lease_bits (
    lease_id uuid     NOT NULL,
    purpose  smallint NOT NULL, -- event type
    block    smallint NOT NULL, -- index / 8192
    bits     bytea    NOT NULL CHECK (octet_length(bits) = 1024),
    PRIMARY KEY (lease_id, purpose, block)
);

-- Which segments are settled. A repeated delivery of one hits the primary key.
CREATE TABLE segment (
    process_id uuid        NOT NULL,
    seq        bigint      NOT NULL,
    sha256     bytea       NOT NULL,
    records    bigint      NOT NULL,
    last_at    timestamptz, -- log time of its last record
    batch      bigint      NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT bank_now(),
    PRIMARY KEY (process_id, seq)
);

-- What was charged, one row for each settled batch, line item and day; rows are
-- only ever added. overage is delivered but not charged: the platform's cost.
CREATE TABLE ledger (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch               bigint      NOT NULL,
    line_item_id        bigint      NOT NULL,
    day                 date        NOT NULL,
    charged_micros      bigint      NOT NULL,
    charged_impressions bigint      NOT NULL,
    overage_micros      bigint      NOT NULL DEFAULT 0,
    overage_impressions bigint      NOT NULL DEFAULT 0,
    late_impressions    bigint      NOT NULL DEFAULT 0, -- own inventory, after the hold, without room: neither charged nor paid
    at                  timestamptz NOT NULL DEFAULT bank_now()
);
CREATE INDEX ON ledger (line_item_id, day);

-- Settle's own state; one row.
CREATE TABLE settlement (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    batch     bigint      NOT NULL DEFAULT 0,
    watermark timestamptz, -- every event before this moment has been settled
    ticked_at timestamptz NOT NULL DEFAULT bank_now(),
    up_since  timestamptz NOT NULL DEFAULT bank_now(), -- the bank has answered without a gap since
    halted    text        NOT NULL DEFAULT '' -- why nothing is granted or settled until `batch rebuild`; '': it is
);
INSERT INTO settlement DEFAULT VALUES;

-- +goose Down
DROP TABLE settlement, ledger, segment, lease_bits, lease, process, account;
ALTER TABLE advertiser DROP CONSTRAINT advertiser_time_zone_is_known;
DROP FUNCTION day_start, bank_now;
