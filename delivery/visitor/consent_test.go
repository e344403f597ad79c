package visitor

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prebid/go-gdpr/vendorconsent"
	gpp "github.com/prebid/go-gpp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/rule"
)

// bitWriter writes consent strings for tests.
type bitWriter struct{ bits []byte }

func (w *bitWriter) int(value uint64, n int) *bitWriter {
	for n--; n >= 0; n-- {
		w.bits = append(w.bits, byte(value>>n&1))
	}
	return w
}

func (w *bitWriter) String() string {
	packed := make([]byte, (len(w.bits)+7)/8)
	for i, bit := range w.bits {
		packed[i/8] |= bit << (7 - i%8)
	}
	return base64.RawURLEncoding.EncodeToString(packed)
}

// tcString is a TC string of version 2 to be written.
type tcString struct {
	updated         time.Time
	specialFeatures uint64 // 12 bits, the leftmost is the first
	purposes        uint64 // 24 bits, likewise
	vendors         []uint64
	restrictions    [][4]uint64 // purpose, type, first and last vendor
	disclosed       []uint64    // nil: no such segment
}

func (s tcString) String() string {
	w := new(bitWriter)
	at := uint64(s.updated.Unix()) * 10
	w.int(2, 6).int(at, 36).int(at, 36).int(1, 12).int(1, 12).int(1, 6)
	w.int('E'-'A', 6).int('N'-'A', 6).int(48, 12).int(5, 6).int(1, 1).int(0, 1)
	w.int(s.specialFeatures, 12).int(s.purposes, 24).int(0, 24).int(0, 1)
	w.int('D'-'A', 6).int('E'-'A', 6)
	w.vendors(s.vendors)
	w.vendors(nil)
	w.int(uint64(len(s.restrictions)), 12)
	for _, r := range s.restrictions {
		w.int(r[0], 6).int(r[1], 2).int(1, 12).int(1, 1).int(r[2], 16).int(r[3], 16)
	}
	text := w.String()
	if s.disclosed != nil {
		d := new(bitWriter).int(1, 3)
		d.vendors(s.disclosed)
		text += "." + d.String()
	}
	return text
}

func (w *bitWriter) vendors(list []uint64) {
	most := uint64(0)
	for _, v := range list {
		most = max(most, v)
	}
	w.int(most, 16).int(0, 1)
	field := make([]byte, most)
	for _, v := range list {
		field[v-1] = 1
	}
	w.bits = append(w.bits, field...)
}

var (
	beforeTCF23 = time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)
	afterTCF23  = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	allPurposes = uint64(1<<24 - 1)
	tcfAll      = tcString{updated: beforeTCF23, specialFeatures: 1 << 11, purposes: allPurposes, vendors: []uint64{3, 755}}.String()
)

func purpose(numbers ...int) (set uint64) {
	for _, n := range numbers {
		set |= 1 << (24 - n)
	}
	return set
}

