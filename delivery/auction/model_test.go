package auction_test

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// model decides the plain way: it looks at every line item for every placement,
// with the plain evaluator, and knows no index, order or bits. Where the seed
// decides it accepts any of the equals, and goes on with what the engine chose.
type model struct {
	*world
	req     *auction.Request
	stopped map[ad.ID]bool       // creatives
	purse   map[ad.ID]purse      // what leases have left, by line item
	anyway  bool                 // leases aside
	page    []*impression        // by place in the request; nil: nothing shows there
	bars    []*snapshot.LineItem // who could have won each place by itself before anything was seated
}

type purse struct {
	micros      money.Micros
	impressions int64
}

type impression struct {
	item     *snapshot.LineItem
	creative *snapshot.Creative
}

func (w *world) model(req *auction.Request, stopped map[ad.ID]bool) *model {
	m := &model{world: w, req: req, stopped: stopped, purse: make(map[ad.ID]purse), page: make([]*impression, len(req.Placements))}
	for i := range w.snapshot.LineItems {
		if l := w.book.Slot(w.snapshot.LineItems[i].ID).Load(); l != nil {
			micros, impressions := l.Left()
			m.purse[l.LineItem] = purse{micros, impressions}
		}
	}
	return m
}

// placement of a place in the request, nil when there is none.
func (m *model) placement(at int) *snapshot.Placement {
	for i := range m.snapshot.Placements {
		if m.snapshot.Placements[i].ID == m.req.Placements[at] {
			return &m.snapshot.Placements[i]
		}
	}
	return nil
}

func (m *model) creatives(item *snapshot.LineItem) (all []*snapshot.Creative) {
	for i := range m.snapshot.Creatives {
		if m.snapshot.Creatives[i].LineItem == item.ID {
			all = append(all, &m.snapshot.Creatives[i])
		}
	}
	return all
}

func shows(p *snapshot.Placement, c *snapshot.Creative) bool {
	return slices.Contains(p.Formats, c.Format) && slices.Contains(p.Sizes, ad.Size{Width: c.Width, Height: c.Height})
}

// has is what the request brings to a placement.
func (m *model) has(p *snapshot.Placement) rule.Request {
	has := m.req.Query.Plain()
	has[rule.Placement] = []string{strconv.Itoa(int(p.ID))}
	has[rule.Property] = []string{strconv.Itoa(int(p.Property))}
	has[rule.HourOfWeek] = []string{"123"} // in Tokyo
	return has
}

// matches: by its rule, its dates and some creative's shape.
func (m *model) matches(item *snapshot.LineItem, p *snapshot.Placement) bool {
	return m.current(item) && m.targets(item, p)
}

func (m *model) current(item *snapshot.LineItem) bool {
	return !item.StartsAt.After(now) && (item.EndsAt.IsZero() || item.EndsAt.After(now))
}

func (m *model) targets(item *snapshot.LineItem, p *snapshot.Placement) bool {
	at := slices.IndexFunc(m.snapshot.LineItems, func(l snapshot.LineItem) bool { return l.ID == item.ID })
	return m.rules[at].Match(m.has(p)) &&
		slices.ContainsFunc(m.creatives(item), func(c *snapshot.Creative) bool { return shows(p, c) })
}

// value is what a thousand impressions are expected to bring, in exact decimals
// for the rates that worlds have.
func (m *model) value(item *snapshot.LineItem) money.Micros {
	click, conversion := int64(m.snapshot.Rates.Click), int64(m.snapshot.Rates.Conversion)
	switch item.CostType {
	case ad.CPC:
		return item.Cost * money.Micros(click) / 1000
	case ad.CPA:
		return item.Cost * money.Micros(click) / 1000 * money.Micros(conversion) / 1_000_000
	}
	return item.Cost
}

func (m *model) price(item *snapshot.LineItem) money.Micros {
	if item.CostType != ad.CPM {
		return 0
	}
	return money.PerImpression(item.Cost)
}

// floor in the snapshot's currency, rounded up.
func (m *model) floor(p *snapshot.Placement) money.Micros {
	if p.FloorCurrency == m.snapshot.Currency {
		return p.Floor
	}
	rate := m.snapshot.FX[0].Value
	return (p.Floor*rate + money.Unit - 1) / money.Unit
}

func (m *model) belowFloor(item *snapshot.LineItem, p *snapshot.Placement) bool {
	return item.Tier == ad.Auction && m.value(item) < m.floor(p)
}

