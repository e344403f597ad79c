package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// corrected is an advertiser with two line items whose books tests write, as
// settle does.
type corrected struct {
	*house
	settler *postgres.Settler
	zone    *time.Location
	items   [2]ad.ID
	from    time.Time // 96 hours are charged from here
}

const chargedHours = 96

func newCorrected(t testing.TB, zone string) *corrected {
	t.Helper()
	h := newHouse(t)
	ctx := t.Context()
	location := must[*time.Location](t)(time.LoadLocation(zone))
	x := &corrected{house: h, zone: location, from: time.Now().UTC().Add(-6 * 24 * time.Hour).Truncate(24 * time.Hour)}
	h.advertiser = must[ad.Advertiser](t)(h.CreateAdvertiser(ctx, postgres.System, ad.Advertiser{Name: "Corrected", Domain: "corrected.example", TimeZone: zone}))
	h.campaign = must[ad.Campaign](t)(h.CreateCampaign(ctx, postgres.System, ad.Campaign{AdvertiserID: h.advertiser.ID, Name: "C", StartsAt: start}))
	for i := range x.items {
		item := sampleLineItem(h.campaign.ID)
		item.LifetimeBudget, item.DailyBudget, item.Labels = nil, nil, nil
		x.items[i] = must[ad.LineItem](t)(h.CreateLineItem(ctx, postgres.System, item)).ID
		for day := range 8 {
			h.exec(t, "INSERT INTO account (level, owner_id, day) VALUES ('line_item', $1, $2)", x.items[i], x.from.AddDate(0, 0, day-2))
		}
	}
	x.settler = must[*postgres.Settler](t)(h.Settler(ctx))
	t.Cleanup(func() { _ = x.settler.Close(context.WithoutCancel(ctx)) })
	if err := x.settler.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := x.settler.EnsurePartitions(ctx, []int64{x.from.Unix(), x.from.Add(chargedHours * time.Hour).Unix()}); err != nil {
		t.Fatal(err)
	}
	return x
}

// charge is one cell's part in a batch.
type charge struct {
	cell        postgres.CellKey
	day         event.Day
	impressions int64
	unpaid      int64 // of impressions: overage at the same price
	price       money.Micros
}

func (c charge) spend() money.Micros { return c.price * money.Micros(c.impressions-c.unpaid) }

// revenue is the publisher's share, a token's worth at a time.
func (c charge) revenue() money.Micros {
	return c.price.MulDiv(7, 10) * money.Micros(c.impressions-c.unpaid)
}

// settle writes charges as one batch. Rows of a cell that is folded tell
// placements apart all the same.
func (x *corrected) settle(ctx context.Context, charges ...charge) error {
	return x.settler.InTx(ctx, func(tx *postgres.SettleTx) error {
		s := &postgres.Settlement{
			Accounts: map[postgres.BudgetKey]*postgres.AccountChange{}, Ledger: map[postgres.BudgetKey]*postgres.LedgerEntry{},
			Cells: map[postgres.CellKey]*postgres.Cell{}, Supply: map[postgres.SupplyKey]*postgres.SupplyCell{},
		}
		for _, c := range charges {
			budget := postgres.BudgetKey{LineItem: c.cell.LineItem, Day: c.day}
			supply := postgres.SupplyKey{Hour: c.cell.Hour, Placement: max(c.cell.Placement, 1), Exchange: c.cell.Exchange}
			if s.Accounts[budget] == nil {
				s.Accounts[budget], s.Ledger[budget] = new(postgres.AccountChange), new(postgres.LedgerEntry)
			}
			if s.Cells[c.cell] == nil {
				s.Cells[c.cell] = new(postgres.Cell)
			}
			if s.Supply[supply] == nil {
				s.Supply[supply] = new(postgres.SupplyCell)
			}
			paid := postgres.Amount{Micros: c.spend(), Impressions: c.impressions - c.unpaid}
			s.Accounts[budget].Settled = s.Accounts[budget].Settled.Add(paid)
			s.Ledger[budget].Charged = s.Ledger[budget].Charged.Add(paid)
			cell := s.Cells[c.cell]
			cell.Impressions += c.impressions
			cell.Spend += c.spend()
			cell.Overage += c.price * money.Micros(c.unpaid)
			cell.Revenue += c.revenue()
			s.Supply[supply].Impressions += c.impressions
			s.Supply[supply].Revenue += c.revenue()
		}
		return tx.Write(ctx, s)
	})
}

