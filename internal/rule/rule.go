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
// What a value looks like in a rule stands beside each; what a request brings is
// spelled the same, unless a second form is given after "request:".
const (
	Placement      Dimension = iota + 1 // placement id, decimal
	Property                            // property id, decimal
	Country                             // ISO 3166-1 alpha-2, upper case
	DeviceType                          // "desktop", "mobile", "tablet", "tv", "other"
	OS                                  // "windows", "macos", "linux", "android", "ios", "chromeos", "other"
	Keyword                             // "key=value", lower case
	HourOfWeek                          // "0" to "167", Monday 00 first, in the advertiser's time zone
	Region                              // ISO 3166-2: "JP-13"
	City                                // country and English name in lower case: "JP/tokyo"
	PostalCode                          // country and code in capitals: "JP/100-0001"
	Metro                               // Nielsen DMA code, decimal: "501"
	Near                                // circle, degrees and metres: "35.681,139.767,5000"; request: "35.681,139.767"
	DeviceMake                          // lower case: "apple"
	DeviceModel                         // lower case: "pixel 8"
	OSVersion                           // system and versions, both ends included: "ios 15-17.4", "ios 15-", "ios -17.4"; request: "ios 16.2"
	Browser                             // "chrome", "safari", "firefox", "edge", "samsung", "opera", "webview", "other"
	BrowserVersion                      // like OSVersion: "chrome 120-"; request: "chrome 140.0"
	Language                            // ISO 639-1, lower case: "ja"
	Connection                          // "ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"
	Carrier                             // MCC and MNC: "440-10"
	ASN                                 // autonomous system, decimal: "2516"
	VisitorHour                         // like HourOfWeek, in the visitor's time zone
	Publisher                           // publisher id, decimal
	Exchange                            // the name by which the exchange calls: "example-x"
	Deal                                // exchange and deal id: "example-x/d-17"
	Domain                              // host in lower case, with all of its subdomains: "news.example"; request: a host
	AppBundle                           // store's app id: "com.example.news", "1207472156"
	URLPrefix                           // host and path, at a slash: "news.example/sports"; request: a URL, its host in lower case and without port
	Category                            // IAB Content Taxonomy, with what is below: "iab1/IAB17", "iab2/483", "iab3/JLBCU7"
	Segment                             // audience segment: provider and id "acme/4711", or the publisher's own "vip"
	InventoryKind                       // "site", "app", "dooh"
	Position                            // "above_fold", "below_fold", "header", "footer", "sidebar", "fullscreen"
	Size                                // of the placement, CSS pixels: "300x250"
	Format                              // of the placement: "banner", "html", "native", "video"
	Secure                              // whether everything has to come over https: "yes", "no"
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

// Predicate is satisfied when what the request has in Dimension satisfies at least
// one of Values (see [Dimension.Satisfies]). All of several values are several
// predicates under All.
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
// (Dimension, Exclude, Values). A dimension in which a request satisfies at most
// one value has one term at most, including or excluding; one of [Dimension.Many]
// may have several including terms, which must all hold, and one excluding.
type Conjunction []Term

// Term asks that the request satisfies one of Values (sorted, no repeats), or none
// of them when Exclude is set.
type Term struct {
	Dimension Dimension
	Exclude   bool
	Values    []string
}

// Request is what the plain evaluator looks at: the values that a request has
// in each dimension, in the spelling of the dimension's comment: none when they
// are unknown, at most one but for the dimensions that are [Dimension.Many]. What
// cannot be read is as if it were not there.
type Request map[Dimension][]string
