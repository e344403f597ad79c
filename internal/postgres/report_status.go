package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// hourChange is what one batch did to an hour.
type hourChange struct {
	demand, audience hourRows
	events           int64 // with decisions
}

// writeReports adds s to the three reports, folds what is too much, and notes by
// hour what happened. Only changed_at of an hour tells the daily reports that they
// are old, so it moves in the same transaction.
func (t *SettleTx) writeReports(ctx context.Context, s *Settlement) error {
	changes := changedHours(s)
	if len(changes) == 0 {
		return nil
	}
	cells, audience, err := t.lockHours(ctx, changes)
	if err != nil {
		return err
	}
	demandRows, err := demandCube.write(ctx, t.tx, s.Cells, cells)
	if err != nil {
		return err
	}
	audienceRows, err := audienceCube.write(ctx, t.tx, normalAudience(s.Audience), audience)
	if err != nil {
		return err
	}
	if _, err := supplyCube.write(ctx, t.tx, s.Supply, nil); err != nil {
		return err
	}
	for hour, change := range changes {
		change.demand, change.audience = demandRows[hour], audienceRows[hour]
	}
	return t.writeStatus(ctx, changes)
}

func changedHours(s *Settlement) map[int64]*hourChange {
	changes := map[int64]*hourChange{}
	at := func(hour int64) *hourChange {
		if changes[hour] == nil {
			changes[hour] = new(hourChange)
		}
		return changes[hour]
	}
	for key, cell := range s.Cells {
		at(key.Hour).events += cell.events()
	}
	for key := range s.Audience {
		at(key.Hour)
	}
	for key, cell := range s.Supply {
		at(key.Hour).events += cell.Decisions
	}
	return changes
}

// lockHours locks the hours of a batch, in order, and returns how many more rows
// each may have in both cubes.
func (t *SettleTx) lockHours(ctx context.Context, changes map[int64]*hourChange) (cells, audience map[int64]int64, err error) {
	hours := make([]time.Time, 0, len(changes))
	for hour := range changes {
		hours = append(hours, time.Unix(hour, 0))
	}
	rows, err := lockReportHours(ctx, t.tx, hours)
	if err != nil {
		return nil, nil, err
	}
	cells, audience = map[int64]int64{}, map[int64]int64{}
	var hour time.Time
	var n, m int64
	if _, err := pgx.ForEachRow(rows, []any{&hour, &n, &m}, func() error {
		cells[hour.Unix()], audience[hour.Unix()] = int64(t.reports.Cells)-n, int64(t.reports.Cells)-m
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("lock report hours: %w", err)
	}
	return cells, audience, nil
}

// lockReportHours locks these hours, in order, for whoever changes their rows:
// settle, corrections. Its rows are hour, cells, audience cells.
func lockReportHours(ctx context.Context, tx pgx.Tx, hours []time.Time) (pgx.Rows, error) {
	if _, err := tx.Exec(ctx, `
		INSERT INTO report_status (hour) SELECT h FROM unnest($1::timestamptz[]) AS n (h) ORDER BY h
		ON CONFLICT DO NOTHING`, hours); err != nil {
		return nil, fmt.Errorf("note report hours: %w", err)
	}
	rows, err := tx.Query(ctx, `
		SELECT hour, cells, audience_cells FROM report_status WHERE hour = ANY($1::timestamptz[]) ORDER BY hour FOR UPDATE`, hours)
	if err != nil {
		return nil, fmt.Errorf("lock report hours: %w", err)
	}
	return rows, nil
}

func (t *SettleTx) writeStatus(ctx context.Context, changes map[int64]*hourChange) error {
	var hours []time.Time
	var cells, audience, folded, restated []int64
	for hour, c := range changes {
		at := time.Unix(hour, 0)
		hours = append(hours, at)
		cells, audience = append(cells, c.demand.added), append(audience, c.audience.added)
		folded = append(folded, c.demand.folded+c.audience.folded)
		late := int64(0)
		if complete := at.Add(time.Hour + t.reports.CompleteAfter); !complete.After(t.Watermark) {
			late = c.events
		}
		restated = append(restated, late)
	}
	_, err := t.tx.Exec(ctx, `
		UPDATE report_status AS s SET
			cells          = s.cells + n.cells,
			audience_cells = s.audience_cells + n.audience,
			folded         = s.folded + n.folded,
			restated       = s.restated + n.restated,
			restated_at    = CASE WHEN n.restated > 0 THEN $6 ELSE s.restated_at END,
			changed_at     = GREATEST($6, s.changed_at + interval '1 microsecond')
		FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
			AS n (hour, cells, audience, folded, restated)
		WHERE s.hour = n.hour`, hours, cells, audience, folded, restated, t.Now)
	if err != nil {
		return fmt.Errorf("note report hours: %w", err)
	}
	return nil
}
