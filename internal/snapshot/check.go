package snapshot

import (
	"cmp"
	"slices"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Check says whether s keeps the rules of [Snapshot]: ids positive, ascending
// and unique; references resolved (but blocked advertisers, which may be out of
// the snapshot themselves); enumerations known; amounts and sizes in their
// ranges; rules normal. Its error is an [*Error] with BadContent that names the
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
	for _, list := range []func() *Error{s.checkAdvertisers, s.checkLineItems, s.checkCreatives, s.checkProperties, s.checkPlacements} {
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
	for i := range s.LineItems {
		l := &s.LineItems[i]
		_, resolved := slices.BinarySearchFunc(s.Advertisers, l.Advertiser, func(a Advertiser, id ad.ID) int { return cmp.Compare(a.ID, id) })
		problem := ""
		switch {
		case l.ID <= before:
			return refuse(BadContent, "line item %d follows %d", l.ID, before)
		case l.Campaign <= 0:
			problem = "has no campaign"
		case !resolved:
			problem = "is of an advertiser that is not there"
		case l.Tier < ad.Sponsorship || l.Tier > ad.House:
			problem = "has an unknown tier"
		case l.CostType != ad.CPM && l.CostType != ad.CPC && l.CostType != ad.CPA:
			problem = "has an unknown type of cost"
		case !isPrice(l.Cost):
			problem = "has a price out of range"
		case !l.EndsAt.IsZero() && !l.EndsAt.After(l.StartsAt):
			problem = "ends before it starts"
		default:
			problem = s.ruleProblem(l.Targeting)
		}
		if problem != "" {
			return refuse(BadContent, "line item %d %s", l.ID, problem)
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
		case !s.isNormal(t.Values) || (terms > 1 && !s.inOrder(before, t)):
			return "has a rule that is not normal"
		}
		before = t
	}
	return ""
}

func (s *Snapshot) isNormal(values []uint32) bool {
	for i := 1; i < len(values); i++ {
		if s.Values.Text(values[i-1]) >= s.Values.Text(values[i]) {
			return false
		}
	}
	return len(values) > 0
}

// inOrder compares as rule.Conjunction has it: by dimension, sign and values. Only
// including terms of a dimension with many values may stand beside their like.
func (s *Snapshot) inOrder(a, b rule.PackedTerm) bool {
	switch {
	case a.Dimension != b.Dimension:
		return a.Dimension < b.Dimension
	case a.Exclude != b.Exclude:
		return b.Exclude
	}
	return !b.Exclude && b.Dimension.Many() && slices.CompareFunc(a.Values, b.Values, func(a, b uint32) int {
		return cmp.Compare(s.Values.Text(a), s.Values.Text(b))
	}) < 0
}

func (s *Snapshot) checkCreatives() *Error {
	var before ad.ID
	for i := range s.Creatives {
		c := &s.Creatives[i]
		_, resolved := slices.BinarySearchFunc(s.LineItems, c.LineItem, func(l LineItem, id ad.ID) int { return cmp.Compare(l.ID, id) })
		problem := ""
		switch {
		case c.ID <= before:
			return refuse(BadContent, "creative %d follows %d", c.ID, before)
		case !resolved:
			problem = "is of a line item that is not there"
		case c.Revision < 1:
			problem = "has no revision"
		case !isSize(ad.Size{Width: c.Width, Height: c.Height}):
			problem = "has a size out of range"
		case c.LandingURL == "":
			problem = "has no landing URL"
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
		case p.Kind != ad.Site && p.Kind != ad.App:
			return refuse(BadContent, "property %d is of an unknown kind", p.ID)
		case p.RevenueShare < 0 || p.RevenueShare > 10_000:
			return refuse(BadContent, "property %d has a revenue share out of range", p.ID)
		}
		before = p.ID
	}
	return nil
}

func (s *Snapshot) checkPlacements() *Error {
	var before ad.ID
	for i := range s.Placements {
		p := &s.Placements[i]
		_, resolved := slices.BinarySearchFunc(s.Properties, p.Property, func(p Property, id ad.ID) int { return cmp.Compare(p.ID, id) })
		problem := ""
		switch {
		case p.ID <= before:
			return refuse(BadContent, "placement %d follows %d", p.ID, before)
		case !resolved:
			problem = "is of a property that is not there"
		case !isPrice(p.Floor):
			problem = "has a floor out of range"
		case len(p.Formats) == 0 || slices.ContainsFunc(p.Formats, isUnknownFormat):
			problem = "has an unknown format, or none"
		case slices.ContainsFunc(p.Sizes, func(s ad.Size) bool { return !isSize(s) }):
			problem = "has a size out of range"
		case !isAscending(p.BlockedAdvertisers):
			problem = "blocks advertisers that are not in order"
		}
		if problem != "" {
			return refuse(BadContent, "placement %d %s", p.ID, problem)
		}
		before = p.ID
	}
	return nil
}

func isUnknownFormat(f ad.Format) bool {
	return f != ad.Banner && f != ad.HTML && f != ad.Native && f != ad.Video
}

func isAscending(ids []ad.ID) bool {
	var before ad.ID
	for _, id := range ids {
		if id <= before {
			return false
		}
		before = id
	}
	return true
}
