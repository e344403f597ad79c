package auction

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Explanation says how one line item fared for one placement.
type Explanation struct {
	Placement  ad.ID        `json:"placement"`
	LineItem   ad.ID        `json:"line_item"`
	Campaign   ad.ID        `json:"campaign"`
	Advertiser ad.ID        `json:"advertiser"`
	Rank       int          `json:"rank"` // from 1, over all line items
	Tier       ad.Tier      `json:"tier"`
	CPM        money.Micros `json:"cpm"`
	Outcome    Outcome      `json:"outcome"`
	Predicate  string       `json:"predicate,omitempty"` // what failed: "country", "floor", "advertiser", …
	Wanted     string       `json:"wanted,omitempty"`    // what the line item or the placement asks for
	Got        string       `json:"got,omitempty"`       // what was there instead; "unknown" where the request lacks it
	Creative   ad.ID        `json:"creative,omitempty"`  // of the winner
}

// Outcome is what became of a line item.
type Outcome string

// The outcomes, in the order in which a line item meets them.
const (
	Won           Outcome = "won"
	Outbid        Outcome = "outbid" // could have won; Wanted is the winner
	Stopped       Outcome = "stopped"
	OutOfDate     Outcome = "out_of_date"
	Mismatch      Outcome = "no_match"
	Creativeless  Outcome = "no_creative"
	UnderFloor    Outcome = "below_floor"
	ExcludedThere Outcome = "excluded"
	Leaseless     Outcome = "no_lease"
)

// Explain says for every placement of req and every line item, in rank order,
// the first thing that keeps it from winning, with both values, or that it wins.
// It reserves nothing and may allocate; unknown placements have no explanations.
//
// Who matches and who wins is asked of the same index and the same walk that
// decide requests; only the words for it are found here.
func Explain(c *catalog.Catalog, req *Request) []Explanation {
	e := &explainer{scratch: new(Scratch)}
	s := e.scratch
	s.begin(c, req)
	var all []Explanation
	for i := range req.Placements {
		found, reason := s.decide(i, peeked)
		if s.placement == nil {
			continue
		}
		e.winner = -1
		if reason == Filled {
			e.winner = found.item
		}
		e.match()
		for item := range c.LineItems {
			all = append(all, e.explain(item))
		}
		if reason == Filled {
			all[len(all)-len(c.LineItems)+found.item].Creative = found.creative.ID
			s.used = append(s.used, found.creative.Index)
		}
	}
	return all
}

// explainer finds the words for one placement after another.
type explainer struct {
	scratch *Scratch
	winner  int    // -1: none
	matches []bool // by line item: what the index says
	has     rule.Request
}

// match asks the index about all line items at once.
func (e *explainer) match() {
	s := e.scratch
	e.matches = make([]bool, len(s.catalog.LineItems))
	s.scan.Start(s.placement.Supply, s.catalog.Index.All())
	for row := s.scan.Next(); row >= 0; row = s.scan.Next() {
		e.matches[s.catalog.Index.Item(row)] = true
	}
	e.has = plain(s.placement, &s.query)
}

func (e *explainer) explain(item int) Explanation {
	s := e.scratch
	line := &s.catalog.LineItems[item]
	x := Explanation{
		Placement: s.placement.ID, LineItem: line.ID, Campaign: line.Campaign, Advertiser: line.Advertiser,
		Rank: item + 1, Tier: line.Tier, CPM: line.Value,
	}
	standing := s.catalog.Standing(item)
	switch {
	case item == e.winner:
		x.Outcome = Won
	case standing.StoppedBy != "":
		x.because(Stopped, standing.StoppedBy, "running", "stopped")
	case standing.OutOfDate:
		x.because(OutOfDate, "dates", dates(line), moment(s.request.Now))
	case !e.matches[item]:
		e.explainMismatch(&x, line)
	default:
		e.explainLoss(&x, item, standing.Leased)
	}
	return x
}

func (x *Explanation) because(outcome Outcome, predicate, wanted, got string) {
	x.Outcome, x.Predicate, x.Wanted, x.Got = outcome, predicate, wanted, got
}

func dates(line *catalog.LineItem) string {
	if line.EndsAt > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
		return "from " + moment(line.StartsAt)
	}
	return "from " + moment(line.StartsAt) + " to " + moment(line.EndsAt)
}

func moment(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339) }

