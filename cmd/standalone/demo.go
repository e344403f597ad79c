package main

import (
	"fmt"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Names of the demo's placements.
const (
	leaderboard = "Leaderboard"
	rectangle   = "Rectangle"
	mobile      = "Mobile banner"
	native      = "In-feed native"
	video       = "Article video"
)

// supply is what the demo publisher sells.
var supply = []ad.Placement{
	{Name: leaderboard, Formats: []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 728, Height: 90}}, Floor: money.Unit / 2},
	{Name: rectangle, Formats: []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 300, Height: 250}}, Floor: money.Unit / 2},
	{Name: mobile, Formats: []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 320, Height: 50}}},
	{Name: native, Formats: []ad.Format{ad.Native}},
	{Name: video, Formats: []ad.Format{ad.Video}},
}

// advertiser of the demo, with its one campaign.
type advertiser struct {
	key, name, domain, timeZone, campaign string
	markup                                string // of its guaranteed line items; "": pictures
	lineItems                             []lineItem
}

type lineItem struct {
	name            string
	tier            ad.Tier
	cpm             money.Micros
	daily, lifetime *money.Micros
	targeting       string   // JSON of internal/rule
	creatives       []string // sizes
}

const everywhere = `{}`

// demand is who buys: three advertisers, a dozen line items, each tier and each
// kind of targeting at least once.
var demand = []advertiser{
	{
		key: "kaze", name: "Kaze Bikes", domain: "kazebikes.example", timeZone: "Asia/Tokyo", campaign: "City e-bikes, winter",
		markup: kazeMarkup,
		lineItems: []lineItem{
			{"E-bikes, leaderboard", ad.Auction, 4 * money.Unit, micros(40 * money.Unit), nil, everywhere, []string{"728x90"}},
			{"E-bikes, all sizes", ad.Auction, 2_500_000, micros(30 * money.Unit), micros(900 * money.Unit), everywhere, []string{"728x90", "300x250", "320x50"}},
			{"Riders on the phone", ad.Auction, 3_200_000, micros(20 * money.Unit), nil,
				`{"is":{"dimension":"device_type","values":["mobile","tablet"]}}`, []string{"320x50", "300x250"}},
			{"Test ride, guaranteed", ad.Guaranteed, 6 * money.Unit, micros(12 * money.Unit), nil,
				`{"is":{"dimension":"keyword","values":["section=city","section=sports"]}}`, []string{"300x250"}},
		},
	},
	{
		key: "minato", name: "Minato Coffee", domain: "minato-coffee.example", timeZone: "Asia/Tokyo", campaign: "Beans by post",
		lineItems: []lineItem{
			{"Food section sponsorship", ad.Sponsorship, 8 * money.Unit, micros(16 * money.Unit), micros(200 * money.Unit),
				`{"is":{"dimension":"keyword","values":["section=food"]}}`, []string{"728x90", "300x250"}},
			{"Japan, all sizes", ad.Auction, 3 * money.Unit, micros(25 * money.Unit), nil,
				`{"is":{"dimension":"country","values":["JP"]}}`, []string{"728x90", "300x250", "320x50"}},
			{"Weekday mornings", ad.Auction, 3_600_000, micros(15 * money.Unit), nil, mornings(), []string{"728x90", "320x50"}},
			{"Everywhere but phones", ad.Auction, 1_800_000, micros(20 * money.Unit), nil,
				`{"not":{"is":{"dimension":"device_type","values":["mobile"]}}}`, []string{"300x250", "728x90"}},
		},
	},
	{
		key: "aoba", name: "Aoba Travel", domain: "aoba-travel.example", timeZone: "Europe/Berlin", campaign: "Autumn leaves",
		lineItems: []lineItem{
			{"Mountain weekends", ad.Auction, 2_800_000, micros(30 * money.Unit), nil, everywhere, []string{"728x90", "300x250", "320x50"}},
			{"Travellers on Apple", ad.Auction, 3_800_000, micros(18 * money.Unit), nil,
				`{"is":{"dimension":"os","values":["ios","macos"]}}`, []string{"300x250", "320x50"}},
			{"Germany and travel pages", ad.Auction, 4_200_000, micros(10 * money.Unit), nil,
				`{"any":[{"is":{"dimension":"country","values":["DE"]}},{"is":{"dimension":"keyword","values":["section=travel"]}}]}`, []string{"728x90", "300x250"}},
			{"House ads", ad.House, 0, nil, nil, everywhere, []string{"728x90", "300x250", "320x50"}},
		},
	},
}

// kazeMarkup is an HTML5 creative: it scales to its frame and animates.
const kazeMarkup = `<style>
html,body{margin:0;height:100%;font-family:system-ui,sans-serif;color:#fff}
a{display:flex;flex-direction:column;justify-content:space-between;height:100%;box-sizing:border-box;padding:18px;color:inherit;text-decoration:none;background:linear-gradient(115deg,#0b3954,#087e8b 60%,#bfd7ea)}
b{font-size:26px;line-height:1.15} span{font-size:15px}
i{display:block;height:3px;width:60%;background:#fff;border-radius:3px;margin:7px 0;animation:gust 2.4s ease-in-out infinite alternate}
i+i{width:80%;animation-delay:.3s} i+i+i{width:45%;animation-delay:.6s}
em{align-self:flex-end;font-style:normal;font-weight:700;background:#ff5a5f;border-radius:99px;padding:.5em .9em}
@keyframes gust{from{transform:translateX(-12px);opacity:.5}to{transform:translateX(60px);opacity:1}}
@media (prefers-reduced-motion:reduce){i{animation:none}}
</style><a href="${CLICK_URL}" target="_blank" rel="noopener sponsored"><b>Leave the traffic behind</b><div><i></i><i></i><i></i></div><span>Kaze Bikes: a free test ride in your street</span><em>Book it</em></a>`

// mornings targets Monday to Friday, 6 to 11 o'clock, as hours of the week.
func mornings() string {
	values := ""
	for day := range 5 {
		for hour := 6; hour < 11; hour++ {
			if values != "" {
				values += ","
			}
			values += fmt.Sprintf("%q", fmt.Sprint(day*24+hour))
		}
	}
	return `{"is":{"dimension":"hour_of_week","values":[` + values + `]}}`
}
