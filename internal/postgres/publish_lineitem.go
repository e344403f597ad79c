package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// candidate is an active line item on its way into the snapshot.
type candidate struct {
	snapshot.LineItem
	name      string
	end       *time.Time
	targeting pgtype.DriverBytes // JSON, valid until the next row is read
	creatives bool               // at least one may serve
	budget    *money.Micros      // for its lifetime
	settled   money.Micros       // of it
	rule      rule.Rule
}

// readLineItems leaves out quietly what has ended, which is no mistake, and by
// name what cannot serve as it stands. What starts later is included. It keeps
// one candidate at a time: their JSON is many times as large as packed rules.
func (p *publication) readLineItems(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT l.id, l.campaign_id, c.advertiser_id, l.tier, l.cpm, l.weight, l.roadblock, l.labels, l.name, l.targeting,
			GREATEST(l.starts_at, c.starts_at), LEAST(l.ends_at, c.ends_at),
			EXISTS (SELECT FROM creative AS k JOIN creative_revision AS r ON r.creative_id = k.id AND r.review = 'approved'
				WHERE k.line_item_id = l.id AND k.status = 'active'),
			l.lifetime_budget, COALESCE(b.settled_micros, 0)
		FROM line_item AS l
		JOIN campaign AS c ON c.id = l.campaign_id
		JOIN advertiser AS a ON a.id = c.advertiser_id
		LEFT JOIN account AS b ON b.level = 'line_item' AND b.owner_id = l.id AND b.day IS NULL AND l.tier = $2
		WHERE l.status = 'active' AND c.status = 'active' AND a.status = 'active'
			AND (l.ends_at IS NULL OR l.ends_at > $1) AND (c.ends_at IS NULL OR c.ends_at > $1)
		ORDER BY l.id`, p.CreatedAt, ad.Guaranteed)
	if err != nil {
		return err
	}
	var c candidate
	_, err = pgx.ForEachRow(rows, []any{
		&c.ID, &c.Campaign, &c.Advertiser, &c.Tier, &c.Cost, &c.Weight, &c.Roadblock, &c.Labels, &c.name, &c.targeting,
		&c.StartsAt, &c.end, &c.creatives, &c.budget, &c.settled,
	}, func() error {
		p.consider(&c)
		return nil
	})
	return err
}

// consider publishes the line item, or refuses it by name.
func (p *publication) consider(c *candidate) {
	c.StartsAt, c.EndsAt, c.CostType = c.StartsAt.UTC(), timeOrZero(c.end), ad.CPM
	reason := c.judge()
	if reason == "" {
		reason = p.addLabels(c.Labels)
	}
	if reason != "" {
		p.refused = append(p.refused, Refused{"line_item", c.ID, c.name, reason})
		return
	}
	c.Targeting = p.Values.Pack(c.rule)
	c.Urgency = c.urgency(p.CreatedAt)
	p.LineItems = append(p.LineItems, c.LineItem)
}

// judge sets the normalised rule, or says why the line item cannot serve.
func (c *candidate) judge() string {
	if !c.creatives {
		return "it has no active creative with an approved revision"
	}
	if !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		return "its dates and its campaign's do not overlap"
	}
	var targeting rule.Expr
	// Not by json.Unmarshal, which would read it twice: what jsonb gives is JSON.
	if err := targeting.UnmarshalJSON(c.targeting); err != nil {
		return err.Error()
	}
	normal, err := rule.Normalise(targeting)
	if err != nil {
		return err.Error()
	}
	if len(normal.Conjunctions) == 0 {
		return "its targeting contradicts itself and matches nothing"
	}
	c.rule = normal
	return ""
}

// addLabels counts the different labels. Delivery tells so many apart; beyond,
// the line items that bring more are refused, not the whole snapshot.
func (p *publication) addLabels(labels []string) string {
	fresh := 0
	for _, label := range labels {
		if !p.labels[label] {
			fresh++
		}
	}
	if len(p.labels)+fresh > snapshot.MaxLabels {
		return fmt.Sprintf("its labels bring the number of different ones above %d", snapshot.MaxLabels)
	}
	if p.labels == nil {
		p.labels = make(map[string]bool)
	}
	for _, label := range labels {
		p.labels[label] = true
	}
	return ""
}

// onSchedule is the urgency of what needs no other pace than an even one.
const onSchedule = 1000

// urgency compares the pace that a guaranteed line item needs from now on, to
// spend what is left of its budget in what is left of its time, with the even
// pace over all of its time: 1000 is on schedule, 2000 has to deliver twice as
// fast. Others have none. Without a budget or an end there is no schedule to miss.
func (c *candidate) urgency(now time.Time) int {
	if c.Tier != ad.Guaranteed {
		return 0
	}
	if c.budget == nil || *c.budget <= 0 || c.EndsAt.IsZero() || !now.After(c.StartsAt) {
		return onSchedule
	}
	// In whole seconds, as MulDiv wants it: at least one is left.
	total := max(1, int64(c.EndsAt.Sub(c.StartsAt)/time.Second))
	left := max(1, int64(c.EndsAt.Sub(now)/time.Second))
	remaining := max(0, *c.budget-c.settled)
	return coarse(remaining.MulDiv(onSchedule, int64(*c.budget)).MulDiv(total, left))
}

// coarse rounds to few steps, since each change makes a new snapshot that all of
// delivery has to load: quarters of an even pace, then whole ones. On schedule is
// in the middle of its step, so that small deviations change nothing.
func coarse(urgency money.Micros) int {
	step := money.Micros(250)
	if urgency >= 3000 {
		step = 1000
	}
	return int(min((urgency+step/2)/step*step, snapshot.MaxUrgency))
}
