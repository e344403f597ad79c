package ad

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = start.AddDate(0, 1, 0)
)

// validator is any noun.
type validator interface{ Validate() error }

// checkFields wants exactly these "field code" pairs; none means valid.
func checkFields(t *testing.T, noun validator, want ...string) {
	t.Helper()
	err := noun.Validate()
	var got []string
	var invalid Invalid
	if errors.As(err, &invalid) {
		for _, f := range invalid {
			got = append(got, f.Field+" "+f.Code)
			if f.Message == "" || len(f.Message) > 300 {
				t.Errorf("message of %s is %q", f.Field, f.Message)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (len(want) > 0) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	f := func(name string, want ...string) {
		t.Helper()
		checkFields(t, Publisher{Name: name, Domain: "a.example", Status: Active}, want...)
	}
	f("a")
	f("  疾風 & Söhne, “Ltd.” 🚀  ")
	f(strings.Repeat("颯", 200))
	f(strings.Repeat("颯", 201), "name too_long")
	f(strings.Repeat("x", 1<<20), "name too_long")
	f("", "name required")
	f(" \t\n ", "name required")
	for _, bad := range []string{
		"a\x00b", "a\nb", "a\x7fb", "a\u0085b", "a\u202eb", "a\u2066b", "a\u200fb", "a\u061cb",
		"a\u200bb", "a\u200db", "a\ufeffb", "a\u2060b", "a\u00adb", "a\u2028b", "a\U000e0041b", "a\xffb",
	} {
		f(bad, "name bad_syntax")
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	f := func(domain string, want ...string) {
		t.Helper()
		checkFields(t, Publisher{Name: "a", Domain: domain, Status: Active}, want...)
	}
	for _, good := range []string{
		"example.com", "a.b.example.co.uk", "xn--r8jz45g.jp", "news.example", "x-y.example", "1.example", "someone.github.io",
		strings.Repeat(strings.Repeat("a", 49)+".", 5) + "ab",
	} {
		f(good)
	}
	f("", "domain required")
	f(strings.Repeat("a.", 126)+"com", "domain too_long")
	for _, bad := range []string{
		"localhost", "com", "co.uk", "Example.com", "例え.jp", "example.com.", ".example.com", "a..b", "-a.example", "a-.example",
		"a_b.example", "127.0.0.1", "2130706433", "[::1]", "example.com:80", "https://example.com", "example.com/", "user@example.com",
		"a b.example", "a\x00.example", "xn--a.example", "xn--0.jp", strings.Repeat("a", 64) + ".example", "example.123",
	} {
		f(bad, "domain bad_syntax")
	}
}

func TestAdvertiser(t *testing.T) {
	t.Parallel()
	f := func(zone string, want ...string) {
		t.Helper()
		checkFields(t, Advertiser{Name: "a", Domain: "a.example", TimeZone: zone, Status: Paused, ClickWindowDays: 30, ViewWindowDays: 1}, want...)
	}
	f("Asia/Tokyo")
	f("UTC")
	f("America/Argentina/Buenos_Aires")
	for _, bad := range []string{"", "Local", "Mars/Base", "../etc/passwd", "/etc/localtime", "Asia/Tokyo\x00", strings.Repeat("A/", 500)} {
		f(bad, "time_zone unknown")
	}
	checkFields(t, Advertiser{}, "name required", "domain required", "status unknown", "time_zone unknown", "click_window_days out_of_range")
	windows := func(click, view int, want ...string) {
		t.Helper()
		checkFields(t, Advertiser{Name: "a", Domain: "a.example", TimeZone: "UTC", Status: Active, ClickWindowDays: click, ViewWindowDays: view}, want...)
	}
	windows(1, 0)
	windows(90, 30)
	windows(0, -1, "click_window_days out_of_range", "view_window_days out_of_range")
	windows(91, 31, "click_window_days out_of_range", "view_window_days out_of_range")
}

func TestCampaign(t *testing.T) {
	t.Parallel()
	f := func(from, to time.Time, want ...string) {
		t.Helper()
		checkFields(t, Campaign{AdvertiserID: 1, Name: "a", StartsAt: from, EndsAt: to, Status: Archived}, want...)
	}
	f(start, end)
	f(start, time.Time{})
	f(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC))
	f(time.Time{}, end, "starts_at required")
	f(start, start, "ends_at order")
	f(end, start, "ends_at order")
	f(time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), end, "starts_at out_of_range")
	f(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, "starts_at out_of_range")
	f(start, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), "ends_at out_of_range")
	checkFields(t, Campaign{AdvertiserID: -1, Name: "a", StartsAt: start, Status: "gone"}, "advertiser_id required", "status unknown")
}

func TestLineItem(t *testing.T) {
	t.Parallel()
	f := func(change func(*LineItem), want ...string) {
		t.Helper()
		l := LineItem{CampaignID: 1, Name: "a", Tier: Auction, CPM: money.Unit, StartsAt: start, EndsAt: end, Status: Active}
		change(&l)
		checkFields(t, l, want...)
	}
	micros := func(m money.Micros) *money.Micros { return &m }
	f(func(*LineItem) {})
	f(func(l *LineItem) { l.CampaignID = 0 }, "campaign_id required")
	f(func(l *LineItem) { l.Tier = 0 }, "tier unknown")
	f(func(l *LineItem) { l.Tier = 5 }, "tier unknown")
	f(func(l *LineItem) { l.CPM = 0 }, "cpm required")
	f(func(l *LineItem) { l.CPM = 500 }, "cpm out_of_range") // 0 for each impression
	f(func(l *LineItem) { l.CPM = 501 })
	f(func(l *LineItem) { l.CPM, l.Tier = 0, House })
	f(func(l *LineItem) { l.CPM = -1 }, "cpm out_of_range")
	f(func(l *LineItem) { l.CPM = 100_000 * money.Unit })
	f(func(l *LineItem) { l.CPM = 100_000*money.Unit + 1 }, "cpm out_of_range")
	f(func(l *LineItem) { l.DailyBudget = micros(0) }, "daily_budget out_of_range")
	f(func(l *LineItem) { l.LifetimeBudget = micros(-1) }, "lifetime_budget out_of_range")
	f(func(l *LineItem) { l.LifetimeBudget = micros(money.Max + 1) }, "lifetime_budget out_of_range")
	f(func(l *LineItem) { l.LifetimeBudget, l.DailyBudget = micros(money.Max), micros(money.Max) })
	f(func(l *LineItem) { l.LifetimeBudget, l.DailyBudget = micros(5), micros(6) }, "daily_budget conflict")
	f(func(l *LineItem) { l.EndsAt = l.StartsAt }, "ends_at order")
	f(func(l *LineItem) { l.Weight = -1 }, "weight out_of_range")
	f(func(l *LineItem) { l.Weight = MaxWeight })
	f(func(l *LineItem) { l.Weight = MaxWeight + 1 }, "weight out_of_range")
	f(func(l *LineItem) { l.Roadblock = AllOrNone })
	f(func(l *LineItem) { l.Roadblock = OnlyOne })
	f(func(l *LineItem) { l.Roadblock = "some" }, "roadblock unknown")
	f(func(l *LineItem) { l.Labels = []string{"cars", "luxury cars", "自動車"} })
	f(func(l *LineItem) { l.Labels = []string{"cars", "cars"} }, "labels order")
	f(func(l *LineItem) { l.Labels = []string{"cars", "boats"} }, "labels order")
	f(func(l *LineItem) { l.Labels = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} })
	f(func(l *LineItem) { l.Labels = make([]string, 11) }, "labels too_long")
	f(func(l *LineItem) { l.Labels = []string{strings.Repeat("x", 50)} })
	f(func(l *LineItem) { l.Labels = []string{strings.Repeat("x", 51)} }, "labels too_long")
	for _, bad := range []string{"", " cars", "Cars", "c\x00", "c\u200bars", "c\xff"} {
		f(func(l *LineItem) { l.Labels = []string{bad} }, "labels bad_syntax")
	}
	f(func(l *LineItem) { l.Targeting.All = []rule.Expr{} }, "targeting.all empty")
	f(func(l *LineItem) { l.Targeting.Is = &rule.Predicate{Dimension: rule.Country, Values: []string{"UK"}} },
		"targeting.is.values[0] bad_value")
}

