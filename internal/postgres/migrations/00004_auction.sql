-- +goose Up
-- What the auction ranks, excludes and compares by. Every column has a default, so
-- that a binary that does not know it yet writes rows that are whole.

ALTER TABLE line_item
    ADD COLUMN weight    integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    ADD COLUMN roadblock text    NOT NULL DEFAULT '' CHECK (roadblock IN ('', 'one', 'all')),
    ADD COLUMN labels    text[]  NOT NULL DEFAULT '{}' CHECK (cardinality(labels) <= 10);

ALTER TABLE creative_revision
    ADD COLUMN categories text[]    NOT NULL DEFAULT '{}' CHECK (cardinality(categories) <= 50),
    ADD COLUMN attributes integer[] NOT NULL DEFAULT '{}';

ALTER TABLE property
    ADD COLUMN categories text[] NOT NULL DEFAULT '{}' CHECK (cardinality(categories) <= 50),
    DROP CONSTRAINT property_kind_check,
    ADD CONSTRAINT property_kind_check CHECK (kind IN ('site', 'app', 'dooh'));

ALTER TABLE placement
    ADD COLUMN floor_currency     text      NOT NULL DEFAULT '' CHECK (floor_currency ~ '^([A-Z]{3})?$'), -- '': the installation's
    ADD COLUMN auction_type       smallint  NOT NULL DEFAULT 1 CHECK (auction_type IN (1, 2)), -- OpenRTB's "at"
    ADD COLUMN position           text      NOT NULL DEFAULT '',
    ADD COLUMN blocked_categories text[]    NOT NULL DEFAULT '{}' CHECK (cardinality(blocked_categories) <= 1000),
    ADD COLUMN blocked_attributes integer[] NOT NULL DEFAULT '{}';

-- What one unit of a currency is worth in the installation's, in micros.
CREATE TABLE exchange_rate (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency   text        NOT NULL UNIQUE CHECK (currency ~ '^[A-Z]{3}$'),
    value      bigint      NOT NULL CHECK (value > 0),
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE exchange_rate;
ALTER TABLE placement
    DROP COLUMN floor_currency, DROP COLUMN auction_type, DROP COLUMN position,
    DROP COLUMN blocked_categories, DROP COLUMN blocked_attributes;
-- What the older schema has no word for stays, out of service.
UPDATE property SET kind = 'site', status = 'archived' WHERE kind = 'dooh';
ALTER TABLE property
    DROP COLUMN categories,
    DROP CONSTRAINT property_kind_check,
    ADD CONSTRAINT property_kind_check CHECK (kind IN ('site', 'app'));
ALTER TABLE creative_revision DROP COLUMN categories, DROP COLUMN attributes;
ALTER TABLE line_item DROP COLUMN weight, DROP COLUMN roadblock, DROP COLUMN labels;
