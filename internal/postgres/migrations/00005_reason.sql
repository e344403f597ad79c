-- +goose Up
-- Why line items did not serve, written by settle with the segments that say so.
-- Rows are kept by hour: the key begins with it, so that old ones go as a range.
CREATE TABLE report_reason (
    hour         timestamptz NOT NULL, -- of the request, UTC
    line_item_id bigint      NOT NULL, -- 0: of line items that a process had no room to count apart
    reason       text        NOT NULL,
    dimension    text        NOT NULL DEFAULT '', -- what of the request did not match; '': the reason has none
    counted      bigint      NOT NULL DEFAULT 0,  -- cases that the auction came upon, every one
    estimated    bigint      NOT NULL DEFAULT 0,  -- cases that the explained sample of all requests stands for …
    samples      bigint      NOT NULL DEFAULT 0,  -- … and those seen in it
    PRIMARY KEY (hour, line_item_id, reason, dimension)
);
CREATE INDEX ON report_reason (line_item_id, hour);

-- +goose Down
DROP TABLE report_reason;