// excluded: whatever its creatives are.
func (m *model) excluded(item *snapshot.LineItem, p *snapshot.Placement) bool {
	if slices.Contains(p.BlockedAdvertisers, item.Advertiser) {
		return true
	}
	for _, shown := range m.page {
		if shown == nil {
			continue
		}
		if shown.item == item && item.Roadblock == ad.OnlyOne {
			return true
		}
		for _, label := range item.Labels {
			if shown.item != item && slices.Contains(shown.item.Labels, label) {
				return true
			}
		}
	}
	return false
}

// blocked: this creative.
func (m *model) blocked(c *snapshot.Creative, p *snapshot.Placement) bool {
	for _, attribute := range c.Attributes {
		if slices.Contains(p.BlockedAttributes, attribute) {
			return true
		}
	}
	for _, category := range c.Categories {
		for _, blocked := range p.BlockedCategories {
			if rule.Category.Satisfies(blocked, category) {
				return true
			}
		}
	}
	return slices.ContainsFunc(m.page, func(i *impression) bool { return i != nil && i.creative == c })
}

func (m *model) fitting(item *snapshot.LineItem, p *snapshot.Placement) (fit []*snapshot.Creative) {
	for _, c := range m.creatives(item) {
		if shows(p, c) && !m.stopped[c.ID] && !m.blocked(c, p) {
			fit = append(fit, c)
		}
	}
	return fit
}

func (m *model) pays(item *snapshot.LineItem, n int) bool {
	p, leased := m.purse[item.ID]
	return m.anyway || leased && p.impressions >= int64(n) && p.micros >= money.Micros(n)*m.price(item)
}

// live: with leases aside, everybody is.
func (m *model) live(item *snapshot.LineItem) bool {
	_, leased := m.purse[item.ID]
	return leased || m.anyway
}

// reason says what becomes of a line item for a placement by itself: [Filled]
// when it could win.
func (m *model) reason(item *snapshot.LineItem, p *snapshot.Placement) auction.Reason {
	running := slices.ContainsFunc(m.creatives(item), func(c *snapshot.Creative) bool { return shows(p, c) && !m.stopped[c.ID] })
	switch {
	case !m.live(item) || !m.matches(item, p):
		return auction.NoMatch
	case m.belowFloor(item, p):
		return auction.BelowFloor
	case m.excluded(item, p) || item.Roadblock == ad.AllOrNone:
		return auction.Excluded
	case !running:
		return auction.NoCreative
	case len(m.fitting(item, p)) == 0:
		return auction.Excluded
	case !m.pays(item, 1):
		return auction.NoLease
	}
	return auction.Filled
}

// better tells whether a ranks above b.
func (m *model) better(a, b *snapshot.LineItem) bool {
	if a.Tier != b.Tier {
		return a.Tier < b.Tier
	}
	switch a.Tier {
	case ad.Guaranteed:
		return a.Urgency > b.Urgency
	case ad.Auction:
		return m.value(a) > m.value(b)
	}
	return false
}

// candidates are who could win a placement by itself, best first.
func (m *model) candidates(p *snapshot.Placement) (all []*snapshot.LineItem) {
	for i := range m.snapshot.LineItems {
		if item := &m.snapshot.LineItems[i]; m.reason(item, p) == auction.Filled {
			all = append(all, item)
		}
	}
	slices.SortStableFunc(all, func(a, b *snapshot.LineItem) int {
		switch {
		case m.better(a, b):
			return -1
		case m.better(b, a):
			return 1
		}
		return 0
	})
	return all
}

// furthest is why a placement stays empty.
func (m *model) furthest(p *snapshot.Placement) auction.Reason {
	order := []auction.Reason{auction.NoMatch, auction.BelowFloor, auction.Excluded, auction.NoCreative, auction.NoLease}
	most := 0
	for i := range m.snapshot.LineItems {
		most = max(most, slices.Index(order, m.reason(&m.snapshot.LineItems[i], p)))
	}
	return order[most]
}

// cost is what the winner pays for an impression, given who else could have won.
func (m *model) cost(winner *snapshot.LineItem, p *snapshot.Placement, others []*snapshot.LineItem) money.Micros {
	if p.AuctionType != ad.SecondPrice || winner.Tier != ad.Auction || winner.CostType != ad.CPM {
		return m.price(winner)
	}
	beaten := m.floor(p)
	for _, other := range others {
		if other != winner && other.Tier == ad.Auction {
			beaten = max(beaten, m.value(other))
		}
	}
	return money.PerImpression(min(beaten+money.Unit/100, winner.Cost))
}