func (x *corrected) hour(n int) time.Time { return x.from.Add(time.Duration(n) * time.Hour) }

func (x *corrected) dayAt(at time.Time) event.Day {
	y, m, d := at.In(x.zone).Date()
	return event.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// books are what has to agree, for each line item.
type books struct {
	Ledger, Lifetime, Days, Report int64 // micros: of the ledger, both kinds of accounts, and spend less credits
	LedgerN, AccountN              int64 // impressions
	Least, LeastN                  int64 // of one day in the ledger
}

// check compares the books with one another, and what is credited with what was
// charged.
func (x *corrected) check(t rapid.TB) {
	t.Helper()
	for _, id := range x.items {
		var b books
		err := x.Pool.QueryRow(context.Background(), `
			SELECT COALESCE((SELECT sum(charged_micros) FROM ledger WHERE line_item_id = $1), 0)::bigint,
				(SELECT settled_micros FROM account WHERE owner_id = $1 AND day IS NULL),
				(SELECT sum(settled_micros)::bigint FROM account WHERE owner_id = $1 AND day IS NOT NULL),
				COALESCE((SELECT sum(spend_micros - credited_micros) FROM report_hour WHERE line_item_id = $1), 0)::bigint,
				COALESCE((SELECT sum(charged_impressions) FROM ledger WHERE line_item_id = $1), 0)::bigint,
				(SELECT settled_impressions FROM account WHERE owner_id = $1 AND day IS NULL),
				COALESCE((SELECT min(s) FROM (SELECT sum(charged_micros) s FROM ledger WHERE line_item_id = $1 GROUP BY day) d), 0)::bigint,
				COALESCE((SELECT min(s) FROM (SELECT sum(charged_impressions) s FROM ledger WHERE line_item_id = $1 GROUP BY day) d), 0)::bigint`,
			id).Scan(&b.Ledger, &b.Lifetime, &b.Days, &b.Report, &b.LedgerN, &b.AccountN, &b.Least, &b.LeastN)
		if err != nil {
			t.Fatal(err)
		}
		if b.Ledger != b.Lifetime || b.Ledger != b.Days || b.Ledger != b.Report || b.LedgerN != b.AccountN || b.Least < 0 || b.LeastN < 0 {
			t.Fatalf("line item %d: the books disagree: %+v", id, b)
		}
	}
	var beyond, days, supply, cube, corrections, credits int64
	err := x.Pool.QueryRow(context.Background(), `
		SELECT (SELECT count(*) FROM report_hour WHERE credited_micros > spend_micros OR credited_revenue_micros > revenue_micros
				OR credited_impressions > impressions),
			(SELECT count(*) FROM (SELECT FROM ledger g FULL JOIN account a ON a.owner_id = g.line_item_id AND a.day = g.day
				WHERE a.day IS NOT NULL GROUP BY a.id HAVING COALESCE(sum(g.charged_micros), 0) <> a.settled_micros) d),
			COALESCE((SELECT sum(credited_revenue_micros) FROM report_supply_hour), 0)::bigint,
			COALESCE((SELECT sum(credited_revenue_micros) FROM report_hour), 0)::bigint,
			COALESCE((SELECT sum(credited_micros) FROM correction), 0)::bigint,
			COALESCE((SELECT -sum(charged_micros) FROM ledger WHERE correction_id IS NOT NULL AND batch = 0), 0)::bigint`,
	).Scan(&beyond, &days, &supply, &cube, &corrections, &credits)
	if err != nil {
		t.Fatal(err)
	}
	if beyond+days != 0 || supply != cube || corrections != credits {
		t.Fatalf("%d cells credited beyond their charge, %d days differ, revenue taken back %d and %d, credits %d and %d",
			beyond, days, supply, cube, corrections, credits)
	}
}

func (x *corrected) correction(from, to int) ad.Correction {
	return ad.Correction{AdvertiserID: x.advertiser.ID, From: x.hour(from), To: x.hour(to), Why: "A data centre."}
}

// correct previews and makes a correction.
func (x *corrected) correct(ctx context.Context, k ad.Correction) (ad.Correction, error) {
	p, err := x.PreviewCorrection(ctx, postgres.System, k)
	if err != nil {
		return k, err
	}
	return x.Correct(ctx, postgres.System, k, p.Credit)
}

func TestCorrectionIsMadeOnce(t *testing.T) {
	t.Parallel()
	x := newCorrected(t, "Asia/Tokyo")
	ctx := t.Context()
	cell := postgres.CellKey{Hour: x.hour(5).Unix(), LineItem: x.items[0], Creative: 3, Placement: x.placement.ID}
	other := cell
	other.Placement, other.Exchange = 99, 4
	folded := postgres.CellKey{Hour: cell.Hour, LineItem: x.items[0]}
	day := x.dayAt(x.hour(5))
	if err := x.settle(ctx, charge{cell, day, 10, 2, 100}, charge{other, day, 5, 0, 100}, charge{folded, day, 3, 0, 100}); err != nil {
		t.Fatal(err)
	}
	k := x.correction(5, 6)
	k.PlacementID = x.placement.ID
	p := must[postgres.CorrectionPreview](t)(x.PreviewCorrection(ctx, postgres.System, k))
	want := postgres.CorrectionPreview{
		Credit: ad.Credit{Impressions: 8, Charged: 800, Revenue: 560}, Folded: 300,
		LineItems: []postgres.CorrectionLine{{LineItem: x.items[0], Name: "Japan", Credit: ad.Credit{Impressions: 8, Charged: 800, Revenue: 560}}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if _, err := x.Correct(ctx, postgres.System, k, ad.Credit{Impressions: 8, Charged: 801, Revenue: 560}); !errors.Is(err, postgres.ErrFigures) {
		t.Errorf("another amount than was shown: %v", err)
	}
	// Two operators press the button at once.
	results := make(chan error)
	for range 2 {
		go func() {
			_, err := x.Correct(ctx, postgres.System, k, p.Credit)
			results <- err
		}()
	}
	first, second := <-results, <-results
	if first != nil {
		first, second = second, first
	}
	if first != nil || !errors.Is(second, postgres.ErrFigures) {
		t.Errorf("sent twice: %v, %v", first, second)
	}
	x.check(t)
	if p = must[postgres.CorrectionPreview](t)(x.PreviewCorrection(ctx, postgres.System, k)); p.Credit != (ad.Credit{}) {
		t.Errorf("left: %+v", p)
	}
	var invalid ad.Invalid
	if _, err := x.Correct(ctx, postgres.System, k, ad.Credit{}); !errors.As(err, &invalid) {
		t.Errorf("nothing to credit: %v", err)
	}
	// A late event makes more of the same cell invalid; the rest takes what was folded along.
	if err := x.settle(ctx, charge{cell, day, 1, 0, 100}); err != nil {
		t.Fatal(err)
	}
	made := must[ad.Correction](t)(x.correct(ctx, x.correction(0, chargedHours)))
	if made.Credit != (ad.Credit{Impressions: 9, Charged: 900, Revenue: 420}) {
		t.Errorf("the rest: %+v", made.Credit)
	}
	x.check(t)
	found := must[ad.Correction](t)(x.FindCorrection(ctx, postgres.System, made.ID))
	if diff := cmp.Diff(made, found); diff != "" {
		t.Error(diff)
	}
	if list := must[[]ad.Correction](t)(x.Corrections(ctx, postgres.System, postgres.CorrectionFilter{})); len(list) != 2 || list[0].ID != made.ID {
		t.Errorf("list: %+v", list)
	}
	parts := must[[]postgres.CorrectionLine](t)(x.CorrectionParts(ctx, postgres.System, made.ID))
	if len(parts) != 1 || parts[0].Charged != 900 {
		t.Errorf("parts: %+v", parts)
	}
}

func TestCorrectionLetsRollUpsFollow(t *testing.T) {
	t.Parallel()
	x := newCorrected(t, "UTC")
	cell := postgres.CellKey{Hour: x.hour(5).Unix(), LineItem: x.items[0], Creative: 3, Placement: 1}
	if err := x.settle(t.Context(), charge{cell, x.dayAt(x.hour(5)), 10, 0, 100}); err != nil {
		t.Fatal(err)
	}
	x.exec(t, "UPDATE report_status SET rolled_at = changed_at")
	must[ad.Correction](t)(x.correct(t.Context(), x.correction(0, chargedHours)))
	var stale int
	if err := x.Pool.QueryRow(t.Context(), "SELECT count(*) FROM report_status WHERE rolled_at < changed_at").Scan(&stale); err != nil || stale != 1 {
		t.Errorf("%d hours to roll up again, %v", stale, err)
	}
}

func TestCorrectionRefusals(t *testing.T) {
	t.Parallel()
	x := newCorrected(t, "Asia/Tokyo")
	f := func(field string, change func(*ad.Correction)) {
		t.Helper()
		k := x.correction(0, 5)
		change(&k)
		_, err := x.PreviewCorrection(t.Context(), postgres.System, k)
		_, err2 := x.Correct(t.Context(), postgres.System, k, ad.Credit{})
		var invalid, invalid2 ad.Invalid
		if !errors.As(err, &invalid) || !errors.As(err2, &invalid2) || invalid[0].Field != field || invalid2[0].Field != field {
			t.Errorf("%s: %v, %v", field, err, err2)
		}
	}
	other := addHouse(t, x.DB, "other")
	f("advertiser_id", func(k *ad.Correction) { k.AdvertiserID = 1 << 60 })
	f("line_item_id", func(k *ad.Correction) { k.LineItemID = other.lineItem.ID })
	f("creative_id", func(k *ad.Correction) { k.CreativeID = other.creative.ID })
	f("placement_id", func(k *ad.Correction) { k.PlacementID = 1 << 60 })
	f("why", func(k *ad.Correction) { k.Why = " " })
	f("to", func(k *ad.Correction) { k.To = k.From })
}

// Credits against a plain model: each cell remembers what was charged and what of
// it was credited. Days are those of zones whose midnight lies within a UTC hour.
func TestCorrectionsAgainstModel(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Asia/Kolkata", "Asia/Kathmandu", "America/New_York"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			x := newCorrected(t, zone)
			rapid.Check(t, func(t *rapid.T) { x.against(t) })
		})
	}
}