// explainMismatch names a term of the conjunction that fails in the fewest.
func (e *explainer) explainMismatch(x *Explanation, line *catalog.LineItem) {
	has := e.has
	if hours := e.scratch.query.Hours; hours != nil {
		has[rule.HourOfWeek] = []string{strconv.Itoa(hours.HourOfZone(int(line.Zone)))}
	}
	var failing *rule.Term
	fewest := -1
	for _, conjunction := range e.scratch.catalog.Values.Unpack(line.Targeting).Conjunctions {
		term, n := failures(conjunction, has)
		if fewest < 0 || n < fewest {
			failing, fewest = term, n
		}
	}
	switch {
	case fewest < 0:
		x.because(Mismatch, "targeting", "nothing: its rule can never be satisfied", "")
	case fewest > 0:
		x.because(Mismatch, failing.Dimension.String(), wanted(failing), got(has[failing.Dimension]))
		if failing.Dimension == rule.HourOfWeek {
			x.Got += " in " + e.scratch.catalog.ZoneName(line.Zone)
		}
	default:
		e.explainShapes(x, line)
	}
}

// failures counts the terms that fail, and returns the first one.
func failures(conjunction rule.Conjunction, has rule.Request) (first *rule.Term, n int) {
	for i := range conjunction {
		if !(rule.Conjunction{conjunction[i]}).Match(has) {
			if n == 0 {
				first = &conjunction[i]
			}
			n++
		}
	}
	return first, n
}

func (e *explainer) explainShapes(x *Explanation, line *catalog.LineItem) {
	var wanted, got []string
	p := e.scratch.placement
	for _, format := range p.Formats {
		for _, size := range p.Sizes {
			wanted = append(wanted, fmt.Sprintf("%s %dx%d", format, size.Width, size.Height))
		}
	}
	for i := range line.Creatives {
		creative := &line.Creatives[i]
		got = append(got, fmt.Sprintf("%s %dx%d", creative.Format, creative.Width, creative.Height))
	}
	x.because(Creativeless, "size", list("one of ", wanted), list("", got))
	if len(got) == 0 {
		x.Got = "no approved creative"
	}
}

// explainLoss is for line items that match: the auction's own filter speaks.
func (e *explainer) explainLoss(x *Explanation, item int, live bool) {
	s := e.scratch
	line := &s.catalog.LineItems[item]
	found, reason := s.consider(item)
	if reason == Filled && live {
		s.way = peeked
		reason = s.take(&found)
	} else if reason == Filled {
		reason = NoLease
	}
	switch reason {
	case BelowFloor:
		x.because(UnderFloor, "floor", s.placement.Floor.String(), line.Value.String())
	case NoCreative:
		x.because(Creativeless, "creative", "one that is running", "stopped")
	case Excluded:
		e.explainExcluded(x, line)
	case NoLease:
		x.because(Leaseless, "lease", line.Price.String(), leaseState(found, s.request.Now))
	default:
		x.because(Outbid, "rank", "", "")
		if e.winner >= 0 {
			winner := &s.catalog.LineItems[e.winner]
			x.Wanted = fmt.Sprintf("line item %d: tier %d, CPM %v", winner.ID, winner.Tier, winner.Value)
			x.Got = fmt.Sprintf("tier %d, CPM %v", line.Tier, line.Value)
		}
	}
}

func (e *explainer) explainExcluded(x *Explanation, line *catalog.LineItem) {
	if e.scratch.blocks(line.Advertiser) {
		x.because(ExcludedThere, "advertiser", "none that the placement blocks", strconv.FormatInt(int64(line.Advertiser), 10))
		return
	}
	x.because(ExcludedThere, "creative", "one not shown yet in this request", "shown already")
}

func leaseState(found winner, now int64) string {
	if found.lease == nil {
		return "no lease"
	}
	left, impressions := found.lease.Left()
	if now < found.lease.From || now >= found.lease.Until {
		return "a lease outside its time"
	}
	return fmt.Sprintf("%v and %d impressions left", left, impressions)
}

// plain is the request as rules see it, but for the hour, which depends on the
// line item.
func plain(p *catalog.Placement, q *target.Query) rule.Request {
	has := q.Plain()
	has[rule.Placement] = []string{strconv.FormatInt(int64(p.ID), 10)}
	has[rule.Property] = []string{strconv.FormatInt(int64(p.Property), 10)}
	return has
}

func wanted(t *rule.Term) string {
	if t.Exclude {
		return list("none of ", t.Values)
	}
	return list("one of ", t.Values)
}

func got(values []string) string {
	if len(values) == 0 {
		return "unknown"
	}
	return list("", values)
}

// list bounds what is shown of a long list.
func list(before string, values []string) string {
	const most = 20
	if len(values) > most {
		return fmt.Sprintf("%s%s, … (%d values)", before, strings.Join(values[:most], ", "), len(values))
	}
	return before + strings.Join(values, ", ")
}
