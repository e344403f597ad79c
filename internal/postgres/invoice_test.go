package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

var (
	march = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	april = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	may   = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
)

func (h *house) ledger(t *testing.T, lineItem ad.ID, day string, micros, impressions int64) {
	t.Helper()
	h.exec(t, `
		INSERT INTO ledger (batch, line_item_id, day, hour, charged_micros, charged_impressions)
		SELECT 7, $1, $2, COALESCE(max(hour), $2::date) + interval '1 hour', $3, $4
		FROM ledger WHERE line_item_id = $1 AND day = $2`, lineItem, day, micros, impressions)
}

// credit adds a correction that was made at a moment for a day.
func (h *house) credit(t *testing.T, at, day string, micros, impressions int64) {
	t.Helper()
	h.exec(t, `
		WITH made AS (
			INSERT INTO correction (advertiser_id, line_item_id, from_hour, to_hour, why, impressions, credited_micros, credited_revenue_micros, at)
			VALUES ($1, $2, $4::date, $4::date + 1, 'Robots.', $6, $5, 0, $3::timestamptz) RETURNING id, at)
		INSERT INTO ledger (batch, correction_id, line_item_id, day, charged_micros, charged_impressions, at)
		SELECT 0, id, $2, $4::date, -$5::bigint, -$6::bigint, at FROM made`, h.advertiser.ID, h.lineItem.ID, at, day, micros, impressions)
}

// The month of a charge is that of its day, the month of a credit the one in which
// it was made, both in the advertiser's time zone: Tokyo.
func TestInvoiceMonths(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	second := must[ad.LineItem](t)(h.CreateLineItem(ctx, postgres.System, sampleLineItem(h.campaign.ID)))
	h.ledger(t, h.lineItem.ID, "2026-03-31", 1000, 10)
	h.ledger(t, h.lineItem.ID, "2026-03-31", 500, 5)
	h.ledger(t, second.ID, "2026-03-01", 70, 1)
	h.ledger(t, second.ID, "2026-04-01", 20, 2)
	h.ledger(t, h.lineItem.ID, "2026-04-02", 0, 0) // overage only
	h.credit(t, "2026-03-31T14:59:59Z", "2026-03-31", 100, 1)
	h.credit(t, "2026-03-31T15:00:00Z", "2026-03-31", 300, 3)
	h.credit(t, "2026-05-31T14:59:59Z", "2026-03-31", 50, 0)

	want := []postgres.InvoiceMonth{
		{Advertiser: h.advertiser.ID, Month: may, Credited: 50},
		{Advertiser: h.advertiser.ID, Month: april, Impressions: 2, Charged: 20, Credited: 300},
		{Advertiser: h.advertiser.ID, Month: march, Impressions: 16, Charged: 1570, Credited: 100},
	}
	for role, wanted := range map[ad.Role][]postgres.InvoiceMonth{ad.RoleOperator: want, ad.RoleAdvertiser: want, ad.RoleReviewer: {}, ad.RolePublisher: {}} {
		got := must[[]postgres.InvoiceMonth](t)(h.Invoices(ctx, h.actor(role), postgres.InvoiceFilter{Advertiser: h.advertiser.ID}))
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
	got := must[[]postgres.InvoiceMonth](t)(h.Invoices(ctx, postgres.System, postgres.InvoiceFilter{Month: april}))
	if diff := cmp.Diff(want[1:2], got); diff != "" {
		t.Error(diff)
	}
	var invalid ad.Invalid
	if _, err := h.Invoices(ctx, postgres.System, postgres.InvoiceFilter{}); !errors.As(err, &invalid) {
		t.Errorf("all months of everybody: %v", err)
	}
	v := must[postgres.Invoice](t)(h.Invoice(ctx, h.actor(ad.RoleAdvertiser), h.advertiser.ID, march))
	if diff := cmp.Diff(want[2], v.InvoiceMonth); diff != "" || v.Total() != 1470 {
		t.Errorf("total %d: %s", v.Total(), diff)
	}
	lines := []postgres.InvoiceLine{
		{Campaign: h.campaign.ID, CampaignName: "Spring", LineItem: h.lineItem.ID, LineItemName: "Japan", Impressions: 15, Charged: 1500},
		{Campaign: h.campaign.ID, CampaignName: "Spring", LineItem: second.ID, LineItemName: "Japan", Impressions: 1, Charged: 70},
	}
	if diff := cmp.Diff(lines, v.Lines); diff != "" {
		t.Error(diff)
	}
	if len(v.Credits) != 1 || v.Credits[0].Credited != 100 || v.Credits[0].Why != "Robots." || v.Credits[0].LineItemName != "Japan" {
		t.Errorf("credits: %+v", v.Credits)
	}
	empty := must[postgres.Invoice](t)(h.Invoice(ctx, postgres.System, h.advertiser.ID, march.AddDate(-1, 0, 0)))
	if empty.Total() != 0 || len(empty.Lines) != 0 || empty.AdvertiserName != "one" {
		t.Errorf("a month without charges: %+v", empty)
	}
	for _, role := range []ad.Role{ad.RoleReviewer, ad.RolePublisher} {
		if _, err := h.Invoice(ctx, h.actor(role), h.advertiser.ID, march); !errors.Is(err, postgres.ErrNotFound) {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// A month is final when it is over, what it had is settled, and no lease of its
// days can be charged any more; no other advertiser's month waits for that.
func TestInvoiceIsFinal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := addHouse(t, h.DB, "other")
	f := func(watermark string, want, wantOther bool) {
		t.Helper()
		h.exec(t, "UPDATE settlement SET watermark = NULLIF($1, '')::timestamptz", watermark)
		for _, x := range []struct {
			*house
			want bool
		}{{h, want}, {other, wantOther}} {
			v := must[postgres.Invoice](t)(h.Invoice(t.Context(), postgres.System, x.advertiser.ID, march))
			if v.Final != x.want {
				t.Errorf("%s at %q: final %t", x.advertiser.Name, watermark, v.Final)
			}
		}
	}
	f("", false, false)
	f("2026-03-31T14:59:59.999Z", false, false)
	f("2026-03-31T15:00:00Z", true, true)
	lease := func(id int, day, state string) {
		h.exec(t, `INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, deadline, state)
			VALUES (lpad(($1::int)::text, 32, '0')::uuid, '00000000000000000000000000000001', $2, $3, 1, 1, now(), $4)`, id, h.lineItem.ID, day, state)
	}
	lease(1, "2026-03-01", "final")
	lease(2, "2026-04-01", "open")
	lease(3, "2026-02-28", "closed")
	f("2026-03-31T15:00:00Z", true, true)
	lease(4, "2026-03-31", "closed")
	f("2026-06-30T15:00:00Z", false, true)
	h.exec(t, "UPDATE lease SET state = 'final'")
	f("2026-03-31T15:00:00Z", true, true)
}