func TestTCF(t *testing.T) {
	t.Parallel()
	f := func(text string, vendor uint64, want Grant) {
		t.Helper()
		if got := readTCF([]byte(text), vendor); got != want {
			t.Errorf("%.80s for vendor %d: %+v, want %+v", text, vendor, got, want)
		}
	}
	// From the specifications of TCF and GPP, and from those of other readers.
	// What their fields are was read with github.com/prebid/go-gdpr.
	f("COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA.IBAgAAAgAIAwgAgAAAAEAAAACA.QAagAQAgAIAwgA.cAAAAAAAITg=", 0, Grant{Precise: true}) // purposes 2 and 10, feature 1
	f("COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA", 0, Grant{Precise: true})
	f("CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", 0, Grant{})
	f("COwGVJOOwGVJOADACHENAOCAAO6as_-AAAhoAFNLAAoAAAA", 0, Grant{})                      // all of 1 to 7 but 4
	f("COwDzqZOwDzqZN4ABMENAPCAAP4AAP-AAAhoAFQAYABgAOABQAAAAA", 0, Grant{Personal: true}) // 1 to 7, vendors 3 to 7
	f("COwDzqZOwDzqZN4ABMENAPCAAP4AAP-AAAhoAFQAYABgAOABQAAAAA", 5, Grant{Personal: true})
	f("COwDzqZOwDzqZN4ABMENAPCAAP4AAP-AAAhoAFQAYABgAOABQAAAAA", 8, Grant{})
	f("COyiBqdOyiBqdObAAAENAfCIAP8AAH-AAAAAB4AXQQgEAAAgoAAAAABAIYQUAAAAAAAAAAAAAAAIQIQCxIvkgQMAAAABgAIAAAAAAAAAAABAZAkAAA", 0, Grant{Personal: true, Precise: true})

	base := tcString{updated: beforeTCF23, purposes: purpose(1, 4), vendors: []uint64{3, 755}}
	with := func(change func(*tcString)) string {
		s := base
		change(&s)
		return s.String()
	}
	f(base.String(), 0, Grant{Personal: true})
	f(base.String(), 755, Grant{Personal: true})
	f(base.String(), 754, Grant{})
	f(base.String(), 756, Grant{})
	f(with(func(s *tcString) { s.purposes = purpose(1) }), 0, Grant{})
	f(with(func(s *tcString) { s.purposes = purpose(4) }), 0, Grant{})
	f(with(func(s *tcString) { s.purposes = allPurposes &^ purpose(4) }), 0, Grant{})
	f(with(func(s *tcString) { s.specialFeatures = 1 << 11; s.purposes = 0 }), 0, Grant{Precise: true})
	f(with(func(s *tcString) { s.specialFeatures = 1 << 10 }), 0, Grant{Personal: true})

	restrict := func(purpose, kind, from, to uint64) string {
		return with(func(s *tcString) { s.restrictions = [][4]uint64{{2, 0, 1, 1000}, {purpose, kind, from, to}} })
	}
	f(restrict(4, 0, 700, 800), 755, Grant{})
	f(restrict(1, 2, 755, 755), 755, Grant{})
	f(restrict(4, 1, 700, 800), 755, Grant{Personal: true}) // consent is required: it is there
	f(restrict(4, 0, 756, 800), 755, Grant{Personal: true})
	f(restrict(4, 0, 700, 800), 0, Grant{Personal: true}) // meant for vendors, of which we are none
	f(restrict(4, 0, 800, 700), 755, Grant{})             // a range that ends before it begins

	// Since TCF 2.3, what the visitor was shown has to be named.
	f(with(func(s *tcString) { s.updated = afterTCF23 }), 0, Grant{})
	f(with(func(s *tcString) { s.updated = afterTCF23; s.disclosed = []uint64{3} }), 0, Grant{Personal: true})
	f(with(func(s *tcString) { s.updated = afterTCF23; s.disclosed = []uint64{3} }), 755, Grant{})
	f(with(func(s *tcString) { s.updated = afterTCF23; s.disclosed = []uint64{3, 755} }), 755, Grant{Personal: true})
	f(with(func(s *tcString) { s.disclosed = []uint64{3} }), 755, Grant{})

	// What cannot be read is a no.
	for _, text := range []string{
		"", ".", "C", "garbage", "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", "D" + tcfAll[1:], tcfAll + "!", tcfAll + ".", tcfAll + ".x!",
		tcfAll + "." + tcfAll, tcfAll + "." + strings.Repeat("IA.", 100), "\x00", "日本語", strings.Repeat("C", 8192),
	} {
		if text == tcfAll+"." {
			continue // an empty last segment is no segment
		}
		f(text, 0, Grant{})
	}
	const bits = 213 + 17 + 755 + 17 + 12
	for n := range (bits + 5) / 6 { // what is behind is padding
		f(tcfAll[:n], 0, Grant{})
	}
}

// Where go-gdpr reads a string and we do too, we agree on what is in it.
func TestTCFAgreesWithAnotherReader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := tcString{
			updated: beforeTCF23, purposes: rapid.Uint64Range(0, allPurposes).Draw(t, "purposes"),
			specialFeatures: rapid.Uint64Range(0, 1<<12-1).Draw(t, "features"),
			vendors:         rapid.SliceOfN(rapid.Uint64Range(1, 1200), 1, 30).Draw(t, "vendors"),
		}
		vendor := rapid.Uint64Range(1, 1200).Draw(t, "vendor")
		theirs, err := vendorconsent.ParseString(s.String())
		if err != nil {
			t.Fatal(err)
		}
		ours := readTCF([]byte(s.String()), vendor)
		allowed := theirs.VendorConsent(uint16(vendor))
		want := Grant{
			Personal: allowed && theirs.PurposeAllowed(1) && theirs.PurposeAllowed(4),
			Precise:  allowed && s.specialFeatures>>11 == 1,
		}
		if ours != want {
			t.Fatalf("%s for %d: %+v, want %+v", s, vendor, ours, want)
		}
	})
}

