// Package rule is the targeting expression: what a line item asks of a request.
//
// An expression is AND, OR and NOT over predicates; a predicate names a
// dimension and the values that satisfy it. The package parses, validates and
// normalises expressions, and evaluates them plainly, one request at a time,
// for previews and tests. delivery/target indexes the normalised form and must
// agree with [Expr.Match].
//
// Data that a request lacks never satisfies an including predicate: a visitor
// without a known country is in no country. NOT of such a predicate is satisfied.
package rule

// Dimension is one thing about a request that a rule may ask for. The names are
// those of the JSON form and of the console.
type Dimension uint8

// The dimensions. New ones are added at the end: the numbers stand in snapshots.
const (
	Placement  Dimension = iota + 1 // placement id, decimal
	Property                        // property id, decimal
	Country                         // ISO 3166-1 alpha-2, upper case
	DeviceType                      // "desktop", "mobile", "tablet", "tv", "other"
	OS                              // "windows", "macos", "linux", "android", "ios", "chromeos", "other"
	Keyword                         // "key=value", lower case
	HourOfWeek                      // "0" to "167", Monday 00 first, in the advertiser's time zone
)

// Expr is one node of an expression; exactly one of its fields is set. The zero
// Expr has none set and matches every request: a line item without targeting.
//
// As JSON: {"all":[…]}, {"any":[…]}, {"not":{…}}, {"is":{"dimension":"country","values":["JP"]}}.
type Expr struct {
	All []Expr     `json:"all,omitempty"`
	Any []Expr     `json:"any,omitempty"`
	Not *Expr      `json:"not,omitempty"`
	Is  *Predicate `json:"is,omitempty"`
}

// Predicate is satisfied when the request has at least one of Values in Dimension.
type Predicate struct {
	Dimension Dimension `json:"dimension"`
	Values    []string  `json:"values"` // at least one
}

// Bounds of what is accepted; beyond them [Parse] and [Normalise] refuse by name.
const (
	MaxDepth        = 32        // nesting
	MaxNodes        = 10_000    // of an expression
	MaxValues       = 10_000    // in one predicate
	MaxAllValues    = 100_000   // in all predicates of an expression
	MaxConjunctions = 64        // of the normalised rule
	MaxTerms        = 64        // in one of its conjunctions
	MaxRuleValues   = 1_000_000 // in all of its terms, before they are merged
	MaxBytes        = 1 << 20   // of the JSON form
)

// Rule is an expression in disjunctive normal form: it matches when any of its
// conjunctions does. A Rule with no conjunction matches nothing; the rule that
// matches everything has one empty conjunction.
type Rule struct {
	Conjunctions []Conjunction
}

// Conjunction matches when all of its terms do. They stand in the order of
// (Dimension, Exclude, Values). A dimension of which a request has at most one
// value has one term at most, including or excluding; Keyword, of which a
// request has many, may have several including terms, which must all hold, and
// one excluding.
type Conjunction []Term

// Term asks that the request has one of Values (sorted, no repeats), or none of
// them when Exclude is set.
type Term struct {
	Dimension Dimension
	Exclude   bool
	Values    []string
}

// Request is what the plain evaluator looks at: the values that a request has
// in each dimension, in the spelling of the dimension's comment: at most one, or
// none when it is unknown, but any number in Keyword.
type Request map[Dimension][]string
