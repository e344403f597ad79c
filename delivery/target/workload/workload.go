// Package workload is the standard targeting workload: line items and requests
// whose numbers and distributions are fixed, so that figures can be compared over
// time and with other engines, and the simple ways of answering them, which are
// the yardsticks.
//
// The same seed gives the same output; other seeds must behave alike. It serves
// tests and benchmarks only.
package workload

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/taxonomy"
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
	countries        = 200
	regionsOfCountry = 10
	categories       = 400
	segments         = 50_000
	keywords         = 5_000
)

// Sizes are what line items show and placements ask for.
var Sizes = [12]ad.Size{
	{Width: 300, Height: 250}, {Width: 320, Height: 50}, {Width: 728, Height: 90}, {Width: 160, Height: 600},
	{Width: 300, Height: 600}, {Width: 970, Height: 250}, {Width: 320, Height: 100}, {Width: 336, Height: 280},
	{Width: 468, Height: 60}, {Width: 970, Height: 90}, {Width: 250, Height: 250}, {Width: 120, Height: 600},
}

var (
	systems   = strings.Fields("android ios windows macos linux chromeos other")
	browsers  = strings.Fields("chrome safari firefox edge samsung opera webview other")
	languages = strings.Fields("en zh es hi ar pt bn ru ja pa de jv ko fr te mr tr ta vi ur it fa pl uk ro nl el cs sv hu fi da no sk bg hr lt sl lv et")
)

// LineItem is one line item of the workload.
type LineItem struct {
	CPM  money.Micros
	Size int // in Sizes
	Rule rule.Rule
	Live bool // has a lease: 70 % do
}