func TestCreative(t *testing.T) {
	t.Parallel()
	f := func(change func(*Creative), want ...string) {
		t.Helper()
		c := Creative{LineItemID: 1, Name: "a", Status: Active, Latest: Revision{
			Format: Banner, Width: 728, Height: 90, LandingURL: "https://a.example/",
			Image: Image{SHA256: strings.Repeat("0f", 32), Type: "image/gif", Bytes: 1},
		}}
		change(&c)
		checkFields(t, c, want...)
	}
	html := func(markup string) func(*Creative) {
		return func(c *Creative) { c.Latest.Format, c.Latest.Image, c.Latest.Markup = HTML, Image{}, markup }
	}
	f(func(*Creative) {})
	f(func(c *Creative) { c.LineItemID = 0 }, "line_item_id required")
	f(func(c *Creative) { c.Latest.Width, c.Latest.Height = 0, 10_001 }, "width out_of_range", "height out_of_range")
	f(func(c *Creative) { c.Latest.Width, c.Latest.Height = 1, 10_000 })
	f(func(c *Creative) { c.Latest.Format = Video }, "format unknown")
	f(func(c *Creative) { c.Latest.Image = Image{} }, "image required")
	f(func(c *Creative) { c.Latest.Image.SHA256 = strings.Repeat("0F", 32) }, "image required")
	f(func(c *Creative) { c.Latest.Image.SHA256 = "../" + strings.Repeat("0", 61) }, "image required")
	f(func(c *Creative) { c.Latest.Image.Type = "image/svg+xml" }, "image unknown")
	f(func(c *Creative) { c.Latest.Image.Bytes = 1 << 30 }, "image out_of_range")
	f(func(c *Creative) { c.Latest.Markup = "x" }, "markup conflict")
	f(func(c *Creative) {
		c.Latest.Categories, c.Latest.Attributes = []string{"iab1/IAB17", "iab1/IAB2"}, []int{1, 17}
	})
	f(func(c *Creative) { c.Latest.Categories = []string{"iab1/IAB2", "iab1/IAB17"} }, "categories order")
	f(func(c *Creative) { c.Latest.Categories = []string{""} }, "categories unknown")
	f(func(c *Creative) { c.Latest.Categories = make([]string, 51) }, "categories too_long")
	f(func(c *Creative) { c.Latest.Attributes = []int{0} }, "attributes unknown")
	f(func(c *Creative) { c.Latest.Attributes = []int{18} }, "attributes unknown")
	f(func(c *Creative) { c.Latest.Attributes = []int{2, 2} }, "attributes order")
	f(html("<b>颯</b>"))
	f(html(strings.Repeat("x", 150*1024)))
	f(html(strings.Repeat("x", 150*1024+1)), "markup too_long")
	f(html(" "), "markup required")
	f(html("\xff"), "markup bad_syntax")
	f(html("a\x00"), "markup bad_syntax")
	f(func(c *Creative) { c.Latest.Format, c.Latest.Markup = HTML, "x" }, "image conflict")
}

