// Package workload generates the standard targeting workload, restricted to the
// dimensions that rules have by now: line items and requests whose numbers and
// distributions are fixed, so that figures can be compared over time.
//
// The same seed gives the same output; other seeds must behave alike. It serves
// tests and benchmarks only.
package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Mix is a kind of market.
type Mix int

// The mixes.
const (
	Network   Mix = iota // open targeting: many line items match a request
	Publisher            // private inventory: few match, many requests find none
)

// Sites is how many properties requests come from, with ids from 1.
const Sites = 10_000

const (
	countries = 200
	keywords  = 5_000
)

// Sizes are what line items show and placements ask for.
var Sizes = [12]ad.Size{
	{Width: 300, Height: 250}, {Width: 320, Height: 50}, {Width: 728, Height: 90}, {Width: 160, Height: 600},
	{Width: 300, Height: 600}, {Width: 970, Height: 250}, {Width: 320, Height: 100}, {Width: 336, Height: 280},
	{Width: 468, Height: 60}, {Width: 970, Height: 90}, {Width: 250, Height: 250}, {Width: 120, Height: 600},
}

var systems = [8]string{"android", "ios", "windows", "macos", "linux", "chromeos", "other", ""}

// LineItem is one line item of the workload.
type LineItem struct {
	CPM  money.Micros
	Size int // in Sizes
	Rule rule.Rule
	Live bool // has a lease: 70 % do
}

// Request is one request of the workload.
type Request struct {
	Country  [2]byte
	Device   event.DeviceType
	OS       string
	Hour     int // of the week
	Site     ad.ID
	Size     int // in Sizes
	Keywords [][]byte
}

// zipf draws k from 0 to n-1 with a probability proportional to (4+k)^-1.2.
type zipf []float64 // cumulated

func newZipf(n int) zipf {
	z := make(zipf, n)
	sum := 0.0
	for k := range z {
		sum += math.Pow(4+float64(k), -1.2)
		z[k] = sum
	}
	return z
}

func (z zipf) draw(r *rand.Rand) int {
	return min(sort.SearchFloat64s(z, r.Float64()*z[len(z)-1]), len(z)-1)
}

var (
	sizeZipf    = newZipf(len(Sizes))
	countryZipf = newZipf(countries)
	siteZipf    = newZipf(Sites)
)

func country(k int) [2]byte { return [2]byte{byte('A' + k/26), byte('A' + k%26)} }

func keyword(k int) string { return fmt.Sprintf("k%d=v%d", k%50, k/50) }

// LineItems generates n line items; the same for the same arguments.
func LineItems(seed uint64, mix Mix, n int) []LineItem {
	r := rand.New(rand.NewPCG(seed, 1))
	items := make([]LineItem, n)
	for i := range items {
		items[i] = LineItem{
			CPM:  money.Micros(math.Exp(0.8*r.NormFloat64()+0.5) * float64(money.Unit)),
			Size: sizeZipf.draw(r),
			Rule: rule.Rule{Conjunctions: []rule.Conjunction{conjunction(r, mix)}},
			Live: r.Float64() < 0.7,
		}
	}
	return items
}

// conjunction draws the terms in the order of dimensions that rules keep.
func conjunction(r *rand.Rand, mix Mix) rule.Conjunction {
	var c rule.Conjunction
	add := func(d rule.Dimension, exclude bool, n int, draw func() string) {
		t := rule.Term{Dimension: d, Exclude: exclude}
		for range n {
			t.Values = append(t.Values, draw())
		}
		slices.Sort(t.Values)
		t.Values = slices.Compact(t.Values)
		c = append(c, t)
	}
	site := func() string { return strconv.Itoa(1 + siteZipf.draw(r)) }
	share := r.Float64()
	switch {
	case mix == Publisher && share < 0.97:
		add(rule.Property, false, 1+r.IntN(5), site)
	case mix == Network && share < 0.2:
		add(rule.Property, share < 0.1, 1+r.IntN(50), site)
	}
	if r.Float64() < 0.7 {
		add(rule.Country, false, 1+r.IntN(4), func() string { code := country(countryZipf.draw(r)); return string(code[:]) })
	}
	if r.Float64() < 0.4 {
		add(rule.DeviceType, false, 1, func() string { return event.DeviceType(1 + r.IntN(4)).String() })
	}
	if r.Float64() < 0.2 {
		add(rule.OS, false, 1+r.IntN(2), func() string { return systems[r.IntN(7)] })
	}
	if r.Float64() < 0.1 {
		add(rule.Keyword, false, 1+r.IntN(3), func() string { return keyword(r.IntN(keywords)) })
	}
	if r.Float64() < 0.15 {
		c = append(c, hours(r))
	}
	return c
}

func hours(r *rand.Rand) rule.Term {
	t := rule.Term{Dimension: rule.HourOfWeek}
	from, n := r.IntN(24), 4+r.IntN(12)
	for day := range 7 {
		for hour := range n {
			t.Values = append(t.Values, strconv.Itoa(day*24+(from+hour)%24))
		}
	}
	slices.Sort(t.Values)
	return t
}

// Requests generates n requests; the same for the same arguments.
func Requests(seed uint64, mix Mix, n int) []Request {
	r := rand.New(rand.NewPCG(seed, 2))
	requests := make([]Request, n)
	for i := range requests {
		site := r.IntN(Sites)
		if mix == Network {
			site = siteZipf.draw(r)
		}
		q := Request{
			Country: country(countryZipf.draw(r)),
			Device:  event.DeviceType(1 + r.IntN(4)),
			OS:      systems[r.IntN(8)],
			Hour:    r.IntN(7 * 24),
			Site:    ad.ID(1 + site),
			Size:    sizeZipf.draw(r),
		}
		for range r.IntN(5) {
			q.Keywords = append(q.Keywords, []byte(keyword(r.IntN(keywords))))
		}
		requests[i] = q
	}
	return requests
}
