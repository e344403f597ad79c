package snapshot

import (
	"cmp"
	"slices"
	"sort"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Check says whether s keeps the rules of [Snapshot]: ids positive, ascending
// and unique; references resolved (but blocked advertisers, which may be out of
// the snapshot themselves); enumerations known; amounts and sizes in their
// ranges; floors in a currency with a rate; values in ascending order and rules
// normal over them. Its error is an [*Error] with BadContent that names the
// first thing found wrong. Publish asks it before it publishes, Parse before it
// returns, so neither depends on the other's honesty.
func Check(s *Snapshot) error {
	if err := s.check(); err != nil {
		return err // never a typed nil
	}
	return nil
}

func (s *Snapshot) check() *Error {
	if s.Generation == 0 {
		return refuse(BadContent, "generation 0")
	}
	if micros := s.CreatedAt.UnixMicro(); micros <= 0 || micros > lastTime {
		return refuse(BadContent, "created at no plausible time")
	}
	if !isCurrency(s.Currency) {
		return refuse(BadContent, "currency %.20q", s.Currency)
	}
	if s.Rates.Click > perMillion || s.Rates.Conversion > perMillion {
		return refuse(BadContent, "rates of %d and %d in a million", s.Rates.Click, s.Rates.Conversion)
	}
	for _, list := range []func() *Error{
		s.checkFX, s.checkValues, s.checkAdvertisers, s.checkLineItems, s.checkCreatives, s.checkProperties, s.checkPlacements,
	} {
		if err := list(); err != nil {
			return err
		}
	}
	return nil
}

func isCurrency(code string) bool {
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return len(code) == 3
}

const perMillion = 1_000_000

func (s *Snapshot) checkFX() *Error {
	before := ""
	for _, r := range s.FX {
		switch {
		case !isCurrency(r.Currency) || r.Currency == s.Currency:
			return refuse(BadContent, "an exchange rate of currency %.20q", r.Currency)
		case r.Currency <= before:
			return refuse(BadContent, "the exchange rate of %s follows %s", r.Currency, before)
		case r.Value <= 0 || r.Value > money.Max:
			return refuse(BadContent, "the exchange rate of %s is out of range", r.Currency)
		}
		before = r.Currency
	}
	return nil
}

// checkValues lets rules be checked, and compiled, by comparing numbers.
func (s *Snapshot) checkValues() *Error {
	before := ""
	for i := range s.Values.Len() {
		text := s.Values.Text(uint32(i))
		if text <= before {
			return refuse(BadContent, "value %.20q follows %.20q", text, before)
		}
		before = text
	}
	return nil
}

// finder looks up ids in a list that is in their order. References mostly come
// in the same order, so it looks first where it found the last one.
type finder[T any] struct {
	list []T
	id   func(*T) ad.ID
	at   int
}

func (f *finder[T]) has(id ad.ID) bool {
	for near := f.at; near < min(f.at+2, len(f.list)); near++ {
		if f.id(&f.list[near]) == id {
			f.at = near
			return true
		}
	}
	at := sort.Search(len(f.list), func(i int) bool { return f.id(&f.list[i]) >= id })
	if at == len(f.list) || f.id(&f.list[at]) != id {
		return false
	}
	f.at = at
	return true
}

func (s *Snapshot) checkAdvertisers() *Error {
	var before ad.ID
	for i := range s.Advertisers {
		a := &s.Advertisers[i]
		switch {
		case a.ID <= before:
			return refuse(BadContent, "advertiser %d follows %d", a.ID, before)
		case a.TimeZone == "":
			return refuse(BadContent, "advertiser %d has no time zone", a.ID)
		}
		before = a.ID
	}
	return nil
}

func (s *Snapshot) checkLineItems() *Error {
	var before ad.ID
	advertisers := finder[Advertiser]{list: s.Advertisers, id: func(a *Advertiser) ad.ID { return a.ID }}
	labels := make(map[string]bool)
	for i := range s.LineItems {
		l := &s.LineItems[i]
		problem := ""
		switch {
		case l.ID <= before:
			return refuse(BadContent, "line item %d follows %d", l.ID, before)
		case l.Campaign <= 0:
			problem = "has no campaign"
		case !advertisers.has(l.Advertiser):
			problem = "is of an advertiser that is not there"
		case l.Tier < ad.Sponsorship || l.Tier > ad.House:
			problem = "has an unknown tier"
		case l.CostType != ad.CPM && l.CostType != ad.CPC && l.CostType != ad.CPA:
			problem = "has an unknown type of cost"
		case !isPrice(l.Cost):
			problem = "has a price out of range"
		case l.Weight < 1 || l.Weight > ad.MaxWeight:
			problem = "has a weight out of range"
		case l.Urgency < 0 || l.Urgency > MaxUrgency:
			problem = "has an urgency out of range"
		case l.Roadblock != ad.OneOrMore && l.Roadblock != ad.OnlyOne && l.Roadblock != ad.AllOrNone:
			problem = "has an unknown roadblock"
		case !areAscending(l.Labels):
			problem = "has labels that are not in order"
		case !l.EndsAt.IsZero() && !l.EndsAt.After(l.StartsAt):
			problem = "ends before it starts"
		default:
			problem = s.ruleProblem(l.Targeting)
		}
		if problem != "" {
			return refuse(BadContent, "line item %d %s", l.ID, problem)
		}
		for _, label := range l.Labels {
			labels[label] = true
		}
		if len(labels) > MaxLabels {
			return refuse(BadContent, "line item %d brings the number of different labels above %d", l.ID, MaxLabels)
		}
		before = l.ID
	}
	return nil
}

func isPrice(m money.Micros) bool { return m >= 0 && m <= money.Max }

var dimensions = rule.Dimension(len(rule.Dimensions()))

// ruleProblem looks at form only. A value that this build does not know, such as
// a country code newer than it, is no reason to refuse everything: it just never
// matches.
func (s *Snapshot) ruleProblem(p rule.Packed) string {
	if !p.WellFormed(s.Values.Len()) {
		return "has a rule that cannot be read"
	}
	conjunctions := 0
	for c := range p.Conjunctions() {
		if conjunctions++; conjunctions > rule.MaxConjunctions {
			return "has a rule with too many conjunctions"
		}
		if problem := s.conjunctionProblem(c); problem != "" {
			return problem
		}
	}
	return ""
}

func (s *Snapshot) conjunctionProblem(c rule.PackedConjunction) string {
	terms := 0
	var before rule.PackedTerm
	for t := range c.Terms() {
		switch terms++; {
		case terms > rule.MaxTerms:
			return "has a rule with too many terms"
		case t.Dimension < 1 || t.Dimension > dimensions:
			return "has a rule over an unknown dimension"
		case !isNormal(t.Values) || (terms > 1 && !inOrder(before, t)):
			return "has a rule that is not normal"
		}
		before = t
	}
	return ""
}

// isNormal compares numbers in place of texts, whose order they have.
func isNormal(values []uint32) bool {
	for i := 1; i < len(values); i++ {
		if values[i-1] >= values[i] {
			return false
		}
	}
	return len(values) > 0
}

// inOrder compares as rule.Conjunction has it: by dimension, sign and values. Only
// including terms of a dimension with many values may stand beside their like.
func inOrder(a, b rule.PackedTerm) bool {
	switch {
	case a.Dimension != b.Dimension:
		return a.Dimension < b.Dimension
	case a.Exclude != b.Exclude:
		return b.Exclude
	}
	return !b.Exclude && b.Dimension.Many() && slices.Compare(a.Values, b.Values) < 0
}

func (s *Snapshot) checkCreatives() *Error {
	var before ad.ID
	lineItems := finder[LineItem]{list: s.LineItems, id: func(l *LineItem) ad.ID { return l.ID }}
	for i := range s.Creatives {
		c := &s.Creatives[i]
		problem := ""
		switch {
		case c.ID <= before:
			return refuse(BadContent, "creative %d follows %d", c.ID, before)
		case !lineItems.has(c.LineItem):
			problem = "is of a line item that is not there"
		case c.Revision < 1:
			problem = "has no revision"
		case !isSize(ad.Size{Width: c.Width, Height: c.Height}):
			problem = "has a size out of range"
		case c.LandingURL == "":
			problem = "has no landing URL"
		case !areAscending(c.Categories):
			problem = "has categories that are not in order"
		case !areAttributes(c.Attributes):
			problem = "has attributes that are out of range or not in order"
		default:
			problem = formatProblem(c)
		}
		if problem != "" {
			return refuse(BadContent, "creative %d %s", c.ID, problem)
		}
		before = c.ID
	}
	return nil
}

func formatProblem(c *Creative) string {
	switch {
	case c.Format != ad.Banner && c.Format != ad.HTML:
		return "has an unknown format"
	case c.Format == ad.Banner && (len(c.Image.SHA256) != 64 || c.Image.Bytes < 0):
		return "is a banner without an image"
	case c.Format == ad.Banner && c.Image.Type != "image/png" && c.Image.Type != "image/jpeg" && c.Image.Type != "image/gif":
		return "has an unknown type of image"
	case c.Format == ad.HTML && c.Markup == "":
		return "is HTML without markup"
	}
	return ""
}

func isSize(s ad.Size) bool {
	return s.Width >= 1 && s.Width <= 10_000 && s.Height >= 1 && s.Height <= 10_000
}

func (s *Snapshot) checkProperties() *Error {
	var before ad.ID
	for i := range s.Properties {
		p := &s.Properties[i]
		switch {
		case p.ID <= before:
			return refuse(BadContent, "property %d follows %d", p.ID, before)
		case p.Publisher <= 0:
			return refuse(BadContent, "property %d has no publisher", p.ID)
		case p.Kind != ad.Site && p.Kind != ad.App && p.Kind != ad.DOOH:
			return refuse(BadContent, "property %d is of an unknown kind", p.ID)
		case p.RevenueShare < 0 || p.RevenueShare > 10_000:
			return refuse(BadContent, "property %d has a revenue share out of range", p.ID)
		case !areAscending(p.Categories):
			return refuse(BadContent, "property %d has categories that are not in order", p.ID)
		}
		before = p.ID
	}
	return nil
}

func (s *Snapshot) checkPlacements() *Error {
	var before ad.ID
	properties := finder[Property]{list: s.Properties, id: func(p *Property) ad.ID { return p.ID }}
	for i := range s.Placements {
		p := &s.Placements[i]
		problem := ""
		switch {
		case p.ID <= before:
			return refuse(BadContent, "placement %d follows %d", p.ID, before)
		case !properties.has(p.Property):
			problem = "is of a property that is not there"
		case !isPrice(p.Floor):
			problem = "has a floor out of range"
		case !s.hasRate(p.FloorCurrency):
			problem = "has a floor in a currency without an exchange rate"
		case p.AuctionType != ad.FirstPrice && p.AuctionType != ad.SecondPrice:
			problem = "has an unknown type of auction"
		case len(p.Formats) == 0 || slices.ContainsFunc(p.Formats, isUnknownFormat):
			problem = "has an unknown format, or none"
		case slices.ContainsFunc(p.Sizes, func(s ad.Size) bool { return !isSize(s) }):
			problem = "has a size out of range"
		case !areAscending(p.BlockedAdvertisers):
			problem = "blocks advertisers that are not in order"
		case !areAscending(p.BlockedCategories):
			problem = "blocks categories that are not in order"
		case !areAttributes(p.BlockedAttributes):
			problem = "blocks attributes that are out of range or not in order"
		}
		if problem != "" {
			return refuse(BadContent, "placement %d %s", p.ID, problem)
		}
		before = p.ID
	}
	return nil
}

func (s *Snapshot) hasRate(currency string) bool {
	return currency == s.Currency || slices.ContainsFunc(s.FX, func(r ExchangeRate) bool { return r.Currency == currency })
}

func isUnknownFormat(f ad.Format) bool {
	return f != ad.Banner && f != ad.HTML && f != ad.Native && f != ad.Video
}

// areAscending wants values above zero, each above the one before.
func areAscending[T cmp.Ordered](list []T) bool {
	var before T
	for _, item := range list {
		if item <= before {
			return false
		}
		before = item
	}
	return true
}

func areAttributes(list []uint8) bool {
	return areAscending(list) && (len(list) == 0 || list[len(list)-1] <= MaxAttribute)
}
