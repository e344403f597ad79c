package publish

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// world is a store with one line item that may serve, and an empty bucket.
type world struct {
	*Publisher
	folder   string // of the bucket
	log      *bytes.Buffer
	campaign ad.Campaign
	property ad.Property
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{folder: t.TempDir(), log: new(bytes.Buffer)}
	objects, err := bucket.Open(t.Context(), (&url.URL{Scheme: "file", Path: w.folder}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = objects.Close() })
	w.Publisher = &Publisher{
		DB: &postgres.DB{Pool: postgrestest.New(t)}, Bucket: objects,
		Settings: postgres.PublishSettings{Currency: "EUR", Rates: snapshot.Rates{Click: 1000, Conversion: 20_000}},
		Keep:     10, KeepFor: time.Hour, RepeatAfter: time.Hour, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	advertiser := must[ad.Advertiser](t)(w.DB.CreateAdvertiser(t.Context(), postgres.System, ad.Advertiser{Name: "Brand", Domain: "brand.example", TimeZone: "Asia/Tokyo"}))
	w.campaign = must[ad.Campaign](t)(w.DB.CreateCampaign(t.Context(), postgres.System, ad.Campaign{AdvertiserID: advertiser.ID, Name: "Spring", StartsAt: time.Now()}))
	publisher := must[ad.Publisher](t)(w.DB.CreatePublisher(t.Context(), postgres.System, ad.Publisher{Name: "News", Domain: "news.example"}))
	w.property = must[ad.Property](t)(w.DB.CreateProperty(t.Context(), postgres.System,
		ad.Property{PublisherID: publisher.ID, Name: "News", Kind: ad.Site, Domain: "news.example", RevenueShare: 7000}))
	must[ad.Placement](t)(w.DB.CreatePlacement(t.Context(), postgres.System,
		ad.Placement{PropertyID: w.property.ID, Name: "Top", Formats: []ad.Format{ad.HTML}, Sizes: []ad.Size{{Width: 300, Height: 250}}}))
	w.serve(t, w.lineItem(t, "first"))
	return w
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (w *world) lineItem(t testing.TB, name string) ad.LineItem {
	t.Helper()
	return must[ad.LineItem](t)(w.DB.CreateLineItem(t.Context(), postgres.System,
		ad.LineItem{CampaignID: w.campaign.ID, Name: name, Tier: ad.Auction, CPM: 2 * money.Unit, StartsAt: time.Now()}))
}

// serve gives the line item an approved creative.
func (w *world) serve(t testing.TB, l ad.LineItem) {
	t.Helper()
	revision := ad.Revision{Format: ad.HTML, Width: 300, Height: 250, LandingURL: "https://brand.example/", Markup: "<b>hi</b>"}
	c := must[ad.Creative](t)(w.DB.CreateCreative(t.Context(), postgres.System, ad.Creative{LineItemID: l.ID, Name: "Box", Latest: revision}))
	must[ad.Creative](t)(w.DB.SubmitCreative(t.Context(), postgres.System, c.ID, 1))
	must[ad.Creative](t)(w.DB.ReviewCreative(t.Context(), postgres.System, c.ID, 1, true, ""))
}

func (w *world) run(t testing.TB, want string) {
	t.Helper()
	result, err := w.Run(t.Context())
	if err != nil || !strings.Contains(result.Message, want) {
		t.Fatalf("publish: %q, %v; want %q", result.Message, err, want)
	}
}

func (w *world) fails(t *testing.T, want string) {
	t.Helper()
	if result, err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("publish: %q, %v; want %q", result.Message, err, want)
	}
}

// latest reads what delivery would.
func (w *world) latest(t *testing.T) (snapshot.Pointer, *snapshot.Snapshot) {
	t.Helper()
	p := must[snapshot.Pointer](t)(snapshot.ParsePointer(must[[]byte](t)(w.Bucket.ReadAll(t.Context(), snapshot.PointerKey))))
	file := must[[]byte](t)(w.Bucket.ReadAll(t.Context(), p.Key))
	s := must[*snapshot.Snapshot](t)(snapshot.Parse(file, snapshot.Limits{}))
	if d := cmp.Diff(snapshot.PointTo(s, file), snapshot.Pointer{Generation: p.Generation, Key: p.Key, Size: p.Size, SHA256: p.SHA256, CreatedAt: p.CreatedAt}); d != "" {
		t.Errorf("object (-) and pointer (+):\n%s", d)
	}
	return p, s
}

func (w *world) setGeneration(t *testing.T, n int) {
	t.Helper()
	if _, err := w.DB.Pool.Exec(t.Context(), "SELECT setval('snapshot_generation', $1)", n); err != nil {
		t.Fatal(err)
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, "generation 1: 1 line items, 1 creatives, 1 placements")
	_, s := w.latest(t)
	if s.Currency != "EUR" || s.LineItems[0].Cost != 2*money.Unit || s.Advertisers[0].TimeZone != "Asia/Tokyo" || s.Creatives[0].Markup != "<b>hi</b>" {
		t.Errorf("published %+v", s)
	}
	if age := time.Since(s.CreatedAt); age < -time.Minute || age > time.Minute {
		t.Errorf("created at %s", s.CreatedAt)
	}
	w.serve(t, w.lineItem(t, "second"))
	w.run(t, "generation 2: 2 line items")
	if p, _ := w.latest(t); p.Generation != 2 || p.AllowShrink {
		t.Errorf("pointer %+v", p)
	}
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, "generation 1: 1 line items")
	w.run(t, "generation 1: unchanged")
	first, _ := w.latest(t)
	// What nobody could load is replaced.
	if err := os.Truncate(filepath.Join(w.folder, filepath.FromSlash(first.Key)), 100); err != nil {
		t.Fatal(err)
	}
	w.run(t, "generation 3: 1 line items")
	third, _ := w.latest(t)
	object := filepath.Join(w.folder, filepath.FromSlash(third.Key))
	file := must[[]byte](t)(os.ReadFile(object))
	file[len(file)-1] ^= 1 // of the checksum: the content is the same
	if err := os.WriteFile(object, file, 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "generation 4: 1 line items")
	w.AllowShrink = true
	w.run(t, "generation 5: 1 line items")
	if p, _ := w.latest(t); !p.AllowShrink {
		t.Errorf("pointer %+v", p)
	}
	w.AllowShrink = false
	w.run(t, "generation 6: 1 line items")
	w.RepeatAfter = time.Nanosecond
	w.run(t, "generation 7: 1 line items")
	if p, _ := w.latest(t); p.AllowShrink {
		t.Errorf("pointer %+v", p)
	}
}

