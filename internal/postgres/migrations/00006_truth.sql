-- +goose Up
-- From events to truth: reports in partitions, corrections, conversions, the
-- spool, the lake, and what proves that all of them agree.

-- Makes the monthly partition of a report table that holds this moment; to call it
-- again does no harm. A table that is attached, unlike one created as a partition,
-- waits for no reader of the report and holds none up. Its pages are left half
-- empty, since settle adds to an hour's rows again and again: the new version of a
-- row then finds room beside the old one, and no index has to be touched.
-- +goose StatementBegin
CREATE FUNCTION make_partition(report text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := date_trunc('month', at, 'UTC');
    part  text := report || to_char(first AT TIME ZONE 'UTC', '_YYYY_MM');
BEGIN
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING INDEXES) WITH (fillfactor = 50)', part, report);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            report, part, first, (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
END $$;
-- +goose StatementEnd

DROP TABLE report_hour, report_supply_hour;

-- The first cube. Hours are UTC hours of the decision. A row with creative,
-- placement and exchange 0 is 'other': what came when the hour had too many cells.
CREATE TABLE report_hour (
    hour                     timestamptz NOT NULL,
    line_item_id             bigint      NOT NULL,
    creative_id              bigint      NOT NULL,
    placement_id             bigint      NOT NULL,
    exchange_id              bigint      NOT NULL DEFAULT 0, -- 0: own inventory
    impressions              bigint      NOT NULL DEFAULT 0, -- every first valid one, charged or not
    viewables                bigint      NOT NULL DEFAULT 0,
    clicks                   bigint      NOT NULL DEFAULT 0,
    wins                     bigint      NOT NULL DEFAULT 0, -- exchanges' win notices
    conversions              bigint      NOT NULL DEFAULT 0, -- after a click
    view_conversions         bigint      NOT NULL DEFAULT 0, -- after an impression
    conversion_value_micros  bigint      NOT NULL DEFAULT 0, -- of both, as the advertiser stated it
    video_starts             bigint      NOT NULL DEFAULT 0,
    video_first_quartiles    bigint      NOT NULL DEFAULT 0,
    video_midpoints          bigint      NOT NULL DEFAULT 0,
    video_third_quartiles    bigint      NOT NULL DEFAULT 0,
    video_completes          bigint      NOT NULL DEFAULT 0,
    spend_micros             bigint      NOT NULL DEFAULT 0,
    overage_micros           bigint      NOT NULL DEFAULT 0,
    revenue_micros           bigint      NOT NULL DEFAULT 0, -- the publisher's share of spend
    late_impressions         bigint      NOT NULL DEFAULT 0,
    invalid                  bigint      NOT NULL DEFAULT 0, -- events judged invalid traffic, in none of the above
    credited_impressions     bigint      NOT NULL DEFAULT 0, -- found invalid afterwards: still among the above
    credited_micros          bigint      NOT NULL DEFAULT 0, -- of spend
    credited_revenue_micros  bigint      NOT NULL DEFAULT 0, -- of revenue
    PRIMARY KEY (line_item_id, hour, creative_id, placement_id, exchange_id)
) PARTITION BY RANGE (hour);
-- Hours lie together, so that this is enough to find all of one. A second index of
-- the ordinary kind would double what settle's inserts cost, and tempt the planner
-- to look up rows by it.
CREATE INDEX ON report_hour USING brin (hour) WITH (pages_per_range = 16, autosummarize = on);

-- The second cube.
CREATE TABLE report_audience_hour (
    hour         timestamptz NOT NULL,
    line_item_id bigint      NOT NULL,
    country      text        NOT NULL, -- ISO 3166-1 alpha-2, '': unknown, 'other' with device 'other': folded
    device       text        NOT NULL, -- as rules name them
    invalid      text        NOT NULL DEFAULT '', -- why the row's events are invalid traffic; '': they are valid
    impressions  bigint      NOT NULL DEFAULT 0,
    viewables    bigint      NOT NULL DEFAULT 0,
    clicks       bigint      NOT NULL DEFAULT 0,
    conversions  bigint      NOT NULL DEFAULT 0, -- both kinds
    spend_micros bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (line_item_id, hour, country, device, invalid)
) PARTITION BY RANGE (hour);
CREATE INDEX ON report_audience_hour USING brin (hour) WITH (pages_per_range = 16, autosummarize = on);