func TestLandingURLs(t *testing.T) {
	t.Parallel()
	f := func(landing string, want ...string) {
		t.Helper()
		checkFields(t, Revision{Format: HTML, Markup: "x", Width: 1, Height: 1, LandingURL: landing}, want...)
	}
	f("https://a.example")
	f("http://a.example:8080/x?y=z#f")
	f("HTTPS://例え.jp/色?q=赤")
	f("https://a.example/" + strings.Repeat("x", 2030))
	f("https://a.example/?hy={conversion}#{conversion}")
	f("", "landing_url required")
	f("https://a.example/"+strings.Repeat("x", 2031), "landing_url too_long")
	for _, bad := range []string{
		"//evil.example", "/path", "a.example", "javascript:alert(1)", "data:text/html,x", "ftp://a.example", "https:evil.example",
		"https:///path", "https://", "https://:80/", `https:\\evil.example`, `https://a.example\@evil.example`,
		"https://user@a.example", "https://user:pw@a.example", "https://a.example/\r\nSet-Cookie: x", "https://a.example/\x00",
		" https://a.example", "https://a.example /", "https://a.example/\u202e", "https://a.example/\xff", "https://a.example:port/", "%zz://",
		"https://a.example/{conversion}", "https://a.example/%7Bconversion%7D/?hy={conversion}", "https://{conversion}.example/",
	} {
		f(bad, "landing_url bad_syntax")
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	f := func(reason, code string) {
		t.Helper()
		var invalid Invalid
		if err := ValidateReason(reason); errors.As(err, &invalid) != (code != "") || (code != "" && invalid[0].Code != code) {
			t.Errorf("%.20q: %v; want %q", reason, err, code)
		}
	}
	f("Too loud.\nAnd blinking.", "")
	f(" ", Required)
	f(strings.Repeat("颯", 1001), TooLong)
	f("a\u202eb", BadSyntax)
	f("a\xffb", BadSyntax)
}

func TestProperty(t *testing.T) {
	t.Parallel()
	f := func(p Property, want ...string) {
		t.Helper()
		p.PublisherID, p.Name, p.Status = 1, "a", Active
		checkFields(t, p, want...)
	}
	f(Property{Kind: Site, Domain: "a.example", RevenueShare: 10_000})
	f(Property{Kind: App, Domain: "com.Example.app_1"})
	f(Property{Kind: App, Domain: "1234567890"})
	f(Property{Kind: Site, Domain: "com"}, "domain bad_syntax")
	f(Property{Kind: App, Domain: "a b"}, "domain bad_syntax")
	f(Property{Kind: DOOH, Domain: "screens.example", Categories: []string{"iab1/IAB17"}})
	f(Property{Kind: DOOH, Domain: "screens"}, "domain bad_syntax")
	f(Property{Kind: Site, Domain: "a.example", Categories: []string{"iab1/IAB17", "iab1/IAB17"}}, "categories order")
	f(Property{Kind: App}, "domain required")
	f(Property{Kind: "tv", Domain: "a.example"}, "kind unknown")
	f(Property{Kind: Site, Domain: "a.example", RevenueShare: 10_001}, "revenue_share out_of_range")
	f(Property{Kind: Site, Domain: "a.example", RevenueShare: -1}, "revenue_share out_of_range")
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	f := func(change func(*Placement), want ...string) {
		t.Helper()
		p := Placement{PropertyID: 1, Name: "a", Formats: []Format{Banner}, Sizes: []Size{{728, 90}}, Status: Active}
		change(&p)
		checkFields(t, p, want...)
	}
	f(func(*Placement) {})
	f(func(p *Placement) { p.Formats = nil }, "formats required")
	f(func(p *Placement) { p.Formats = []Format{Banner, Banner} }, "formats repeated")
	f(func(p *Placement) { p.Formats = []Format{"popup"} }, "formats unknown")
	f(func(p *Placement) { p.Sizes = nil }, "sizes required")
	f(func(p *Placement) { p.Formats, p.Sizes = []Format{Native, Video}, nil })
	f(func(p *Placement) { p.Formats, p.Sizes = []Format{Native, HTML}, nil }, "sizes required")
	f(func(p *Placement) { p.Sizes = []Size{{0, 90}} }, "sizes out_of_range")
	f(func(p *Placement) { p.Sizes = []Size{{1, 10_001}} }, "sizes out_of_range")
	f(func(p *Placement) { p.Sizes = []Size{{1, 1}, {1, 1}} }, "sizes repeated")
	f(func(p *Placement) { p.Sizes = make([]Size, 51) }, "sizes too_long")
	f(func(p *Placement) { p.Floor = -1 }, "floor out_of_range")
	f(func(p *Placement) { p.Floor = 100_000*money.Unit + 1 }, "floor out_of_range")
	f(func(p *Placement) { p.FloorCurrency, p.AuctionType, p.Position = "JPY", SecondPrice, "above_fold" })
	for _, bad := range []string{"jpy", "US", "USDX", "QQQ", "XXX", "XTS", "€€€", strings.Repeat("U", 1<<20)} {
		f(func(p *Placement) { p.FloorCurrency = bad }, "floor_currency unknown")
	}
	f(func(p *Placement) { p.AuctionType = 3 }, "auction_type unknown")
	f(func(p *Placement) { p.Position = "" })
	f(func(p *Placement) { p.BlockedCategories, p.BlockedAttributes = []string{"iab1/IAB17"}, []int{1, 3} })
	f(func(p *Placement) { p.BlockedCategories = []string{"x\xff"} }, "blocked_categories unknown")
	f(func(p *Placement) { p.BlockedCategories = make([]string, 1001) }, "blocked_categories too_long")
	f(func(p *Placement) { p.BlockedAttributes = []int{3, 1} }, "blocked_attributes order")
	f(func(p *Placement) { p.BlockedAdvertisers = []ID{1, 2, 9} })
	f(func(p *Placement) { p.BlockedAdvertisers = []ID{2, 1} }, "blocked_advertisers order")
	f(func(p *Placement) { p.BlockedAdvertisers = []ID{1, 1} }, "blocked_advertisers order")
	f(func(p *Placement) { p.BlockedAdvertisers = []ID{0} }, "blocked_advertisers order")
}

func TestExchangeRate(t *testing.T) {
	t.Parallel()
	f := func(currency string, value money.Micros, want ...string) {
		t.Helper()
		checkFields(t, ExchangeRate{Currency: currency, Value: value}, want...)
	}
	f("EUR", 1)
	f("KWD", 1_000_000*money.Unit)
	f("EUR", 0, "value out_of_range")
	f("EUR", -1, "value out_of_range")
	f("EUR", 1_000_000*money.Unit+1, "value out_of_range")
	f("eur", 1, "currency unknown")
	f("", 0, "currency unknown", "value out_of_range")
}

func TestNamesOfClosedLists(t *testing.T) {
	t.Parallel()
	for _, auction := range []AuctionType{FirstPrice, SecondPrice} {
		if back, err := ParseAuctionType(auction.String()); err != nil || back != auction {
			t.Errorf("%s: %v, %v", auction, back, err)
		}
	}
	for _, bad := range []string{"", "third", "First"} {
		if got, err := ParseAuctionType(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if got := AuctionType(9).String(); got != "auction(9)" {
		t.Error(got)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	f := func(change func(*User), want ...string) {
		t.Helper()
		u := User{Email: "a@a.example", Name: "a", Role: RoleOperator, Language: "ja", Status: Active}
		change(&u)
		checkFields(t, u, want...)
	}
	f(func(*User) {})
	f(func(u *User) { u.Role = "root" }, "role unknown")
	f(func(u *User) { u.Language = "fr" }, "language unknown")
	f(func(u *User) { u.Role, u.AdvertiserID = RoleAdvertiser, 1 })
	f(func(u *User) { u.Role = RoleAdvertiser }, "advertiser_id required")
	f(func(u *User) { u.Role, u.AdvertiserID, u.PublisherID = RoleAdvertiser, 1, 1 }, "publisher_id conflict")
	f(func(u *User) { u.Role = RolePublisher }, "publisher_id required")
	f(func(u *User) { u.AdvertiserID = 1 }, "advertiser_id conflict")
	f(func(u *User) { u.Email = "" }, "email required")
	f(func(u *User) { u.Email = strings.Repeat("a", 65) + "@a.example" }, "email too_long")
	f(func(u *User) { u.Email = "a@" + strings.Repeat("a.", 130) + "example" }, "email too_long")
	for _, bad := range []string{"a", "a@", "@a.example", "a b@a.example", "A <a@a.example>", "a@a.example\n", "a@a.example, b@a.example", "a\u200b@a.example"} {
		f(func(u *User) { u.Email = bad }, "email bad_syntax")
	}
	checkFields(t, Token{Name: strings.Repeat("x", 101)}, "name too_long")
}

func TestParsers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1", "9223372036854775807"} {
		if id, err := ParseID(text); err != nil || id <= 0 {
			t.Errorf("ParseID(%q) = %d, %v", text, id, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "01", "1.0", "x", "9223372036854775808", " 1", "1\x00"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("ParseID(%q) = %d", text, id)
		}
	}
	for tier := Sponsorship; tier <= House; tier++ {
		if back, err := ParseTier(tier.String()); err != nil || back != tier {
			t.Errorf("tier %s is read as %s, %v", tier, back, err)
		}
	}
	if _, err := ParseTier(""); err == nil {
		t.Error("ParseTier accepts nothing")
	}
	if got := Tier(9).String(); got != "tier(9)" {
		t.Errorf("unknown tier is %q", got)
	}
	if _, err := ParseStatus(strings.Repeat("x", 1000)); err == nil || len(err.Error()) > 100 {
		t.Errorf("ParseStatus: %v", err)
	}
}

func FuzzValidate(f *testing.F) {
	f.Add("name", "a.example", "https://a.example/")
	f.Add("\u202e", "xn--", `https:\\x`)
	f.Fuzz(func(t *testing.T, name, domain, landing string) {
		err := Publisher{Name: name, Domain: domain, Status: Active}.Validate()
		if err == nil && (len(domain) > 253 || strings.ToLower(domain) != domain || !strings.Contains(domain, ".")) {
			t.Errorf("domain %q is accepted", domain)
		}
		err = Revision{Format: HTML, Markup: "x", Width: 1, Height: 1, LandingURL: landing}.Validate()
		if lower := strings.ToLower(landing); err == nil && !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
			t.Errorf("landing URL %q is accepted", landing)
		}
	})
}