type modelCell struct{ spend, credited money.Micros }

func (x *corrected) against(t *rapid.T) {
	ctx := context.Background()
	if _, err := x.Pool.Exec(ctx, `
		DELETE FROM ledger; DELETE FROM correction; DELETE FROM report_hour; DELETE FROM report_supply_hour; DELETE FROM report_status;
		UPDATE account SET settled_micros = 0, settled_impressions = 0`); err != nil {
		t.Fatal(err)
	}
	model := map[postgres.CellKey]*modelCell{}
	for range rapid.IntRange(1, 6).Draw(t, "rounds") {
		if err := x.settle(ctx, x.drawCharges(t, model)...); err != nil {
			t.Fatal(err)
		}
		k := x.drawCorrection(t)
		var want money.Micros
		for key, cell := range model {
			at := time.Unix(key.Hour, 0)
			in := !at.Before(k.From) && at.Before(k.To) && (k.LineItemID == 0 || k.LineItemID == key.LineItem) &&
				(k.PlacementID == 0 || k.PlacementID == key.Placement) && (k.ExchangeID == nil || *k.ExchangeID == key.Exchange && key.Placement != 0)
			if in {
				want += cell.spend - cell.credited
				cell.credited = cell.spend
			}
		}
		made, err := x.correct(ctx, k)
		var invalid ad.Invalid
		if made.Charged != want || (err != nil) != (want == 0) || (err != nil && !errors.As(err, &invalid)) {
			t.Fatalf("credited %s, want %s, %v", made.Charged, want, err)
		}
		x.check(t)
	}
}

