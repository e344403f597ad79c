package auction_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// scenario is one file of testdata/scenarios: a market, a request, and what it
// leads to. Sizes are "300x250"; what is left out is as plain as can be.
type scenario struct {
	About      string              `json:"about"` // which rule it shows
	Placements []scenarioPlacement `json:"placements"`
	LineItems  []scenarioLineItem  `json:"line_items"`
	Request    map[string]string   `json:"request"` // values by dimension
	Decisions  []scenarioDecision  `json:"decisions"`
	Losses     []scenarioLoss      `json:"losses"` // checked when given
}

type scenarioPlacement struct {
	ID                 ad.ID        `json:"id"`
	Sizes              []string     `json:"sizes"`
	Floor              money.Micros `json:"floor"`
	FloorCurrency      string       `json:"floor_currency"` // USD, or EUR at 1.10
	SecondPrice        bool         `json:"second_price"`
	BlockedAdvertisers []ad.ID      `json:"blocked_advertisers"`
	BlockedCategories  []string     `json:"blocked_categories"`
	BlockedAttributes  []uint8      `json:"blocked_attributes"`
}

type scenarioLineItem struct {
	ID        ad.ID              `json:"id"` // also of its advertiser
	Tier      string             `json:"tier"`
	CostType  ad.CostType        `json:"cost_type"` // of 100 impressions one is clicked, of 10 clicks one converts
	Cost      money.Micros       `json:"cost"`
	Weight    int                `json:"weight"`
	Urgency   int                `json:"urgency"`
	Roadblock ad.Roadblock       `json:"roadblock"`
	Labels    []string           `json:"labels"`
	Targeting json.RawMessage    `json:"targeting"`
	Lease     *int64             `json:"lease"` // impressions it is good for; left out: many; 0: none; -1: one that is used up
	Creatives []scenarioCreative `json:"creatives"`
}

type scenarioCreative struct {
	ID         ad.ID    `json:"id"`
	Size       string   `json:"size"`
	Categories []string `json:"categories"`
	Attributes []uint8  `json:"attributes"`
}

type scenarioDecision struct {
	Placement ad.ID          `json:"placement"`
	NoFill    auction.Reason `json:"no_fill,omitempty"`
	LineItem  ad.ID          `json:"line_item,omitempty"`
	Creative  ad.ID          `json:"creative,omitempty"`
	Price     *money.Micros  `json:"price,omitempty"` // of the impression; checked when given
}

type scenarioLoss struct {
	LineItem ad.ID          `json:"line_item"`
	Reason   auction.Reason `json:"reason"`
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&s); err != nil {
				t.Fatal(err)
			}
			if s.About == "" || len(s.Decisions) == 0 {
				t.Fatal("a scenario says what it is about, and what is decided")
			}
			s.run(t)
		})
	}
}

// run decides with several seeds: no scenario depends on chance.
func (s *scenario) run(t *testing.T) {
	for seed := range uint64(5) {
		w := s.world(t)
		c := w.compile(t)
		req := ask()
		req.Seed = seed
		for _, d := range s.Decisions {
			req.Placements = append(req.Placements, d.Placement)
		}
		for name, value := range s.Request {
			d, err := rule.ParseDimension(name)
			if err != nil {
				t.Fatal(err)
			}
			with(req, d, value)
		}
		var scratch auction.Scratch
		got := s.form(auction.Run(c, req, &scratch, nil))
		if diff := cmp.Diff(s.Decisions, got); diff != "" {
			t.Errorf("%s: decisions (-want +got):\n%s", s.About, diff)
		}
		if s.Losses == nil {
			continue
		}
		var losses []scenarioLoss
		for _, l := range scratch.Losses() {
			losses = append(losses, scenarioLoss{c.LineItems[l.Item].ID, l.Reason})
		}
		if diff := cmp.Diff(s.Losses, losses); diff != "" {
			t.Errorf("%s: losses (-want +got):\n%s", s.About, diff)
		}
	}
}

