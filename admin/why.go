package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
)

// The spans of time that the page and the API offer.
const (
	lastDay  = "24h"
	lastWeek = "7d"
)

// won is the reason, among those that reports of line items know, that is none.
const won = "won"

// why is what is known of why a line item is not serving.
type why struct {
	chain
	span     string
	from, to time.Time
	states   []state
	rows     []postgres.Reason // by share, then by count, largest first
	unplaced int64
	fresh    time.Time

	requests int64 // that the sample stands for …
	samples  int64 // … and those in it
	counted  int64
}

// state is what keeps a line item from serving whatever the traffic.
type state struct {
	code   string // see the texts of whystate
	detail string // for people: a status's name, a moment, an English reason
}

// readWhy finds what keeps the line item from serving, and counts of why it did
// not. What the visitor may not see is not found.
func (c *console) readWhy(ctx context.Context, id ad.ID, span string) (w why, err error) {
	if w.chain, err = c.chainOfLineItem(ctx, id); err != nil {
		return w, err
	}
	now := c.now().UTC()
	w.span, w.to = span, now.Truncate(time.Hour).Add(time.Hour)
	switch span {
	case lastWeek:
		w.from = w.to.AddDate(0, 0, -7)
	case lastDay:
		w.from = w.to.Add(-24 * time.Hour)
	default:
		return w, ad.Invalid{{Field: "span", Code: ad.Unknown, Message: "has to be 24h or 7d"}}
	}
	found, err := c.db.LineItemReasons(ctx, actorOf(ctx), id, w.from, w.to)
	if err != nil {
		return w, err
	}
	w.take(found)
	return w, c.readStates(ctx, &w, now)
}

func (w *why) take(found postgres.Reasons) {
	w.rows, w.unplaced, w.fresh = found.Rows, found.Unplaced, found.Freshness
	for _, r := range w.rows {
		w.requests += r.Estimated
		w.samples += r.Samples
		w.counted += r.Counted
	}
	slices.SortStableFunc(w.rows, func(a, b postgres.Reason) int {
		return cmp.Or(cmp.Compare(b.Estimated, a.Estimated), cmp.Compare(b.Counted, a.Counted))
	})
}

// share is a reason's part of the whole, and the whole: of the sample where there
// is one, since that knows every outcome, else of what was counted.
func (w *why) share(r postgres.Reason) (part, whole int64) {
	if w.requests > 0 {
		return r.Estimated, w.requests
	}
	return r.Counted, w.counted
}

// oneIn is how many requests one of the sample stands for, rounded; 0: no sample.
func (w *why) oneIn() int64 {
	if w.samples == 0 {
		return 0
	}
	return (w.requests + w.samples/2) / w.samples
}

// main is the most frequent reason, the one that explains: what was won counts
// only when it is most of all.
func (w *why) main() (r postgres.Reason, ok bool) {
	for _, row := range w.rows {
		part, whole := w.share(row)
		if part == 0 || row.Reason == won && 2*part < whole {
			continue
		}
		return row, true
	}
	return r, false
}

// readStates finds what needs no traffic to be known, the outermost first.
func (c *console) readStates(ctx context.Context, w *why, now time.Time) error {
	lang := views.From(ctx).Language
	add := func(code, detail string) { w.states = append(w.states, state{code, detail}) }
	for _, s := range []struct {
		code   string
		status ad.Status
	}{{"advertiser_status", w.advertiser.Status}, {"campaign_status", w.campaign.Status}, {"line_item_status", w.lineItem.Status}} {
		if s.status != ad.Active {
			add(s.code, views.T(lang, "status."+string(s.status)))
		}
	}
	w.dates(now)
	w.targeting()
	ready, err := c.hasServable(ctx, w.lineItem.ID)
	if err != nil {
		return err
	}
	if !ready {
		add("no_creative", "")
	}
	exposure, err := c.db.Exposure(ctx, actorOf(ctx), w.lineItem.ID)
	if err != nil {
		return err
	}
	price := max(w.lineItem.CPM/1000, 1)
	switch {
	case spent(exposure.Lifetime, price):
		add("spent", "")
	case spent(exposure.Today, price):
		add("spent_today", "")
	}
	return nil
}

// dates are the line item's and its campaign's, of which the narrower hold.
func (w *why) dates(now time.Time) {
	start, end := w.lineItem.StartsAt, w.lineItem.EndsAt
	if w.campaign.StartsAt.After(start) {
		start = w.campaign.StartsAt
	}
	if k := w.campaign.EndsAt; !k.IsZero() && (end.IsZero() || k.Before(end)) {
		end = k
	}
	switch {
	case !end.IsZero() && !end.After(start):
		w.states = append(w.states, state{"never_dates", ""})
	case now.Before(start):
		w.states = append(w.states, state{"not_started", views.Moment(start, w.zone)})
	case !end.IsZero() && !now.Before(end):
		w.states = append(w.states, state{"ended", views.Moment(end, w.zone)})
	}
}

// targeting asks what publish asks: the same bounds, so the same reason.
func (w *why) targeting() {
	normal, err := rule.Normalise(w.lineItem.Targeting)
	switch {
	case err != nil:
		w.states = append(w.states, state{"refused", clip(err.Error(), 300)})
	case len(normal.Conjunctions) == 0:
		w.states = append(w.states, state{"contradiction", ""})
	}
}

func (c *console) hasServable(ctx context.Context, lineItem ad.ID) (bool, error) {
	page := postgres.Page{Limit: 1000}
	for {
		creatives, err := c.db.Creatives(ctx, actorOf(ctx), postgres.CreativeFilter{LineItemID: lineItem, Page: page})
		if err != nil {
			return false, err
		}
		for _, k := range creatives {
			if k.Status == ad.Active && k.Serving != nil {
				return true, nil
			}
		}
		if len(creatives) < page.Limit {
			return false, nil
		}
		page.After = creatives[len(creatives)-1].ID
	}
}

// spent tells whether a budget has no room for another impression. What delivery
// processes hold is not spent: they serve from it.
func spent(a postgres.Account, price money.Micros) bool {
	return a.Limit != nil && *a.Limit-a.Settled < price
}
