package auction

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Cause is one thing that keeps a line item from winning.
type Cause struct {
	Predicate string   `json:"predicate"`         // a dimension's name, or "creative_size", "floor", "advertiser", …
	Exclude   bool     `json:"exclude,omitempty"` // none of Wanted may be there; else one of them has to
	Wanted    []string `json:"wanted"`            // by the line item or the placement; the first 20
	More      int      `json:"more,omitempty"`    // how many further values are wanted
	Got       []string `json:"got"`               // what is there instead; empty where the request lacks it
	Zone      string   `json:"zone,omitempty"`    // of an hour of the week
}

// mostWanted bounds what is shown of a long list.
const mostWanted = 20

func because(predicate, wanted, got string) []Cause {
	return []Cause{{Predicate: predicate, Wanted: []string{wanted}, Got: []string{got}}}
}

func dates(line *catalog.LineItem) string {
	if line.EndsAt > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
		return "from " + moment(line.StartsAt)
	}
	return "from " + moment(line.StartsAt) + " to " + moment(line.EndsAt)
}

func moment(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339) }

// shapePredicate names what a placement shows and a line item brings. (The
// dimension "size" is what a rule asks of the placement.)
const shapePredicate = "creative_size"

// mismatches are a smallest set of what would have to change for a line item to
// match; its shape comes last. They need the scan as match has left it.
func (e *explainer) mismatches(item int) (causes []Cause) {
	line := &e.scratch.catalog.LineItems[item]
	e.missing = e.scratch.scan.Misses(item, e.missing[:0])
	var shape []Cause
	for i := range e.missing {
		switch m := &e.missing[i]; {
		case m.Shape:
			shape = []Cause{e.shapes(line)}
		case m.Dimension == 0:
			causes = append(causes, because("targeting", "nothing: its rule can never be satisfied", "")...)
		default:
			causes = append(causes, e.missed(line, m))
		}
	}
	return append(causes, shape...)
}

func (e *explainer) missed(line *catalog.LineItem, m *target.Miss) Cause {
	shown := m.Wanted[:min(len(m.Wanted), mostWanted)]
	cause := Cause{
		Predicate: m.Dimension.String(), Exclude: m.Exclude,
		Wanted: shown, More: len(m.Wanted) - len(shown), Got: m.Got,
	}
	if m.Dimension == rule.HourOfWeek {
		cause.Zone = e.scratch.catalog.ZoneName(line.Zone)
	}
	return cause
}

func (e *explainer) shapes(line *catalog.LineItem) Cause {
	cause := Cause{Predicate: shapePredicate}
	p := e.scratch.placement
	for _, format := range p.Formats {
		for _, size := range p.Sizes {
			cause.Wanted = append(cause.Wanted, shapeName(format, size.Width, size.Height))
		}
	}
	if more := len(cause.Wanted) - mostWanted; more > 0 {
		cause.Wanted, cause.More = cause.Wanted[:mostWanted], more
	}
	for i := range line.Creatives {
		shape := e.scratch.catalog.Shapes[line.Creatives[i].Shape]
		if name := shapeName(shape.Format, shape.Width, shape.Height); !slices.Contains(cause.Got, name) {
			cause.Got = append(cause.Got, name)
		}
	}
	return cause
}

func shapeName(format ad.Format, width, height int) string {
	return fmt.Sprintf("%s %dx%d", format, width, height)
}

// loss is why a line item that matches did not win.
func (e *explainer) loss(item int) []Cause {
	s := e.scratch
	line := &s.catalog.LineItems[item]
	switch v := e.verdict(item); v {
	case belowFloor:
		return because("floor", s.placement.MinValue.String(), line.Value.String())
	case byAdvertiser:
		return []Cause{excluding("advertiser", []string{strconv.FormatInt(int64(line.Advertiser), 10)})}
	case byLabel:
		other := s.shown[s.rivalled(line, item)]
		return because("label", "no other line item with one of its labels", name(&s.catalog.LineItems[other.item]))
	case byRoadblock:
		if line.Roadblock() == ad.OnlyOne {
			return because("roadblock", "one placement of the request", "shown already")
		}
		return because("roadblock", fmt.Sprintf("a place for each of its %d creatives", len(line.Creatives)), "fewer")
	case byShown:
		return because("creative", "one not shown yet in this request", "shown already")
	case byAttribute:
		return []Cause{e.attributes(line)}
	case byCategory:
		cause := excluding("creative_category", s.placement.Placement.BlockedCategories)
		cause.Got = []string{"one of them, or one below"}
		return []Cause{cause}
	case noCreative:
		return because("creative", "one of the placement's sizes that is running", "stopped")
	case noLease:
		return because("lease", line.Price.String(), e.leaseState(line))
	}
	return e.outbid(line)
}

func (e *explainer) outbid(line *catalog.LineItem) []Cause {
	if e.winner == nil || line.Roadblock() == ad.AllOrNone {
		return because("rank", "a better one than what competes for its companions' places", standing(line))
	}
	winner := &e.scratch.catalog.LineItems[e.winner.item]
	return because("rank", name(winner)+": "+standing(winner), standing(line))
}

func name(line *catalog.LineItem) string { return fmt.Sprintf("line item %d", line.ID) }

func standing(line *catalog.LineItem) string {
	switch line.Tier {
	case ad.Guaranteed:
		return fmt.Sprintf("%v, urgency %d, weight %d", line.Tier, line.Urgency, line.Weight)
	case ad.Auction:
		return fmt.Sprintf("%v, value %v, weight %d", line.Tier, line.Value, line.Weight)
	}
	return fmt.Sprintf("%v, weight %d", line.Tier, line.Weight)
}

func excluding(predicate string, values []string) Cause {
	shown := values[:min(len(values), mostWanted)]
	return Cause{Predicate: predicate, Exclude: true, Wanted: shown, More: len(values) - len(shown), Got: shown}
}

// attributes are those that the placement blocks and the creatives have.
func (e *explainer) attributes(line *catalog.LineItem) Cause {
	var met uint64
	for i := range line.Creatives {
		met |= line.Creatives[i].Attributes & e.scratch.placement.BlockedAttributes
	}
	var numbers []string
	for ; met != 0; met &= met - 1 {
		numbers = append(numbers, strconv.Itoa(bits.TrailingZeros64(met)))
	}
	return excluding("attribute", numbers)
}

func (e *explainer) leaseState(line *catalog.LineItem) string {
	current, now := line.Slot.Load(), e.scratch.request.Now
	switch {
	case current == nil:
		return "no lease"
	case now < current.From || now >= current.Until:
		return "a lease outside its time"
	case current.Horizon != nil && now >= current.Horizon.Load():
		return "a lease that may not be used: the bank has not answered for too long"
	}
	left, impressions := current.Left()
	return fmt.Sprintf("%v and %d impressions left", left, impressions)
}
