package catalog_test

import (
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"
	"weak"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// TestTextsAreTheSnapshots: what was packed away comes back.
func TestTextsAreTheSnapshots(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 100)
	c := compile(t, s)
	from := make(map[ad.ID]*snapshot.Creative)
	for i := range s.Creatives {
		from[s.Creatives[i].ID] = &s.Creatives[i]
	}
	for i := range c.Creatives {
		got := &c.Creatives[i]
		want, shape := from[got.ID], c.Shapes[got.Shape]
		if want == nil || c.LineItems[got.Item].ID != want.LineItem || int(got.Revision) != want.Revision {
			t.Fatalf("creative %d is %+v", got.ID, got)
		}
		if shape != (catalog.Shape{Format: want.Format, Width: want.Width, Height: want.Height}) || c.Landing(got) != want.LandingURL {
			t.Errorf("creative %d: %v, %s", got.ID, shape, c.Landing(got))
		}
		if want.Format == ad.HTML {
			if c.Markup(got) != want.Markup {
				t.Errorf("creative %d has the markup %s", got.ID, c.Markup(got))
			}
		} else if digest, kind := c.Image(got); hex.EncodeToString([]byte(digest)) != want.Image.SHA256 || kind != want.Image.Type {
			t.Errorf("creative %d has the image %x of type %s", got.ID, digest, kind)
		}
	}
	for i := range c.LineItems {
		item := &c.LineItems[i]
		if c.Advertisers[item.Owner].ID != item.Advertiser || c.Advertisers[item.Owner].Zone != item.Zone {
			t.Errorf("line item %d: owner %+v", item.ID, c.Advertisers[item.Owner])
		}
	}
}

// TestSameSnapshotSameCatalog: processes that read one snapshot rank alike, in
// whatever order its lists come, so that a decision can be replayed elsewhere.
func TestSameSnapshotSameCatalog(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(4, 300)
	want := compile(t, s)
	shuffled := snapshottest.Make(4, 300)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(s.LineItems), func(i, j int) {
		shuffled.LineItems[i], shuffled.LineItems[j] = shuffled.LineItems[j], shuffled.LineItems[i]
	})
	r.Shuffle(len(s.Creatives), func(i, j int) {
		shuffled.Creatives[i], shuffled.Creatives[j] = shuffled.Creatives[j], shuffled.Creatives[i]
	})
	for _, other := range []*catalog.Catalog{compile(t, snapshottest.Make(4, 300)), compile(t, shuffled)} {
		for i := range want.LineItems {
			if other.LineItems[i].ID != want.LineItems[i].ID {
				t.Fatalf("at %d stands line item %d, and %d", i, want.LineItems[i].ID, other.LineItems[i].ID)
			}
		}
		for i := range want.Creatives {
			if other.Creatives[i].ID != want.Creatives[i].ID {
				t.Fatalf("at %d stands creative %d, and %d", i, want.Creatives[i].ID, other.Creatives[i].ID)
			}
		}
	}
}

// TestKeepsNothingOfTheSnapshot: its strings are parts of one, as long as the
// file, so that a single one that was kept would keep all.
func TestKeepsNothingOfTheSnapshot(t *testing.T) {
	t.Parallel()
	file := snapshot.Append(nil, snapshottest.Make(1, 50))
	parse := func() (*catalog.Catalog, weak.Pointer[byte]) {
		s, err := snapshot.Parse(file, snapshot.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return compile(t, s), weak.Make(stringStart(s.Creatives[0].LandingURL))
	}
	c, text := parse()
	runtime.GC()
	if text.Value() != nil {
		t.Error("the snapshot's strings are still in memory")
	}
	runtime.KeepAlive(c)
}

// TestFollowSlots: leases that change while a catalog is made ready, and slots
// that the bank has never seen.
func TestFollowSlots(t *testing.T) {
	t.Parallel()
	s, book := snapshottest.Make(1, 50), new(lease.Book)
	book.Slot(2).Store(new(lease.Lease))
	book.Slot(4).SetAside(true)
	book.Slot(6).Store(new(lease.Lease))
	book.Slot(6).SetAside(true)
	c, err := catalog.Compile(s, book)
	if err != nil {
		t.Fatal(err)
	}
	c.Tick(s.LineItems[49].StartsAt)
	c.Follow()
	f := func(id ad.ID, live, eligible bool) {
		t.Helper()
		from, _ := c.Index.RowsOf(place(c, id))
		if got := c.Live()[from>>6].Load()>>(from&63)&1 == 1; got != live {
			t.Errorf("line item %d: live %v, want %v", id, got, live)
		}
		if got := c.Eligible()[from>>6].Load()>>(from&63)&1 == 1; got != eligible {
			t.Errorf("line item %d: eligible %v, want %v", id, got, eligible)
		}
	}
	f(2, true, true)
	f(4, false, false)
	f(6, true, true)
	f(8, false, true)
	book.Slot(2).Store(nil)
	book.Slot(4).SetAside(false)
	c.FollowSlot(2)
	c.FollowSlot(4)
	c.FollowSlot(999)
	f(2, false, true)
	f(4, false, true)
}

func place(c *catalog.Catalog, id ad.ID) int {
	for i := range c.LineItems {
		if c.LineItems[i].ID == id {
			return i
		}
	}
	return -1
}

func stringStart(text string) *byte { return unsafe.StringData(text) }