func (x *corrected) drawCharges(t *rapid.T, model map[postgres.CellKey]*modelCell) (charges []charge) {
	for range rapid.IntRange(1, 8).Draw(t, "charges") {
		at := x.hour(rapid.IntRange(0, chargedHours-1).Draw(t, "hour")).Add(time.Duration(rapid.IntRange(0, 59).Draw(t, "minute")) * time.Minute)
		key := postgres.CellKey{Hour: at.Truncate(time.Hour).Unix(), LineItem: x.items[rapid.IntRange(0, 1).Draw(t, "item")]}
		if rapid.IntRange(0, 4).Draw(t, "folded") > 0 {
			key.Creative, key.Placement = 3, rapid.SampledFrom([]ad.ID{x.placement.ID, 1 << 40}).Draw(t, "placement")
			key.Exchange = ad.ID(rapid.IntRange(0, 1).Draw(t, "exchange"))
		}
		n := rapid.Int64Range(1, 9).Draw(t, "n")
		// A process's clock may be off by minutes when it chooses the lease's day.
		day := x.dayAt(at.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "skew")) * time.Minute))
		c := charge{key, day, n, rapid.Int64Range(0, n).Draw(t, "unpaid"), rapid.SampledFrom([]money.Micros{1, 7, 2500}).Draw(t, "price")}
		if model[key] == nil {
			model[key] = new(modelCell)
		}
		model[key].spend += c.spend()
		charges = append(charges, c)
	}
	return charges
}

