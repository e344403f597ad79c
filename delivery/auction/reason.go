package auction

// Reason is why a placement stays empty, or why a line item does not fill it. It
// is a metric tag and a column of reports: the list is closed.
type Reason string

// The reasons; where several line items failed differently a placement's is the
// one that came closest to winning, which is the lower in this list.
const (
	Filled           Reason = ""
	UnknownPlacement Reason = "unknown_placement" // not in this catalog
	NoMatch          Reason = "no_match"          // no eligible line item targets this request
	BelowFloor       Reason = "below_floor"       // matches, but its value is below the placement's floor
	Excluded         Reason = "excluded"          // matches, but is kept away from this placement or this page: see [Explain]
	NoCreative       Reason = "no_creative"       // nobody has a creative of its formats and sizes, or it is stopped
	NoLease          Reason = "no_lease"          // would have won, but has no lease, or too little left on it
	Outbid           Reason = "outbid"            // of a line item only: could have won, and another one did
)

// verdict is what the auction finds of one line item for one placement, finer
// than a [Reason]: it tells apart what excludes. Verdicts stand in the order of
// closeness to winning, so that the furthest of several is their maximum.
type verdict uint8

const (
	unknown      verdict = iota // placement
	noShape                     // nobody has a creative for the placement
	noMatch                     // of anybody
	belowFloor                  // the placement's minimum value
	byAdvertiser                // blocked by the placement
	byLabel                     // competes with a line item that is shown already
	byRoadblock                 // takes one placement and has it, or its companions find none
	byAttribute                 // of its creative, blocked by the placement
	byCategory                  // likewise
	byShown                     // its creative is shown already
	noCreative                  // its creative of this shape is stopped
	noLease                     // or too little left on it
	outbid                      // by another one
	fits                        // nothing is wrong with it
)

// reasons of the verdicts, for answers, reports and counters.
var reasons = [...]Reason{
	unknown: UnknownPlacement, noShape: NoCreative, noMatch: NoMatch, belowFloor: BelowFloor,
	byAdvertiser: Excluded, byLabel: Excluded, byRoadblock: Excluded, byAttribute: Excluded, byCategory: Excluded, byShown: Excluded,
	noCreative: NoCreative, noLease: NoLease, outbid: Outbid, fits: Filled,
}

// maxLosses bounds what is kept of one request. Beyond it losses go uncounted:
// the counters are for people who ask why an ad does not serve, and whoever
// loses that far behind others loses elsewhere too.
const maxLosses = 64

// Loss is a line item that the auction looked at for a placement, in vain.
type Loss struct {
	Item   uint32 // its place in Catalog.LineItems
	Reason Reason // from [BelowFloor] on
}

// Losses are what happened to the line items that the last [Run] looked at and
// that did not win, in the order in which it met them: of every placement those
// above the winner and the winner's equals, and the runner-up where that sets
// the price. Of those below a floor only the first is met. They are valid until
// the scratch is used again.
func (s *Scratch) Losses() []Loss { return s.losses }

// lose notes a loss, as long as they are counted.
func (s *Scratch) lose(item int, v verdict) {
	if s.counting && len(s.losses) < maxLosses {
		s.losses = append(s.losses, Loss{uint32(item), reasons[v]})
	}
}