func TestUSPrivacy(t *testing.T) {
	t.Parallel()
	f := func(text string, want bool) {
		t.Helper()
		if got := readUSPrivacy([]byte(text)); got.Personal != want || got.Precise != want {
			t.Errorf("%q: %+v, want %v", text, got, want)
		}
	}
	f("1YNN", true)
	f("1YYN", false)
	f("1NYN", false)
	f("1---", true)
	f("1YN-", true)
	f("1yyn", false)
	for _, unreadable := range []string{"", "1", "1YN", "1YNNN", "2YNN", "1XNN", "YNNN", "1Y N"} {
		f(unreadable, false)
	}
}

// usString writes a section of two-bit answers behind a version.
func usString(version uint64, answers ...uint64) string {
	w := new(bitWriter).int(version, 6)
	for _, a := range answers {
		w.int(a, 2)
	}
	return w.String()
}

func TestGPP(t *testing.T) {
	t.Parallel()
	f := func(text string, apply Sections, want Grant) {
		t.Helper()
		if got, _ := readGPP([]byte(text), apply, 0); got != want {
			t.Errorf("%.80s in sections %b: %+v, want %+v", text, apply, got, want)
		}
	}
	us, eu := Sections(0).With(gppUSPrivacy), Sections(0).With(gppTCFEurope)
	// The examples of the GPP specification.
	f("DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", eu, Grant{})
	f("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", us, everything)
	f("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", us|eu, Grant{})
	f("DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", us, everything)
	f("DBACNY~"+tcfAll+"~1YNN", us|eu, everything)
	f("DBACNY~"+tcfAll+"~1YYN", us|eu, Grant{})
	f("DBACNY~"+tcfAll+"~1YYN", eu, everything)
	f("DBACNY~"+tcfAll+"~1YYN", 0, Grant{}) // nobody says which apply: all do
	// Canada and US Privacy, with a string that is no Canadian one.
	f("DBABjw~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", us, everything)
	f("DBABjw~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", Sections(0).With(gppTCFCanada), Grant{})

	one := func(id int, section string) string { return gppHeader(id) + "~" + section }
	national := func(sale, sharing, targeted, sensitive, child uint64) string {
		answers := []uint64{1, 1, 1, 1, 1, 1, sale, sharing, targeted}
		for range 12 {
			answers = append(answers, sensitive)
		}
		return usString(1, append(answers, child, 0, 0, 1, 2, 2)...)
	}
	f(one(7, national(2, 2, 2, 2, 0)), 0, everything)
	f(one(7, national(0, 0, 0, 0, 0)), 0, everything)
	f(one(7, national(1, 2, 2, 2, 0)), 0, Grant{Precise: true})
	f(one(7, national(2, 1, 2, 2, 0)), 0, Grant{Precise: true})
	f(one(7, national(2, 2, 1, 2, 0)), 0, Grant{Precise: true})
	f(one(7, national(2, 2, 2, 1, 0)), 0, Grant{Personal: true})
	f(one(7, national(2, 2, 2, 2, 1)), 0, Grant{Child: true})
	f(one(7, national(2, 2, 2, 2, 0)+".QA"), 0, everything)
	f(one(7, national(2, 2, 2, 2, 0)+".YA"), 0, Grant{}) // Global Privacy Control
	f(one(7, "BVQqAAAAAgA.QA"), 0, everything)           // a signal as consent platforms write it
	f(one(7, "D"+national(2, 2, 2, 2, 0)[1:]), 0, Grant{})
	f(one(8, usString(1, 1, 1, 1, 1, 2)+"AAAAAAAA"), 0, Grant{Precise: true}) // California: sale
	f(one(8, usString(1, 1, 1, 1, 2, 1)+"AAAAAAAA"), 0, Grant{Precise: true}) // sharing
	f(one(9, usString(1, 1, 1, 1, 2, 1)+"AAAAAAAA"), 0, Grant{Precise: true}) // Virginia: targeted advertising
	f(one(11, usString(1, 1, 1, 1, 1, 2, 1)+"AAAAAAAA"), 0, Grant{Precise: true})
	f(one(11, usString(1, 1, 1, 1, 1, 2, 2)+"AAAAAAAA"), 0, everything)
	for id := 7; id < len(usSections); id++ {
		f(one(id, usString(1)+"AAAAAAAAAAAA"), 0, everything)
		f(one(id, usString(1)), 0, Grant{})
	}
	for id := 24; id <= 63; id++ {
		f(one(id, "BAAAAAAAAAAAAAA"), 0, Grant{}) // nobody can read it
	}
	f(one(6, "1YNN"), us|eu, Grant{}) // one that applies is missing
	f(one(4, "x"), 0, everything)
	for _, text := range []string{
		"", "~", "D", "DBABM", "DBACNY~x", "DBACNY~1YNN~1YNN~1YNN", "DBAAA~1YNN", "CBABM~1YNN", "DCABM~1YNN", "1YNN",
		gppHeader(6) + "~1YNN~1YNN", "DB__________________________", "\xff~\xff", strings.Repeat("~", 8192),
	} {
		f(text, 0, Grant{})
	}
}