// form is the decisions as the file has them, without what it leaves out.
func (s *scenario) form(decisions []auction.Decision) (got []scenarioDecision) {
	for i, d := range decisions {
		if d.NoFill != auction.Filled {
			got = append(got, scenarioDecision{Placement: d.Placement, NoFill: d.NoFill})
			continue
		}
		one := scenarioDecision{Placement: d.Placement, LineItem: d.LineItem.ID, Creative: d.Creative.ID, Price: &d.Claim.Price}
		if s.Decisions[i].Price == nil {
			one.Price = nil
		}
		if s.Decisions[i].Creative == 0 {
			one.Creative = 0
		}
		got = append(got, one)
	}
	return got
}

func (s *scenario) world(t *testing.T) *world {
	w := newWorld(0)
	w.snapshot.FX = []snapshot.ExchangeRate{{Currency: "EUR", Value: money.Unit * 11 / 10}}
	w.snapshot.Rates = snapshot.Rates{Click: 10_000, Conversion: 100_000}
	for _, p := range s.Placements {
		made := snapshot.Placement{
			ID: p.ID, Property: 1, Formats: []ad.Format{ad.Banner}, Floor: p.Floor, FloorCurrency: p.FloorCurrency, AuctionType: ad.FirstPrice,
			BlockedAdvertisers: p.BlockedAdvertisers, BlockedCategories: p.BlockedCategories, BlockedAttributes: p.BlockedAttributes,
		}
		if p.SecondPrice {
			made.AuctionType = ad.SecondPrice
		}
		if made.FloorCurrency == "" {
			made.FloorCurrency = "USD"
		}
		for _, text := range p.Sizes {
			made.Sizes = append(made.Sizes, size(t, text))
		}
		w.snapshot.Placements = append(w.snapshot.Placements, made)
	}
	slices.SortFunc(s.LineItems, func(a, b scenarioLineItem) int { return int(a.ID - b.ID) })
	for i := range s.LineItems {
		s.LineItems[i].add(t, w)
	}
	w.pack()
	if err := snapshot.Check(&w.snapshot); err != nil {
		t.Fatal(err)
	}
	return w
}

func (l *scenarioLineItem) add(t *testing.T, w *world) {
	tier, err := ad.ParseTier(l.Tier)
	if err != nil {
		t.Fatal(err)
	}
	item := w.add(l.ID, tier, l.Cost, targeting(t, l.Targeting))
	item.Weight, item.Urgency, item.Roadblock, item.Labels = max(l.Weight, 1), l.Urgency, l.Roadblock, l.Labels
	if l.CostType != "" {
		item.CostType = l.CostType
	}
	switch {
	case l.Lease == nil:
		w.lease(l.ID, 1000*money.Unit, 1000)
	case *l.Lease < 0:
		w.lease(l.ID, 0, 0)
	case *l.Lease > 0:
		w.lease(l.ID, money.PerImpression(l.Cost), *l.Lease)
	}
	w.snapshot.Creatives = w.snapshot.Creatives[:len(w.snapshot.Creatives)-1]
	for _, c := range l.Creatives {
		made := w.banner(c.ID, l.ID)
		shape := size(t, c.Size)
		made.Width, made.Height, made.Categories, made.Attributes = shape.Width, shape.Height, c.Categories, c.Attributes
	}
}

func targeting(t *testing.T, text json.RawMessage) rule.Rule {
	if text == nil {
		return everything
	}
	expr, err := rule.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	normal, err := rule.Normalise(expr)
	if err != nil {
		t.Fatal(err)
	}
	return normal
}

func size(t *testing.T, text string) (s ad.Size) {
	if _, err := fmt.Sscanf(text, "%dx%d", &s.Width, &s.Height); err != nil {
		t.Fatalf("size %q: %v", text, err)
	}
	return s
}