// Request is one request of the workload.
type Request struct {
	Country    [2]byte
	Region     string
	Device     event.DeviceType
	OS         string // "" in one of eight
	Browser    string
	Language   string
	Hour       int // of the week
	Site       ad.ID
	Size       int // in Sizes
	Categories []string
	Segments   []string
	Keywords   [][]byte
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

// values are the texts of a dimension's values and how they are drawn: by zipf,
// or alike when that is nil.
type values struct {
	texts []string
	zipf  zipf
}

func (v *values) draw(r *rand.Rand) string {
	if v.zipf == nil {
		return v.texts[r.IntN(len(v.texts))]
	}
	return v.texts[v.zipf.draw(r)]
}

// world is all values, made once: the texts are shared by all rules.
type world struct {
	sizes                                      zipf
	country, region, device, system, browser   values
	language, site, category, segment, keyword values
	hours                                      []string
}

var newWorld = sync.OnceValue(func() *world {
	w := &world{sizes: newZipf(len(Sizes)), hours: numbered(7*24, strconv.Itoa)}
	w.country = values{numbered(countries, func(k int) string { c := country(k); return string(c[:]) }), newZipf(countries)}
	w.region = values{numbered(countries*regionsOfCountry, func(k int) string {
		return w.country.texts[k/regionsOfCountry] + "-" + strconv.Itoa(k%regionsOfCountry)
	}), nil}
	w.device = values{numbered(4, func(k int) string { return event.DeviceType(1 + k).String() }), nil}
	w.system, w.browser = values{systems, nil}, values{browsers, nil}
	w.language = values{languages, newZipf(len(languages))}
	w.site = values{numbered(Sites, func(k int) string { return strconv.Itoa(1 + k) }), newZipf(Sites)}
	w.category = values{leaves(), newZipf(categories)}
	w.segment = values{numbered(segments, func(k int) string { return "acme/" + strconv.Itoa(k) }), nil}
	w.keyword = values{numbered(keywords, func(k int) string { return fmt.Sprintf("k%d=v%d", k%50, k/50) }), nil}
	return w
})

func numbered(n int, text func(int) string) []string {
	all := make([]string, n)
	for k := range all {
		all[k] = text(k)
	}
	return all
}

// leaves are categories of which none is part of another, so that one value of a
// request satisfies one value of a rule, as the workload has it.
func leaves() []string {
	var all []string
	above := make(map[string]bool)
	for id := range taxonomy.All() {
		if strings.HasPrefix(id, "iab3/") {
			all = append(all, id)
			for _, ancestor := range taxonomy.Ancestors(id) {
				above[ancestor] = true
			}
		}
	}
	return slices.DeleteFunc(all, func(id string) bool { return above[id] })[:categories]
}

func country(k int) [2]byte { return [2]byte{byte('A' + k/26), byte('A' + k%26)} }

// LineItems generates n line items; the same for the same arguments.
func LineItems(seed uint64, mix Mix, n int) []LineItem {
	return slices.AppendSeq(make([]LineItem, 0, n), Each(seed, mix, n))
}

// Each yields the same one by one, for whoever cannot hold a million.
func Each(seed uint64, mix Mix, n int) iter.Seq[LineItem] {
	return func(yield func(LineItem) bool) {
		w := newWorld()
		r := rand.New(rand.NewPCG(seed, 1))
		for range n {
			item := LineItem{
				CPM:  money.Micros(math.Exp(0.8*r.NormFloat64()+0.5) * float64(money.Unit)),
				Size: w.sizes.draw(r),
				Rule: rule.Rule{Conjunctions: []rule.Conjunction{w.conjunction(r, mix)}},
				Live: r.Float64() < 0.7,
			}
			if !yield(item) {
				return
			}
		}
	}
}

// conjunction draws the terms in the order of dimensions that rules keep.
func (w *world) conjunction(r *rand.Rand, mix Mix) rule.Conjunction {
	c := make(rule.Conjunction, 0, 6)
	draw := func(d rule.Dimension, exclude bool, n int, from *values) {
		t := rule.Term{Dimension: d, Exclude: exclude, Values: make([]string, 0, n)}
		for range n {
			t.Values = append(t.Values, from.draw(r))
		}
		slices.Sort(t.Values)
		t.Values = slices.Compact(t.Values)
		c = append(c, t)
	}
	some := func(share float64, d rule.Dimension, most int, from *values) {
		if r.Float64() < share {
			draw(d, false, 1+r.IntN(most), from)
		}
	}
	share, segmented := r.Float64(), 0.3
	switch {
	case mix == Publisher && share < 0.97:
		draw(rule.Property, false, 1+r.IntN(5), &w.site)
	case mix == Publisher:
		segmented = 1
	case share < 0.2:
		draw(rule.Property, share < 0.1, 1+r.IntN(50), &w.site)
	}
	some(0.7, rule.Country, 4, &w.country)
	some(0.4, rule.DeviceType, 1, &w.device)
	some(0.2, rule.OS, 2, &w.system)
	some(0.1, rule.Keyword, 3, &w.keyword)
	if r.Float64() < 0.15 {
		c = append(c, w.daily(r))
	}
	some(0.1, rule.Region, 8, &w.region)
	some(0.1, rule.Browser, 2, &w.browser)
	some(0.1, rule.Language, 2, &w.language)
	some(0.2, rule.Category, 4, &w.category)
	some(segmented, rule.Segment, 5, &w.segment)
	return c
}

// daily is a block of 4 to 15 hours, the same each day.
func (w *world) daily(r *rand.Rand) rule.Term {
	from, n := r.IntN(24), 4+r.IntN(12)
	t := rule.Term{Dimension: rule.HourOfWeek, Values: make([]string, 0, 7*n)}
	for day := range 7 {
		for hour := range n {
			t.Values = append(t.Values, w.hours[day*24+(from+hour)%24])
		}
	}
	slices.Sort(t.Values)
	return t
}

// Requests generates n requests; the same for the same arguments.
func Requests(seed uint64, mix Mix, n int) []Request {
	w := newWorld()
	r := rand.New(rand.NewPCG(seed, 2))
	requests := make([]Request, n)
	for i := range requests {
		site := r.IntN(Sites)
		if mix == Network {
			site = w.site.zipf.draw(r)
		}
		q := Request{
			Country:  country(w.country.zipf.draw(r)),
			Region:   w.region.draw(r),
			Device:   event.DeviceType(1 + r.IntN(4)),
			Browser:  w.browser.draw(r),
			Language: w.language.draw(r),
			Hour:     r.IntN(7 * 24),
			Site:     ad.ID(1 + site),
			Size:     w.sizes.draw(r),
		}
		if k := r.IntN(len(systems) + 1); k < len(systems) {
			q.OS = systems[k]
		}
		for range 1 + r.IntN(3) {
			q.Categories = append(q.Categories, w.category.draw(r))
		}
		for range r.IntN(40) {
			q.Segments = append(q.Segments, w.segment.draw(r))
		}
		for range r.IntN(5) {
			q.Keywords = append(q.Keywords, []byte(w.keyword.draw(r)))
		}
		requests[i] = q
	}
	return requests
}