-- What placements were asked for, and what came of it. Their events stand in the
-- row without a reason, so that a publisher's figures never depend on 'other'.
CREATE TABLE report_supply_hour (
    hour                    timestamptz NOT NULL,
    placement_id            bigint      NOT NULL,
    exchange_id             bigint      NOT NULL DEFAULT 0,
    no_fill                 text        NOT NULL, -- '': filled
    decisions               bigint      NOT NULL DEFAULT 0,
    impressions             bigint      NOT NULL DEFAULT 0,
    viewables               bigint      NOT NULL DEFAULT 0,
    clicks                  bigint      NOT NULL DEFAULT 0,
    wins                    bigint      NOT NULL DEFAULT 0,
    late_impressions        bigint      NOT NULL DEFAULT 0,
    invalid                 bigint      NOT NULL DEFAULT 0,
    revenue_micros          bigint      NOT NULL DEFAULT 0,
    credited_revenue_micros bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (placement_id, hour, exchange_id, no_fill)
) PARTITION BY RANGE (hour);
CREATE INDEX ON report_supply_hour USING brin (hour) WITH (pages_per_range = 16, autosummarize = on);

-- The same by day, made by the job 'rollup' from the hours. Demand's days are
-- those of the advertiser's time zone, supply's are UTC.
CREATE TABLE report_day (LIKE report_hour INCLUDING DEFAULTS);
ALTER TABLE report_day DROP COLUMN hour;
ALTER TABLE report_day ADD COLUMN day date NOT NULL;
ALTER TABLE report_day ADD PRIMARY KEY (line_item_id, day, creative_id, placement_id, exchange_id);
CREATE INDEX ON report_day (day);
CREATE TABLE report_audience_day (LIKE report_audience_hour INCLUDING DEFAULTS);
ALTER TABLE report_audience_day DROP COLUMN hour;
ALTER TABLE report_audience_day ADD COLUMN day date NOT NULL;
ALTER TABLE report_audience_day ADD PRIMARY KEY (line_item_id, day, country, device, invalid);
CREATE INDEX ON report_audience_day (day);
CREATE TABLE report_supply_day (LIKE report_supply_hour INCLUDING DEFAULTS);
ALTER TABLE report_supply_day DROP COLUMN hour;
ALTER TABLE report_supply_day ADD COLUMN day date NOT NULL;
ALTER TABLE report_supply_day ADD PRIMARY KEY (placement_id, day, exchange_id, no_fill);
CREATE INDEX ON report_supply_day (day);

-- What is known of an hour as a whole, one row for each that any report has.
CREATE TABLE report_status (
    hour             timestamptz PRIMARY KEY,
    cells            bigint      NOT NULL DEFAULT 0, -- rows of report_hour
    audience_cells   bigint      NOT NULL DEFAULT 0, -- rows of report_audience_hour
    folded           bigint      NOT NULL DEFAULT 0, -- events in rows of 'other', of both cubes together
    changed_at       timestamptz NOT NULL DEFAULT bank_now(),
    restated_at      timestamptz, -- when something came last although the hour had been complete
    restated         bigint      NOT NULL DEFAULT 0, -- events, and decisions, that came so
    rolled_at        timestamptz -- changed_at of what the days have; null: never rolled up
);
CREATE INDEX ON report_status (changed_at) WHERE rolled_at IS NULL OR rolled_at < changed_at;

-- Which records of a segment count for less than they say (internal/event,
-- Outcome), and how far in time a segment reaches.
ALTER TABLE segment
    ADD COLUMN first_at timestamptz,                 -- log time of its first record
    ADD COLUMN outcomes bytea NOT NULL DEFAULT '',
    ADD COLUMN skipped  text  NOT NULL DEFAULT '';   -- why an operator went on without it; its records are lost
CREATE INDEX ON segment (last_at);
CREATE INDEX ON segment (batch);

-- Most leases are small: a row of bits is as long as its highest one asks for.
ALTER TABLE lease_bits
    DROP CONSTRAINT lease_bits_bits_check,
    ADD CONSTRAINT lease_bits_bits_check CHECK (octet_length(bits) <= 1024);

-- Segments that a process could not put into the bucket as it ended.
CREATE TABLE spool (
    process_id uuid        NOT NULL,
    seq        bigint      NOT NULL,
    body       bytea       NOT NULL,
    at         timestamptz NOT NULL DEFAULT bank_now(),
    PRIMARY KEY (process_id, seq)
);
ALTER TABLE spool ALTER COLUMN body SET STORAGE EXTERNAL; -- sealed segments do not compress

-- For how long after a click, or an impression, a conversion is counted.
ALTER TABLE advertiser
    ADD COLUMN click_window_days integer NOT NULL DEFAULT 30 CHECK (click_window_days BETWEEN 1 AND 90),
    ADD COLUMN view_window_days  integer NOT NULL DEFAULT 1 CHECK (view_window_days BETWEEN 0 AND 30); -- 0: none is

