package settle

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// replayed is what segments and their outcomes say, without any other table.
type replayed struct {
	Cells    map[postgres.CellKey]postgres.Cell
	Audience map[postgres.AudienceKey]postgres.AudienceCell
	Supply   map[postgres.SupplyKey]postgres.SupplyCell
	Ledger   map[ad.ID]postgres.LedgerEntry
}

func newReplayed() *replayed {
	return &replayed{
		Cells: map[postgres.CellKey]postgres.Cell{}, Audience: map[postgres.AudienceKey]postgres.AudienceCell{},
		Supply: map[postgres.SupplyKey]postgres.SupplyCell{}, Ledger: map[ad.ID]postgres.LedgerEntry{},
	}
}

// judgeLog reads the log as the lake and the audit do, and expects the books.
func (w *world) judgeLog(t interface {
	Helper()
	Fatal(...any)
	Error(...any)
}) {
	t.Helper()
	log, err := w.replay()
	if err != nil {
		t.Fatal(err)
	}
	books, err := readBooks(context.Background(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(books, log); diff != "" {
		t.Error("books (-) and log (+):\n" + diff)
	}
}

func (w *world) replay() (*replayed, error) {
	ctx, log := context.Background(), newReplayed()
	segments, err := w.db.Queries().SettledSegments(ctx, postgres.SegmentRange{})
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		if s.Skipped != "" {
			continue
		}
		body, err := segment.Read(ctx, w.bucket, s.Process, s.Seq, nil)
		if err != nil {
			return nil, err
		}
		outcomes, err := event.ParseOutcomes(s.Outcomes)
		if err != nil {
			return nil, err
		}
		fates := map[uint32]event.Outcome{}
		for _, o := range outcomes {
			fates[o.Index] = o
		}
		reader, err := event.NewReader(body, s.Process, s.Seq)
		if err != nil {
			return nil, err
		}
		for i := uint32(0); ; i++ {
			var rec event.Record
			if ok, err := reader.Next(&rec); err != nil {
				return nil, err
			} else if !ok {
				break
			}
			log.add(&rec, fates[i])
			delete(fates, i)
		}
		if len(fates) > 0 {
			return nil, fmt.Errorf("outcomes of no record: %v", fates)
		}
	}
	return log, nil
}

func (l *replayed) add(rec *event.Record, o event.Outcome) {
	if o.Fate == event.Duplicate || o.Fate == event.Refused {
		return
	}
	if rec.Type == event.Requests {
		r := &rec.Requests
		key := postgres.SupplyKey{Hour: r.Hour.Unix(), Placement: r.Placement, Exchange: r.Exchange, NoFill: r.NoFill}
		supply := l.Supply[key]
		supply.Decisions += r.N
		l.Supply[key] = supply
	}
	if !rec.Type.IsLanding() {
		return
	}
	r := &rec.Landing.Reservation
	hour := r.DecidedAt.Truncate(time.Hour).Unix()
	key := postgres.CellKey{Hour: hour, LineItem: r.LineItem, Creative: r.Creative, Placement: r.Placement, Exchange: r.Exchange}
	why := rec.Landing.Invalid
	if why == event.Valid && r.Flags&event.Suspect != 0 {
		why = event.InvalidSuspect
	}
	audienceKey := postgres.AudienceKey{Hour: hour, LineItem: r.LineItem, Country: r.Country, Device: r.Device, Invalid: why}
	supplyKey := postgres.SupplyKey{Hour: hour, Placement: r.Placement, Exchange: r.Exchange}
	cell, audience, supply, entry := l.Cells[key], l.Audience[audienceKey], l.Supply[supplyKey], l.Ledger[r.LineItem]

	switch rec.Type {
	case event.Impression:
		audience.Impressions++
	case event.Viewable:
		audience.Viewables++
	case event.Click:
		audience.Clicks++
	case event.Conversion:
		audience.Conversions++
	}
	if why != event.Valid {
		cell.Invalid++
		supply.Invalid++
	} else {
		l.count(rec, &cell, &supply)
		charged, overage := rec.Landing.Charge(), o.Overage
		switch {
		case rec.Type != r.Bills.Type():
			charged = 0
		case o.Fate != event.Counted:
			charged = o.Charged
		}
		audience.Spend += charged
		cell.Spend += charged
		cell.Overage += overage
		cell.Revenue += r.Revenue(charged)
		supply.Revenue += r.Revenue(charged)
		entry.Charged.Micros += charged
		entry.Overage.Micros += overage
		switch {
		case rec.Type == event.Impression && o.Fate == event.TooLate:
			entry.Late++
		case rec.Type == event.Impression && o.Fate == event.Short && charged == 0:
			entry.Overage.Impressions++
		case rec.Type == event.Impression:
			entry.Charged.Impressions++
		}
		if o.Fate == event.TooLate {
			cell.Late++
			supply.Late++
		}
	}
	l.Cells[key], l.Supply[supplyKey] = cell, supply
	if audience != (postgres.AudienceCell{}) {
		l.Audience[audienceKey] = audience
	}
	if entry != (postgres.LedgerEntry{}) {
		l.Ledger[r.LineItem] = entry
	}
}

func (l *replayed) count(rec *event.Record, cell *postgres.Cell, supply *postgres.SupplyCell) {
	switch rec.Type {
	case event.Impression:
		cell.Impressions++
		supply.Impressions++
	case event.Viewable:
		cell.Viewables++
		supply.Viewables++
	case event.Click:
		cell.Clicks++
		supply.Clicks++
	case event.Win:
		cell.Wins++
		supply.Wins++
	case event.Progress:
		cell.Video[rec.Landing.Quartile]++
	case event.Conversion:
		cell.ConversionValue += rec.Action.Value
		if rec.Action.PostView {
			cell.ViewConversions++
		} else {
			cell.Conversions++
		}
	}
}

func readBooks(ctx context.Context, db *postgres.DB) (*replayed, error) {
	b := newReplayed()
	var at time.Time
	var country, device, invalid string
	var ck postgres.CellKey
	var c postgres.Cell
	if err := each(ctx, db, `
		SELECT hour, line_item_id, creative_id, placement_id, exchange_id, impressions, viewables, clicks, wins,
			conversions, view_conversions, conversion_value_micros,
			video_starts, video_first_quartiles, video_midpoints, video_third_quartiles, video_completes,
			spend_micros, overage_micros, revenue_micros, late_impressions, invalid FROM report_hour`,
		[]any{
			&at, &ck.LineItem, &ck.Creative, &ck.Placement, &ck.Exchange, &c.Impressions, &c.Viewables, &c.Clicks, &c.Wins,
			&c.Conversions, &c.ViewConversions, &c.ConversionValue,
			&c.Video[0], &c.Video[1], &c.Video[2], &c.Video[3], &c.Video[4],
			&c.Spend, &c.Overage, &c.Revenue, &c.Late, &c.Invalid,
		},
		func() { ck.Hour = at.Unix(); b.Cells[ck] = c }); err != nil {
		return nil, err
	}
	var ak postgres.AudienceKey
	var a postgres.AudienceCell
	if err := each(ctx, db, `
		SELECT hour, line_item_id, country, device, invalid, impressions, viewables, clicks, conversions, spend_micros
		FROM report_audience_hour`,
		[]any{&at, &ak.LineItem, &country, &device, &invalid, &a.Impressions, &a.Viewables, &a.Clicks, &a.Conversions, &a.Spend},
		func() {
			ak.Hour, ak.Country, ak.Device, ak.Invalid = at.Unix(), [2]byte{}, event.OtherDevice, event.Valid
			copy(ak.Country[:], country)
			for d := range event.TV + 1 {
				if d.String() == device {
					ak.Device = d
				}
			}
			for i := range event.InvalidSuspect + 1 {
				if i.String() == invalid {
					ak.Invalid = i
				}
			}
			b.Audience[ak] = a
		}); err != nil {
		return nil, err
	}
	var sk postgres.SupplyKey
	var s postgres.SupplyCell
	if err := each(ctx, db, `
		SELECT hour, placement_id, exchange_id, no_fill, decisions, impressions, viewables, clicks, wins, late_impressions, invalid,
			revenue_micros FROM report_supply_hour`,
		[]any{
			&at, &sk.Placement, &sk.Exchange, &sk.NoFill, &s.Decisions, &s.Impressions, &s.Viewables, &s.Clicks, &s.Wins, &s.Late,
			&s.Invalid, &s.Revenue,
		},
		func() { sk.Hour = at.Unix(); b.Supply[sk] = s }); err != nil {
		return nil, err
	}
	var id ad.ID
	var e postgres.LedgerEntry
	err := each(ctx, db, `
		SELECT line_item_id, sum(charged_micros)::bigint, sum(charged_impressions)::bigint,
			sum(overage_micros)::bigint, sum(overage_impressions)::bigint, sum(late_impressions)::bigint
		FROM ledger GROUP BY line_item_id HAVING sum(charged_micros + charged_impressions + overage_micros + overage_impressions + late_impressions) > 0`,
		[]any{&id, &e.Charged.Micros, &e.Charged.Impressions, &e.Overage.Micros, &e.Overage.Impressions, &e.Late},
		func() { b.Ledger[id] = e })
	return b, err
}

func each(ctx context.Context, db *postgres.DB, sql string, into []any, row func()) error {
	rows, err := db.Pool.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error { row(); return nil })
	return err
}