// gppHeader names one section.
func gppHeader(id int) string {
	w := new(bitWriter).int(3, 6).int(1, 6).int(1, 12).int(0, 1)
	fibonacci := []int{1, 2}
	for fibonacci[len(fibonacci)-1] <= id {
		fibonacci = append(fibonacci, fibonacci[len(fibonacci)-1]+fibonacci[len(fibonacci)-2])
	}
	code := make([]byte, 0, len(fibonacci))
	for i := len(fibonacci) - 2; i >= 0; i-- {
		bit := byte(0)
		if fibonacci[i] <= id {
			id -= fibonacci[i]
			bit = 1
		}
		code = append(code, bit)
	}
	for i := len(code) - 1; i >= 0; i-- {
		w.int(uint64(code[i]), 1)
	}
	return w.int(1, 1).String()
}

// The header and the sections are those that go-gpp finds.
func TestGPPAgreesWithAnotherReader(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN",
		"DBABjw~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", "DBABrGA~DSJgmkoZJSA.YA~BlgWEYCY.QA~BSFgmiU~bSFgmJQ.YA~BWJYJllA~bSFgmSZQ.YA",
		gppHeader(23) + "~x",
	} {
		theirs, _ := gpp.Parse(text)
		want := Sections(0)
		for _, id := range theirs.SectionTypes {
			want = want.With(int(id))
		}
		if _, got := readGPP([]byte(text), 0, 0); got != want || got == 0 {
			t.Errorf("%s: sections %b, want %b", text, got, want)
		}
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	f := func(country string, c Consent, want Grant) {
		t.Helper()
		var code [2]byte
		copy(code[:], country)
		if got := new(Reader).grant(&c, code); got != want {
			t.Errorf("in %q: %+v, want %+v, of %+v", country, got, want, c)
		}
	}
	tcf, no := []byte(tcfAll), []byte("CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA")
	f("JP", Consent{}, everything)
	f("US", Consent{}, everything)
	f("", Consent{}, everything)
	f("DE", Consent{}, Grant{}) // silence is no consent
	f("GB", Consent{}, Grant{})
	f("CH", Consent{}, Grant{})
	f("DE", Consent{GDPR: No}, everything)
	f("JP", Consent{GDPR: Yes}, Grant{})
	f("DE", Consent{TCF: tcf}, everything)
	f("DE", Consent{TCF: no}, Grant{})
	f("JP", Consent{TCF: no}, Grant{}) // who is asked has answered, wherever he is
	f("JP", Consent{TCF: []byte("garbage")}, Grant{})
	f("JP", Consent{GDPR: No, TCF: []byte("garbage")}, Grant{})
	f("DE", Consent{GPP: []byte("DBABM~" + tcfAll)}, everything)
	f("DE", Consent{GPP: []byte("DBABM~" + string(no))}, Grant{})
	f("DE", Consent{GPP: []byte(gppHeader(6) + "~1YNN")}, Grant{}) // not of Europe
	f("DE", Consent{TCF: tcf, GPP: []byte("garbage")}, Grant{})
	f("US", Consent{GPP: []byte("garbage")}, Grant{})
	f("US", Consent{GPP: []byte("garbage"), Scoped: true}, everything)
	f("US", Consent{Scoped: true, Sections: Sections(0).With(8)}, Grant{})
	f("US", Consent{USPrivacy: []byte("1YYN")}, Grant{})
	f("US", Consent{USPrivacy: []byte("nonsense")}, Grant{})
	f("US", Consent{USPrivacy: []byte("1YNN")}, everything)
	f("JP", Consent{GPC: true}, Grant{})
	f("DE", Consent{TCF: tcf, GPC: true}, Grant{})
	f("DE", Consent{TCF: tcf, LMT: true}, Grant{})
	f("DE", Consent{TCF: tcf, COPPA: true}, Grant{Child: true})

	if got := (&Reader{strict: true}).grant(&Consent{}, [2]byte{}); got != (Grant{}) {
		t.Errorf("of unknown country, strictly: %+v", got)
	}
	if n := len(gdprCountries) / 3; n != len(strings.Fields(gdprCountries)) {
		t.Errorf("the list of countries has %d places", n)
	}
	for _, code := range strings.Fields(gdprCountries) {
		if !rule.Country.Valid(code) {
			t.Errorf("%s is no country", code)
		}
		f(code, Consent{}, Grant{})
	}
}