-- Conversions counted. One without an order id of its own is named by its reservation.
CREATE TABLE conversion (
    advertiser_id bigint      NOT NULL,
    order_id      text        NOT NULL CHECK (octet_length(order_id) <= 128),
    line_item_id  bigint      NOT NULL,
    creative_id   bigint      NOT NULL,
    placement_id  bigint      NOT NULL,
    exchange_id   bigint      NOT NULL DEFAULT 0,
    post_view     boolean     NOT NULL,
    value_micros  bigint      NOT NULL CHECK (value_micros >= 0),
    decided_at    timestamptz NOT NULL,
    touched_at    timestamptz NOT NULL,
    converted_at  timestamptz NOT NULL,
    batch         bigint      NOT NULL,
    PRIMARY KEY (advertiser_id, order_id)
);
CREATE INDEX ON conversion (converted_at);

-- A credit for traffic found invalid after it was charged. It adds to the books
-- and changes nothing in them.
CREATE TABLE correction (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    advertiser_id        bigint      NOT NULL REFERENCES advertiser,
    line_item_id         bigint      REFERENCES line_item, -- null: all of the advertiser's
    creative_id          bigint      REFERENCES creative,
    placement_id         bigint      REFERENCES placement,
    exchange_id          bigint,
    from_hour            timestamptz NOT NULL,
    to_hour              timestamptz NOT NULL CHECK (to_hour > from_hour), -- exclusive
    why                  text        NOT NULL CHECK (char_length(why) BETWEEN 1 AND 500), -- the invoice shows it
    impressions          bigint      NOT NULL,
    credited_micros      bigint      NOT NULL CHECK (credited_micros >= 0),
    credited_revenue_micros bigint   NOT NULL CHECK (credited_revenue_micros >= 0),
    user_id              bigint      REFERENCES app_user,
    at                   timestamptz NOT NULL DEFAULT bank_now()
);
CREATE INDEX ON correction (advertiser_id, at);

-- A row of a correction has batch 0 and a negative charge.
ALTER TABLE ledger ADD COLUMN correction_id bigint REFERENCES correction;

-- A row for each batch would be a hundred million a day: charges of one line item
-- and day add up within the UTC hour in which they were settled, and never change
-- once that is over. batch is the last one that added. Which batch charged what is
-- told by the segments and their outcomes.
ALTER TABLE ledger ADD COLUMN hour timestamptz NOT NULL DEFAULT date_trunc('hour', bank_now(), 'UTC');
ALTER TABLE ledger SET (fillfactor = 70); -- a row of the current hour changes in its place
WITH old AS (DELETE FROM ledger RETURNING *)
INSERT INTO ledger (batch, line_item_id, day, charged_micros, charged_impressions,
    overage_micros, overage_impressions, late_impressions, at, hour)
SELECT max(batch), line_item_id, day, sum(charged_micros), sum(charged_impressions),
    sum(overage_micros), sum(overage_impressions), sum(late_impressions), max(at), date_trunc('hour', at, 'UTC')
FROM old GROUP BY line_item_id, day, date_trunc('hour', at, 'UTC');
CREATE UNIQUE INDEX ledger_line_item_day_hour ON ledger (line_item_id, day, hour) WHERE correction_id IS NULL;
CREATE INDEX ON ledger (day);
CREATE INDEX ON ledger (correction_id) WHERE correction_id IS NOT NULL;

-- The lake's files: part n of an hour of log time holds what batches after
-- 'after' and up to 'through' say of it. A row is written before its file, so
-- that a second try makes the same file.
CREATE TABLE lake_part (
    hour          timestamptz NOT NULL,
    part          integer     NOT NULL,
    after_batch   bigint      NOT NULL,
    through_batch bigint      NOT NULL,
    events        bigint,      -- null: not written yet
    bytes         bigint,
    written_at    timestamptz,
    PRIMARY KEY (hour, part)
);

-- What reconcile found, one row a run and day.
CREATE TABLE reconciliation (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date        NOT NULL,
    at          timestamptz NOT NULL DEFAULT bank_now(),
    events      bigint      NOT NULL, -- recomputed from the log
    charged_micros bigint   NOT NULL, -- likewise
    differences jsonb       NOT NULL, -- an array, [] when all agree
    losses      jsonb       NOT NULL  -- an array: segments that are gone, and why
);
CREATE INDEX ON reconciliation (day, at DESC);

