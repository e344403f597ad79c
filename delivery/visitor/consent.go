package visitor

// Consent is what a request says of what its visitor allows. Empty strings are
// not there; what is there and cannot be read is a no.
type Consent struct {
	TCF       []byte   // TC string of the IAB's Transparency and Consent Framework, version 2
	GPP       []byte   // string of the IAB's Global Privacy Platform
	USPrivacy []byte   // "1YNN"
	Sections  Sections // of GPP that apply
	Scoped    bool     // Sections was given: none in it is none that applies
	GDPR      Answer   // whether the GDPR applies, where the request says so
	GPC       bool     // Global Privacy Control, in the request or as header Sec-GPC
	LMT       bool     // the device limits ad tracking
	COPPA     bool     // the page or app is for children
}

// Answer is yes, no, or nothing said.
type Answer uint8

const (
	Unsaid Answer = iota
	Yes
	No
)

// Grant is what may be used of a visitor. Without Personal and Precise an ad is
// chosen by what is on the page and by what an address shares with its
// neighbours: contextual only.
type Grant struct {
	Personal bool // user id, segments, frequency caps
	Precise  bool // latitude and longitude, postal code
	Child    bool // neither is: of the place only country, region and metro, too
}

var everything = Grant{Personal: true, Precise: true}

// and is what both allow.
func (g Grant) and(other Grant) Grant {
	return Grant{
		Personal: g.Personal && other.Personal,
		Precise:  g.Precise && other.Precise,
		Child:    g.Child || other.Child,
	}
}

// grant decides what may be used, by all that the request says; every signal can
// only take away. Where the GDPR applies, silence is a no, elsewhere it is not:
// the laws of the United States and Japan ask for an opt-out.
//
// What precise means is TCF's special feature 1: a place known to less than
// 500 metres. A city, its region and its metro are wider than that, and come from
// a truncated address; they stay. COPPA counts the name of a town as personal
// (16 CFR 312.2), so a child's city goes.
func (r *Reader) grant(c *Consent, country [2]byte) Grant {
	if c.COPPA {
		return Grant{Child: true}
	}
	if c.GPC || c.LMT {
		return Grant{}
	}
	g, europe := everything, len(c.TCF) > 0
	if europe {
		g = readTCF(c.TCF, r.vendor)
	}
	if len(c.USPrivacy) > 0 {
		g = g.and(readUSPrivacy(c.USPrivacy))
	}
	switch {
	case c.Scoped && c.Sections == 0: // the publisher says that no section applies
	case len(c.GPP) > 0:
		said, read := readGPP(c.GPP, c.Sections, r.vendor)
		g, europe = g.and(said), europe || read.Has(gppTCFEurope)
	case c.Sections != 0:
		return Grant{} // a law applies, and nothing says what it allows
	}
	if !europe && r.underGDPR(c, country) {
		g.Personal, g.Precise = false, false
	}
	return g
}

// underGDPR tells whether a consent is needed: what the request says counts, then
// where the visitor is.
func (r *Reader) underGDPR(c *Consent, country [2]byte) bool {
	switch c.GDPR {
	case Yes:
		return true
	case No:
		return false
	}
	if country == [2]byte{} {
		return r.strict
	}
	for i := 0; i < len(gdprCountries); i += 3 {
		if gdprCountries[i] == country[0] && gdprCountries[i+1] == country[1] {
			return true
		}
	}
	return false
}

// gdprCountries are the European Economic Area with its outermost regions that
// have a code of their own, the United Kingdom and Gibraltar, whose law is the
// same, and Switzerland, where the TCF is used alike.
const gdprCountries = "AT AX BE BG CH CY CZ DE DK EE ES FI FR GB GF GI GP GR HR HU IE IS IT LI LT LU LV MF MQ MT NL NO PL PT RE RO SE SI SK YT "