// What is not allowed does not reach targeting.
func TestGrantIsKept(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t)})
	f := func(c Consent, want ...rule.Dimension) {
		t.Helper()
		v := at(tokyoIP)
		v.Consent, v.Segments = c, [][]byte{[]byte("vip")}
		got := describe(r, v)
		for _, d := range []rule.Dimension{rule.Country, rule.Region, rule.City, rule.PostalCode, rule.Near, rule.Segment} {
			if has, wanted := len(got[d]) > 0, bytes.Contains([]byte(fmt.Sprint(want)), []byte(d.String())); has != wanted {
				t.Errorf("%+v: %s is there: %v", c, d, has)
			}
		}
	}
	f(Consent{}, rule.Country, rule.Region, rule.City, rule.PostalCode, rule.Near, rule.Segment)
	f(Consent{GPC: true}, rule.Country, rule.Region, rule.City)
	f(Consent{COPPA: true}, rule.Country, rule.Region)
	f(Consent{TCF: []byte(tcString{updated: beforeTCF23, purposes: allPurposes}.String())}, rule.Country, rule.Region, rule.City, rule.Segment)
	f(Consent{TCF: []byte(tcString{updated: beforeTCF23, specialFeatures: 1 << 11}.String())},
		rule.Country, rule.Region, rule.City, rule.PostalCode, rule.Near)
}

func FuzzConsent(f *testing.F) {
	f.Add([]byte(tcfAll), []byte("DBACNY~"+tcfAll+"~1YNN"), []byte("1YNN"), uint16(755))
	f.Add([]byte("C.I.Y.Q"), []byte("DBABrGA~DSJgmkoZJSA.YA~BlgWEYCY.QA~BSFgmiU~bSFgmJQ.YA~BWJYJllA~bSFgmSZQ.YA"), []byte("1---"), uint16(0))
	f.Fuzz(func(t *testing.T, tcf, gpp, us []byte, vendor uint16) {
		r := &Reader{vendor: uint64(vendor)}
		c := Consent{TCF: tcf, GPP: gpp, USPrivacy: us}
		both := r.grant(&c, [2]byte{'D', 'E'})
		c.GPC = true
		if got := r.grant(&c, [2]byte{'D', 'E'}); got.Personal || got.Precise {
			t.Fatalf("another signal allowed more: %+v, then %+v", both, got)
		}
		if len(tcf) > 0 && both.Personal && !readTCF(tcf, uint64(vendor)).Personal {
			t.Fatal("consent out of nothing")
		}
	})
}
