-- +goose Up
-- Report cells, written by settle in the transaction that charges. Hours are UTC
-- hours of the decision.
CREATE TABLE report_hour (
    hour              timestamptz NOT NULL,
    line_item_id      bigint      NOT NULL,
    creative_id       bigint      NOT NULL,
    placement_id      bigint      NOT NULL,
    exchange_id       bigint      NOT NULL DEFAULT 0,
    impressions       bigint      NOT NULL DEFAULT 0, -- every first valid one, charged or not
    viewables         bigint      NOT NULL DEFAULT 0,
    clicks            bigint      NOT NULL DEFAULT 0,
    spend_micros      bigint      NOT NULL DEFAULT 0,
    overage_micros    bigint      NOT NULL DEFAULT 0,
    late_impressions  bigint      NOT NULL DEFAULT 0,
    invalid           bigint      NOT NULL DEFAULT 0, -- events judged invalid traffic, in none of the above
    revenue_micros    bigint      NOT NULL DEFAULT 0, -- the publisher's share of spend
    PRIMARY KEY (hour, line_item_id, creative_id, placement_id, exchange_id)
);
CREATE INDEX ON report_hour (line_item_id, hour);
CREATE INDEX ON report_hour (placement_id, hour);

CREATE TABLE report_supply_hour (
    hour         timestamptz NOT NULL,
    placement_id bigint      NOT NULL,
    exchange_id  bigint      NOT NULL DEFAULT 0,
    no_fill      text        NOT NULL, -- '': filled
    decisions    bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, placement_id, exchange_id, no_fill)
);

CREATE TABLE job_run (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job        text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    outcome    text        NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'ok', 'failed', 'timeout', 'locked')),
    message    text        NOT NULL DEFAULT ''
);
CREATE INDEX ON job_run (job, started_at DESC);

-- +goose Down
DROP TABLE job_run, report_supply_hour, report_hour;