-- Leases over for a day, by line item and day.
CREATE TABLE lease_day (
    line_item_id         bigint NOT NULL,
    day                  date   NOT NULL,
    leases               bigint NOT NULL,
    granted_micros       bigint NOT NULL,
    granted_impressions  bigint NOT NULL,
    reserved_micros      bigint NOT NULL,
    reserved_impressions bigint NOT NULL,
    settled_micros       bigint NOT NULL,
    settled_impressions  bigint NOT NULL,
    returned_micros      bigint NOT NULL,
    returned_impressions bigint NOT NULL,
    PRIMARY KEY (line_item_id, day)
);

-- What a lease was granted by the log's word, and has no room for in its accounts
-- since they were restored from an older copy: its events beyond are overage.
ALTER TABLE lease ADD COLUMN clipped_micros bigint NOT NULL DEFAULT 0 CHECK (clipped_micros >= 0);

-- checked names the server and database whose state settle has compared with the
-- log; elsewhere, as after a restore, nothing is granted until it has.
ALTER TABLE settlement
    ADD COLUMN checked text   NOT NULL DEFAULT '',
    ADD COLUMN rebuilt bigint NOT NULL DEFAULT 0; -- how often the books were made anew

ALTER TABLE job_run ADD COLUMN lag interval; -- how far behind the job's input was left; null: it has no such thing

-- The jobs that this installation runs, as whoever runs them made known: one that
-- never ran at all is missed too.
CREATE TABLE job (
    name     text        PRIMARY KEY,
    schedule text        NOT NULL, -- as cron has it; '': it follows the events without end
    every    interval    NOT NULL, -- longest time from one start to the next
    since    timestamptz NOT NULL DEFAULT bank_now() -- known since
);

-- Leases minted before this moment may be gone, folded into lease_day: an event
-- that names one which is not there is not counted, as nobody can tell any more
-- whether it was.
ALTER TABLE settlement ADD COLUMN folded timestamptz NOT NULL DEFAULT '-infinity';

-- +goose Down
ALTER TABLE settlement DROP COLUMN folded;
DROP TABLE job;
ALTER TABLE job_run DROP COLUMN lag;
ALTER TABLE lease DROP COLUMN clipped_micros;
ALTER TABLE settlement DROP COLUMN checked, DROP COLUMN rebuilt;
DROP TABLE lease_day, reconciliation, lake_part;
ALTER TABLE ledger DROP COLUMN correction_id, DROP COLUMN hour, RESET (fillfactor);
DROP INDEX ledger_day_idx;
DROP TABLE correction, conversion;
ALTER TABLE advertiser DROP COLUMN click_window_days, DROP COLUMN view_window_days;
DROP TABLE spool;
UPDATE lease_bits SET bits = bits || decode(repeat('00', 1024 - octet_length(bits)), 'hex');
ALTER TABLE lease_bits
    DROP CONSTRAINT lease_bits_bits_check,
    ADD CONSTRAINT lease_bits_bits_check CHECK (octet_length(bits) = 1024);
DROP INDEX segment_batch_idx, segment_last_at_idx;
ALTER TABLE segment DROP COLUMN first_at, DROP COLUMN outcomes, DROP COLUMN skipped;
DROP TABLE report_status, report_supply_day, report_audience_day, report_day;
DROP TABLE report_supply_hour, report_audience_hour, report_hour;
DROP FUNCTION make_partition;
CREATE TABLE report_hour (
    hour              timestamptz NOT NULL,
    line_item_id      bigint      NOT NULL,
    creative_id       bigint      NOT NULL,
    placement_id      bigint      NOT NULL,
    exchange_id       bigint      NOT NULL DEFAULT 0,
    impressions       bigint      NOT NULL DEFAULT 0,
    viewables         bigint      NOT NULL DEFAULT 0,
    clicks            bigint      NOT NULL DEFAULT 0,
    spend_micros      bigint      NOT NULL DEFAULT 0,
    overage_micros    bigint      NOT NULL DEFAULT 0,
    late_impressions  bigint      NOT NULL DEFAULT 0,
    invalid           bigint      NOT NULL DEFAULT 0,
    revenue_micros    bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, line_item_id, creative_id, placement_id, exchange_id)
);
CREATE INDEX ON report_hour (line_item_id, hour);
CREATE INDEX ON report_hour (placement_id, hour);
CREATE TABLE report_supply_hour (
    hour         timestamptz NOT NULL,
    placement_id bigint      NOT NULL,
    exchange_id  bigint      NOT NULL DEFAULT 0,
    no_fill      text        NOT NULL,
    decisions    bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, placement_id, exchange_id, no_fill)
);
