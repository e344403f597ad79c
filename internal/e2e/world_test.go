//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// operator is who sets a world up.
var operator = postgres.Actor{Role: ad.RoleOperator}

// world is one installation: a database, a bucket, keys, and what delivery and
// batch are told about them. Its durations are short, so that a test sees in
// seconds what takes minutes in production; the protocol is the same.
type world struct {
	dir string
	env []string
	db  *postgres.DB
	url string // of delivery's public port
	ops string
}

// hold is how long the worlds' reservations are kept.
const hold = 5 * time.Second

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, postgrestest.URL(t))
}

// newWorldOn is newWorld in a database of its own kind.
func newWorldOn(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	db, err := postgres.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	w.db = db
	keys := filepath.Join(w.dir, "token.keys")
	if err := os.WriteFile(keys, []byte("1 "+strings.Repeat("5e", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	public, ops := freePort(t), freePort(t)
	w.url, w.ops = fmt.Sprintf("http://127.0.0.1:%d", public), fmt.Sprintf("http://127.0.0.1:%d", ops)
	w.env = []string{
		"DATABASE_URL=" + databaseURL,
		"BUCKET_URL=file://" + filepath.Join(w.dir, "bucket"),
		"STATE_DIR=" + filepath.Join(w.dir, "delivery"),
		"TOKEN_KEYS=" + keys,
		fmt.Sprintf("LISTEN=127.0.0.1:%d", public),
		fmt.Sprintf("OPS_LISTEN=127.0.0.1:%d", ops),
		"HOLD=" + hold.String(), "ROTATE_EVERY=300ms", "REFRESH_EVERY=500ms",
		"BANK_LEASE_TTL=20s", "BANK_MAX_AGE=4s", "BANK_LONGEST_HOLD=" + hold.String(),
		"BANK_LOST_AFTER=60s", "BANK_GRACE=5s", "BANK_MARGIN=1s",
	}
	if err := os.Mkdir(filepath.Join(w.dir, "bucket"), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// publish runs the publish job to its end.
func (w *world) publish(t *testing.T) {
	t.Helper()
	if code := start(t, "batch", w.env, "run", "publish").wait(t, 30*time.Second); code != 0 {
		t.Fatalf("batch run publish: exit code %d", code)
	}
}

// supply makes a publisher with one banner placement and returns its id.
func (w *world) supply(t *testing.T) ad.ID {
	t.Helper()
	ctx := t.Context()
	publisher, err := w.db.CreatePublisher(ctx, operator, ad.Publisher{Name: "Publisher", Domain: "publisher.example", Status: ad.Active})
	must(t, err)
	property, err := w.db.CreateProperty(ctx, operator, ad.Property{
		PublisherID: publisher.ID, Name: "Site", Kind: ad.Site, Domain: "news.example", RevenueShare: 7000, Status: ad.Active,
	})
	must(t, err)
	placement, err := w.db.CreatePlacement(ctx, operator, ad.Placement{
		PropertyID: property.ID, Name: "Rectangle", Formats: []ad.Format{ad.Banner, ad.HTML},
		Sizes: []ad.Size{{Width: 300, Height: 250}}, Status: ad.Active,
	})
	must(t, err)
	return placement.ID
}

// offer is a line item to make, with one approved HTML creative.
type offer struct {
	name            string
	cpm             string
	lifetime, daily string // "": no limit
}

// demand makes an advertiser with one line item per offer and returns their ids in order.
func (w *world) demand(t *testing.T, offers ...offer) []ad.ID {
	t.Helper()
	ctx := t.Context()
	advertiser, err := w.db.CreateAdvertiser(ctx, operator, ad.Advertiser{Name: "Advertiser", Domain: "advertiser.example", TimeZone: "Asia/Tokyo", Status: ad.Active})
	must(t, err)
	yesterday := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
	campaign, err := w.db.CreateCampaign(ctx, operator, ad.Campaign{AdvertiserID: advertiser.ID, Name: "Campaign", StartsAt: yesterday, Status: ad.Active})
	must(t, err)
	var ids []ad.ID
	for _, o := range offers {
		lineItem, err := w.db.CreateLineItem(ctx, operator, ad.LineItem{
			CampaignID: campaign.ID, Name: o.name, Tier: ad.Auction, CPM: amount(t, o.cpm),
			LifetimeBudget: limit(t, o.lifetime), DailyBudget: limit(t, o.daily), StartsAt: yesterday, Status: ad.Active,
		})
		must(t, err)
		w.creative(ctx, t, lineItem.ID)
		ids = append(ids, lineItem.ID)
	}
	return ids
}

// creative makes an HTML creative and takes it through review.
func (w *world) creative(ctx context.Context, t *testing.T, lineItem ad.ID) {
	t.Helper()
	creative, err := w.db.CreateCreative(ctx, operator, ad.Creative{
		LineItemID: lineItem, Name: "Creative", Status: ad.Active,
		Latest: ad.Revision{Format: ad.HTML, Width: 300, Height: 250, LandingURL: "https://advertiser.example/", Markup: `<a href="${CLICK_URL}">ad</a>`},
	})
	must(t, err)
	creative, err = w.db.SubmitCreative(ctx, operator, creative.ID, creative.Latest.Number)
	must(t, err)
	_, err = w.db.ReviewCreative(ctx, operator, creative.ID, creative.Latest.Number, true, "")
	must(t, err)
}

func amount(t *testing.T, decimal string) money.Micros {
	t.Helper()
	micros, err := money.Parse(decimal)
	must(t, err)
	return micros
}

func limit(t *testing.T, decimal string) *money.Micros {
	t.Helper()
	if decimal == "" {
		return nil
	}
	micros := amount(t, decimal)
	return &micros
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