// take checks one filled decision against what it may be, and shows it.
func (m *model) take(at int, d *auction.Decision, item *snapshot.LineItem, price money.Micros) error {
	of := slices.IndexFunc(m.snapshot.Creatives, func(c snapshot.Creative) bool { return c.ID == d.Creative.ID })
	creative := &m.snapshot.Creatives[of]
	bills := event.BillsImpression
	switch {
	case item.CostType == ad.CPC:
		bills = event.BillsClick
	case item.CostType == ad.CPA:
		bills = event.BillsConversion
	case m.price(item) == 0:
		bills = event.BillsNothing
	}
	switch {
	case creative.LineItem != item.ID:
		return fmt.Errorf("placement %d shows creative %d for line item %d", d.Placement, creative.ID, item.ID)
	case d.Claim.Price != price || d.Claim.BidPrice != price || d.Claim.Bills != bills:
		return fmt.Errorf("placement %d: line item %d pays %v, billed by %d; want %v, by %d", d.Placement, item.ID, d.Claim.Price, d.Claim.Bills, price, bills)
	}
	left := m.purse[item.ID]
	m.purse[item.ID] = purse{left.micros - price, left.impressions - 1}
	m.page[at] = &impression{item, creative}
	return nil
}

func (m *model) item(id ad.ID) *snapshot.LineItem {
	for i := range m.snapshot.LineItems {
		if m.snapshot.LineItems[i].ID == id {
			return &m.snapshot.LineItems[i]
		}
	}
	return nil
}

// shapeless: nobody has a creative for the placement.
func (m *model) shapeless(p *snapshot.Placement) bool {
	return !slices.ContainsFunc(m.snapshot.Creatives, func(c snapshot.Creative) bool { return shows(p, &c) })
}

// decide holds the engine's decisions to the model's rules.
func (m *model) decide(got []auction.Decision) error {
	m.bar()
	if err := m.seat(got); err != nil {
		return err
	}
	reasons := make([]auction.Reason, len(got))
	for at := range got {
		p := m.placement(at)
		if p == nil || m.shapeless(p) || m.page[at] != nil {
			continue
		}
		all := m.candidates(p)
		if len(all) == 0 {
			reasons[at] = m.furthest(p)
			continue
		}
		if got[at].NoFill != auction.Filled {
			return fmt.Errorf("placement %d: %q, but line item %d could win", p.ID, got[at].NoFill, all[0].ID)
		}
		winner := m.item(got[at].LineItem.ID)
		if !slices.Contains(all, winner) || m.better(all[0], winner) {
			return fmt.Errorf("placement %d: line item %d won, the best is %d", p.ID, winner.ID, all[0].ID)
		}
		fit := m.fitting(winner, p)
		if !slices.ContainsFunc(fit, func(c *snapshot.Creative) bool { return c.ID == got[at].Creative.ID }) {
			return fmt.Errorf("placement %d: creative %d does not fit", p.ID, got[at].Creative.ID)
		}
		if err := m.take(at, &got[at], winner, m.cost(winner, p, all)); err != nil {
			return err
		}
	}
	return m.explainEmpty(got, reasons)
}

// explainEmpty checks the reasons, given those found when each placement had its turn.
func (m *model) explainEmpty(got []auction.Decision, reasons []auction.Reason) error {
	order := []auction.Reason{"", auction.NoMatch, auction.BelowFloor, auction.Excluded, auction.NoCreative, auction.NoLease}
	m.anyway = true
	defer func() { m.anyway = false }()
	m.bar()
	for at := range got {
		p := m.placement(at)
		want := reasons[at]
		switch {
		case p == nil:
			want = auction.UnknownPlacement
		case m.shapeless(p):
			want = auction.NoCreative
		case m.page[at] != nil:
			want = auction.Filled
		case len(m.candidates(p)) > 0 || m.companionLacksLease(at):
			want = auction.NoLease
		default:
			want = order[max(slices.Index(order, want), slices.Index(order, m.furthest(p)))]
		}
		if got[at].NoFill != want {
			return fmt.Errorf("placement %d: %q, want %q", got[at].Placement, got[at].NoFill, want)
		}
	}
	return nil
}

// left checks what the decisions took from the leases.
func (m *model) left() error {
	for i := range m.snapshot.LineItems {
		id := m.snapshot.LineItems[i].ID
		l := m.book.Slot(id).Load()
		if l == nil {
			continue
		}
		micros, impressions := l.Left()
		if want := m.purse[id]; want != (purse{micros, impressions}) {
			return fmt.Errorf("the lease of line item %d has %v and %d impressions left, want %v", id, micros, impressions, want)
		}
	}
	return nil
}