func (x *corrected) drawCorrection(t *rapid.T) ad.Correction {
	from := rapid.IntRange(0, chargedHours-1).Draw(t, "from")
	k := x.correction(from, rapid.IntRange(from+1, chargedHours).Draw(t, "to"))
	if rapid.Bool().Draw(t, "one line item") {
		k.LineItemID = x.items[rapid.IntRange(0, 1).Draw(t, "its item")]
	}
	if rapid.IntRange(0, 2).Draw(t, "one placement") == 0 {
		k.PlacementID = x.placement.ID
	}
	if rapid.IntRange(0, 3).Draw(t, "one exchange") == 0 {
		exchange := ad.ID(rapid.IntRange(0, 1).Draw(t, "its exchange"))
		k.ExchangeID = &exchange
	}
	return k
}

func (x *corrected) edit(ctx context.Context, id ad.ID, more money.Micros) error {
	item, err := x.FindLineItem(ctx, postgres.System, id)
	if err != nil {
		return err
	}
	item.LifetimeBudget = micros(1000*money.Unit + more)
	_, err = x.UpdateLineItem(ctx, postgres.System, item)
	return err
}

// Two operators correct what settle charges meanwhile, and budgets are edited:
// nobody is stopped by a deadlock, and in the end all that was charged is
// credited, once.
func TestCorrectionsBesideSettle(t *testing.T) {
	t.Parallel()
	x := newCorrected(t, "Asia/Kolkata")
	ctx := t.Context()
	const batches = 150
	done := make(chan error, 1)
	go func() {
		for i := range batches {
			var charges []charge
			for j := range 20 { // in another order each time
				at := x.hour((i*7 + j*5) % chargedHours)
				key := postgres.CellKey{Hour: at.Unix(), LineItem: x.items[(i+j)%2], Creative: 3, Placement: ad.ID(1 + (i*j)%4)}
				charges = append(charges, charge{key, x.dayAt(at), 2, 0, 10})
			}
			if err := x.settle(ctx, charges...); err != nil {
				done <- fmt.Errorf("batch %d: %w", i, err)
				return
			}
		}
		done <- nil
	}()
	var operators sync.WaitGroup
	stop := make(chan struct{})
	var made [2]int
	for i := range made {
		operators.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				k := x.correction((n*11+i)%48, 48+(n*7)%48)
				if n%3 == 0 {
					k.LineItemID = x.items[n%2]
				}
				_, err := x.correct(ctx, k)
				var invalid ad.Invalid
				switch {
				case err == nil:
					made[i]++
				case !errors.Is(err, postgres.ErrFigures) && !errors.As(err, &invalid):
					t.Errorf("operator %d: %v", i, err)
					return
				}
			}
		})
	}
	operators.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := x.edit(ctx, x.items[n%2], money.Micros(n)); err != nil {
				t.Errorf("edit %d: %v", n, err)
				return
			}
		}
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
	close(stop)
	operators.Wait()
	x.check(t)
	if k, err := x.correct(ctx, x.correction(0, chargedHours)); err != nil {
		t.Logf("the rest: %v %+v", err, k.Credit) // the operators may have left nothing
	}
	x.check(t)
	var credited money.Micros
	if err := x.Pool.QueryRow(ctx, "SELECT sum(credited_micros)::bigint FROM correction").Scan(&credited); err != nil || credited != batches*20*20 {
		t.Errorf("credited %d of %d, %v", credited, batches*20*20, err)
	}
	t.Logf("%v corrections beside %d batches", made, batches)
}
