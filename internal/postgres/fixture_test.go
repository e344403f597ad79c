package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
	"github.com/hayate-ads/hayate/internal/rule"
)

// house is one of each noun, and those who may work on them.
type house struct {
	*postgres.DB
	advertiser ad.Advertiser
	campaign   ad.Campaign
	lineItem   ad.LineItem
	creative   ad.Creative
	publisher  ad.Publisher
	property   ad.Property
	placement  ad.Placement
	users      map[ad.Role]ad.User
}

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end   = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
)

// must is for steps that the test is not about.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func newDB(t testing.TB) *postgres.DB { return &postgres.DB{Pool: postgrestest.New(t)} }

// newHouse fills an empty database.
func newHouse(t testing.TB) *house {
	t.Helper()
	return addHouse(t, newDB(t), "one")
}

// addHouse adds an advertiser and a publisher with all that belongs to them.
func addHouse(t testing.TB, db *postgres.DB, name string) *house {
	t.Helper()
	ctx, h := t.Context(), &house{DB: db, users: map[ad.Role]ad.User{}}
	h.advertiser = must[ad.Advertiser](t)(db.CreateAdvertiser(ctx, postgres.System,
		ad.Advertiser{Name: name, Domain: name + ".example", TimeZone: "Asia/Tokyo"}))
	h.campaign = must[ad.Campaign](t)(db.CreateCampaign(ctx, postgres.System,
		ad.Campaign{AdvertiserID: h.advertiser.ID, Name: "Spring", StartsAt: start, EndsAt: end}))
	h.lineItem = must[ad.LineItem](t)(db.CreateLineItem(ctx, postgres.System, sampleLineItem(h.campaign.ID)))
	h.creative = must[ad.Creative](t)(db.CreateCreative(ctx, postgres.System,
		ad.Creative{LineItemID: h.lineItem.ID, Name: "Leaderboard", Latest: sampleRevision()}))
	h.publisher = must[ad.Publisher](t)(db.CreatePublisher(ctx, postgres.System,
		ad.Publisher{Name: name, Domain: name + ".example"}))
	h.property = must[ad.Property](t)(db.CreateProperty(ctx, postgres.System,
		ad.Property{PublisherID: h.publisher.ID, Name: "News", Kind: ad.Site, Domain: "news." + name + ".example", RevenueShare: 7000,
			Categories: []string{"iab1/IAB12"}}))
	h.placement = must[ad.Placement](t)(db.CreatePlacement(ctx, postgres.System, ad.Placement{
		PropertyID: h.property.ID, Name: "Top", Formats: []ad.Format{ad.Banner, ad.HTML},
		Sizes: []ad.Size{{Width: 728, Height: 90}, {Width: 300, Height: 250}}, Floor: money.Unit,
		FloorCurrency: "EUR", AuctionType: ad.SecondPrice, Position: "above_fold",
		BlockedAdvertisers: []ad.ID{998, 999}, BlockedCategories: []string{"iab1/IAB26", "iab1/IAB7-39"}, BlockedAttributes: []int{1, 8},
	}))
	for _, role := range []ad.Role{ad.RoleOperator, ad.RoleReviewer, ad.RoleAdvertiser, ad.RolePublisher} {
		user := ad.User{Email: string(role) + "@" + name + ".example", Name: strings.ToUpper(name), Role: role}
		switch role {
		case ad.RoleAdvertiser:
			user.AdvertiserID = h.advertiser.ID
		case ad.RolePublisher:
			user.PublisherID = h.publisher.ID
		}
		h.users[role] = must[ad.User](t)(db.CreateUser(ctx, postgres.System, user, "hash of "+user.Email))
	}
	return h
}

func (h *house) actor(role ad.Role) postgres.Actor { return postgres.ActorOf(h.users[role]) }

func micros(amount money.Micros) *money.Micros { return &amount }

func sampleLineItem(campaign ad.ID) ad.LineItem {
	return ad.LineItem{
		CampaignID: campaign, Name: "Japan", Tier: ad.Auction, CPM: 2 * money.Unit,
		Weight: 7, Roadblock: ad.OnlyOne, Labels: []string{"cars", "luxury"},
		LifetimeBudget: micros(100 * money.Unit), DailyBudget: micros(10 * money.Unit),
		StartsAt: start, EndsAt: end,
		Targeting: rule.Expr{Is: &rule.Predicate{Dimension: rule.Country, Values: []string{"JP", "US"}}},
	}
}

func sampleRevision() ad.Revision {
	return ad.Revision{
		Format: ad.Banner, Width: 728, Height: 90, LandingURL: "https://shop.example/?q=1",
		Image:      ad.Image{SHA256: strings.Repeat("ab", 32), Type: "image/png", Bytes: 1234},
		Categories: []string{"iab1/IAB2"}, Attributes: []int{3, 17},
	}
}

// approve brings the creative's latest revision on the air.
func (h *house) approve(t testing.TB, c ad.Creative) ad.Creative {
	t.Helper()
	c = must[ad.Creative](t)(h.SubmitCreative(t.Context(), h.actor(ad.RoleAdvertiser), c.ID, c.Latest.Number))
	return must[ad.Creative](t)(h.ReviewCreative(t.Context(), h.actor(ad.RoleReviewer), c.ID, c.Latest.Number, true, ""))
}