// The urgency of what is guaranteed changes all the time; the snapshot does only
// when a line item falls behind, or catches up.
func TestUrgencyInSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	budget, now := 100*money.Unit, time.Now()
	l := must[ad.LineItem](t)(w.DB.CreateLineItem(t.Context(), postgres.System, ad.LineItem{
		CampaignID: w.campaign.ID, Name: "booked", Tier: ad.Guaranteed, CPM: 2 * money.Unit, LifetimeBudget: &budget,
		StartsAt: now.Add(-50 * 24 * time.Hour), EndsAt: now.Add(50 * 24 * time.Hour),
	}))
	if _, err := w.DB.Pool.Exec(t.Context(), `UPDATE campaign SET starts_at = $1`, l.StartsAt); err != nil {
		t.Fatal(err)
	}
	w.serve(t, l)
	spend := func(amount money.Micros, want string, urgency int) {
		t.Helper()
		_, err := w.DB.Pool.Exec(t.Context(), `
			UPDATE account SET settled_micros = $1 WHERE level = 'line_item' AND owner_id = $2 AND day IS NULL`, amount, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.run(t, want)
		if _, s := w.latest(t); s.LineItems[1].ID != l.ID || s.LineItems[1].Urgency != urgency || s.LineItems[0].Urgency != 0 {
			t.Errorf("%s spent: %+v", amount, s.LineItems)
		}
	}
	// A day's account is none of its business.
	_, err := w.DB.Pool.Exec(t.Context(), `
		INSERT INTO account (level, owner_id, day, settled_micros) VALUES ('line_item', $1, '2026-03-01', 7000000)`, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	spend(50*money.Unit, "generation 1: 2 line items", 1000)
	spend(49*money.Unit, "generation 1: unchanged", 1000)
	spend(53*money.Unit, "generation 1: unchanged", 1000)
	spend(25*money.Unit, "generation 4: 2 line items", 1500)
	spend(26*money.Unit, "generation 4: unchanged", 1500)
}

// A floor that nobody can compare keeps its placement out, by name, until there
// is a rate.
func TestFloorWithoutRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, "1 placements")
	must[ad.Placement](t)(w.DB.CreatePlacement(t.Context(), postgres.System, ad.Placement{
		PropertyID: w.property.ID, Name: "Yen", Formats: []ad.Format{ad.Native}, Floor: 100 * money.Unit, FloorCurrency: "JPY",
	}))
	w.run(t, "unchanged, 1 refused")
	w.run(t, "unchanged, 1 refused")
	if n := strings.Count(w.log.String(), `name=Yen reason="its floor is in JPY, which has no exchange rate to EUR"`); n != 1 {
		t.Errorf("named %d times:\n%s", n, w.log)
	}
	rate := must[ad.ExchangeRate](t)(w.DB.SetExchangeRate(t.Context(), postgres.System, ad.ExchangeRate{Currency: "JPY", Value: 6_200}))
	w.run(t, "2 placements")
	rate.Value = 6_300
	must[ad.ExchangeRate](t)(w.DB.SetExchangeRate(t.Context(), postgres.System, rate))
	w.run(t, "generation 5")
	_, s := w.latest(t)
	want := []snapshot.ExchangeRate{{Currency: "JPY", Value: 6_300}}
	if d := cmp.Diff(want, s.FX); d != "" || s.Placements[1].FloorCurrency != "JPY" || s.Placements[0].FloorCurrency != "EUR" || s.Rates.Click != 1000 {
		t.Errorf("%s\n%+v", d, s)
	}
}

func TestRefusedAreNamedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	without := w.lineItem(t, "without creative")
	for range 3 {
		w.run(t, "1 refused")
	}
	if n := strings.Count(w.log.String(), `name="without creative"`); n != 1 {
		t.Errorf("named %d times:\n%s", n, w.log)
	}
	w.serve(t, without)
	w.run(t, "2 line items, 2 creatives, 1 placements")
}

func TestNeverBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setGeneration(t, 41)
	w.run(t, "generation 42")
	before, _ := w.latest(t)
	w.serve(t, w.lineItem(t, "second"))
	f := func() {
		t.Helper()
		w.setGeneration(t, 7)
		w.fails(t, "SELECT setval('snapshot_generation', 42)")
	}
	f()
	if p, _ := w.latest(t); p != before {
		t.Errorf("the pointer went from %+v to %+v", before, p)
	}
	// Without a readable pointer the objects' names tell.
	for _, text := range []string{"garbage", ""} {
		if err := w.Bucket.WriteAll(t.Context(), snapshot.PointerKey, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
		f()
	}
	if err := w.Bucket.Delete(t.Context(), snapshot.PointerKey); err != nil {
		t.Fatal(err)
	}
	f()
	w.setGeneration(t, 42)
	w.run(t, "generation 43: 2 line items")
}

// A publisher that stood still while another one published finds out in time.
func TestPublishedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, "generation 1")
	s, _, err := w.DB.Publishable(t.Context(), w.Settings)
	if err != nil {
		t.Fatal(err)
	}
	w.AllowShrink = true // publishes whatever has changed
	w.run(t, "generation 3")
	if _, err := w.publish(t.Context(), snapshot.PointTo(&s, snapshot.Append(nil, &s)), snapshot.Append(nil, &s)); err == nil || !strings.Contains(err.Error(), "generation 3 was published meanwhile") {
		t.Errorf("error %v", err)
	}
	if p, _ := w.latest(t); p.Generation != 3 {
		t.Errorf("pointer %+v", p)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AllowShrink, w.Keep = true, 3
	for range 6 {
		w.run(t, "0 old snapshots removed") // all are young
	}
	foreign := filepath.Join(w.folder, "snapshots", "notes.txt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range must[[]object](t)(w.list(t.Context())) {
		if o.generation != 2 {
			old := time.Now().Add(-2 * time.Hour)
			if err := os.Chtimes(filepath.Join(w.folder, filepath.FromSlash(o.key)), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.run(t, "generation 7: 1 line items, 1 creatives, 1 placements")
	var left []uint64
	for _, o := range must[[]object](t)(w.list(t.Context())) {
		left = append(left, o.generation)
	}
	if d := cmp.Diff([]uint64{7, 6, 5, 2}, left); d != "" {
		t.Errorf("left (-want +got):\n%s", d)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of somebody else's: %v", err)
	}
}

func TestBadCurrencyIsNotPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings.Currency = "€"
	w.fails(t, "not published: snapshot refused (bad_content): currency")
	var refused *snapshot.Error
	if _, err := w.Run(t.Context()); !errors.As(err, &refused) {
		t.Errorf("error %v", err)
	}
	if entries := must[[]os.DirEntry](t)(os.ReadDir(w.folder)); len(entries) != 0 {
		t.Errorf("the bucket holds %v", entries)
	}
}

func TestStoppedHalfWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	w.run(t, "generation 1")
}
