package refresh

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// corruption makes, from a generation that would be taken into use if it were
// whole, what the bucket shows instead: an object, a pointer, and where to put
// the object when it is not where the pointer says. It names the reasons that do.
type corruption struct {
	name  string
	wants []snapshot.Reason
	make  func(r *rand.Rand, s *snapshot.Snapshot) shown
}

type shown struct {
	object  []byte
	pointer []byte
	key     string // of the object; "": none is there
}

// honest shows an object with a pointer that agrees with it: only what is inside can give it away.
func honest(s *snapshot.Snapshot, object []byte) shown {
	p := snapshot.PointTo(s, object)
	return shown{object, p.JSON(), p.Key}
}

// instead shows an object where the pointer announces another.
func instead(s *snapshot.Snapshot, object []byte) shown {
	p := snapshot.PointTo(s, snapshot.Append(nil, s))
	return shown{object, p.JSON(), p.Key}
}

// flip flips one to three bits, so that the bytes are not the same any more.
func flip(r *rand.Rand, b []byte) []byte {
	changed := bytes.Clone(b)
	for bytes.Equal(changed, b) {
		for range 1 + r.IntN(3) {
			bit := r.IntN(len(b) * 8)
			changed[bit/8] ^= 1 << (bit % 8)
		}
	}
	return changed
}

func set32(b []byte, at int, v uint32) []byte {
	binary.LittleEndian.PutUint32(b[at:], v)
	return snapshottest.Seal(b)
}

var anyReason = []snapshot.Reason{snapshot.Truncated, snapshot.BadMagic, snapshot.BadVersion, snapshot.BadChecksum, snapshot.TooLarge, snapshot.BadContent}

var corruptions = []corruption{
	{"cut in the bucket", []snapshot.Reason{snapshot.Truncated}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		return instead(s, file[:r.IntN(len(file))])
	}},
	{"cut before it was published", []snapshot.Reason{snapshot.Truncated}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		return honest(s, file[:72+r.IntN(len(file)-72)])
	}},
	{"cut and sealed", []snapshot.Reason{snapshot.BadContent}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		return honest(s, snapshottest.Seal(file[:72+r.IntN(len(file)-72)]))
	}},
	{"bits flipped in the bucket", []snapshot.Reason{snapshot.BadChecksum}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		return instead(s, flip(r, snapshot.Append(nil, s)))
	}},
	{"bits flipped before it was published", anyReason, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		return honest(s, flip(r, snapshot.Append(nil, s)))
	}},
	{"bits of the pointer flipped", []snapshot.Reason{snapshot.BadPointer, snapshot.Older, snapshot.TooLarge, snapshot.Truncated, snapshot.BadChecksum},
		func(r *rand.Rand, s *snapshot.Snapshot) shown {
			sh := honest(s, snapshot.Append(nil, s))
			bit := r.IntN(len(sh.pointer) * 8)
			sh.pointer[bit/8] ^= 1 << (bit % 8)
			return sh
		}},
	{"magic", []snapshot.Reason{snapshot.BadMagic}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		file[r.IntN(8)] ^= byte(1 + r.IntN(255))
		return honest(s, snapshottest.Seal(file))
	}},
	{"version", []snapshot.Reason{snapshot.BadVersion}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		if r.IntN(2) == 0 {
			return honest(s, set32(snapshot.Append(nil, s), 8, uint32(r.IntN(snapshot.ReadMin))))
		}
		later := snapshot.Version + 1 + r.Uint32N(1000)
		return honest(s, set32(set32(snapshot.Append(nil, s), 8, later), 12, later))
	}},
	{"checksum", []snapshot.Reason{snapshot.BadChecksum}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		file[len(file)-1-r.IntN(32)] ^= byte(1 + r.IntN(255))
		return honest(s, file)
	}},
	{"lies about the structure", []snapshot.Reason{snapshot.BadContent}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		lies[r.IntN(len(lies))](r, s)
		return honest(s, snapshot.Append(nil, s))
	}},
	{"huge counts", []snapshot.Reason{snapshot.BadContent}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		at := 40
		for range r.IntN(8) {
			at += 9 + int(binary.LittleEndian.Uint64(file[at+1:]))
		}
		if r.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(file[at+1:], 1<<(20+r.Uint64N(44)))
		} else {
			copy(file[at+9:], []byte{0xff, 0xff, 0xff, 0xff, byte(r.IntN(0x80))})
		}
		return honest(s, snapshottest.Seal(file))
	}},
	{"older", []snapshot.Reason{snapshot.Older}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		old := snapshottest.Make(1+r.Uint64N(inUseGeneration-1), 40)
		return honest(old, snapshot.Append(nil, old))
	}},
	{"another of the same generation", []snapshot.Reason{snapshot.Older}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		same := snapshottest.Make(inUseGeneration, 41+r.IntN(9))
		return honest(same, snapshot.Append(nil, same))
	}},
	{"no object", []snapshot.Reason{snapshot.BadPointer}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		sh := honest(s, snapshot.Append(nil, s))
		sh.key = ""
		return sh
	}},
	{"pointer of another object", []snapshot.Reason{snapshot.BadPointer}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		other := snapshottest.Make(s.Generation+5, 40)
		file := snapshot.Append(nil, other)
		p := snapshot.PointTo(other, file)
		p.Generation = s.Generation
		if r.IntN(2) == 0 {
			p.Key = snapshot.Key(p.Generation, p.SHA256)
		}
		return shown{file, p.JSON(), p.Key}
	}},
	{"swapped while it was read", []snapshot.Reason{snapshot.BadChecksum, snapshot.Truncated, snapshot.BadPointer}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		return instead(s, snapshot.Append(nil, snapshottest.Make(s.Generation+1, 40+r.IntN(3))))
	}},
	{"size", []snapshot.Reason{snapshot.Truncated, snapshot.BadPointer, snapshot.TooLarge}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		file := snapshot.Append(nil, s)
		p := snapshot.PointTo(s, file)
		size := []int64{0, -1, p.Size - 1, p.Size + 1, p.Size / 2, p.Size * 2, 1 << 40, 1<<63 - 1}
		p.Size = size[r.IntN(len(size))]
		return shown{file, p.JSON(), p.Key}
	}},
	{"empty", []snapshot.Reason{snapshot.BadPointer, snapshot.Truncated}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		if r.IntN(2) == 0 {
			return honest(s, nil)
		}
		return instead(s, nil)
	}},
	{"shrunk", []snapshot.Reason{snapshot.Shrunk}, func(r *rand.Rand, s *snapshot.Snapshot) shown {
		small := snapshottest.Make(s.Generation, r.IntN(20))
		return honest(small, snapshot.Append(nil, small))
	}},
}

// lies are sealed with a true checksum.
var lies = []func(r *rand.Rand, s *snapshot.Snapshot){
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].Advertiser = 999_999 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Creatives[r.IntN(80)].LineItem = 999_999 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Placements[r.IntN(4)].Property = 999_999 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Advertisers = s.Advertisers[:3] },
	func(r *rand.Rand, s *snapshot.Snapshot) { i := r.IntN(39); s.LineItems[i].ID = s.LineItems[i+1].ID },
	func(r *rand.Rand, s *snapshot.Snapshot) { i := r.IntN(79); s.Creatives[i+1].ID = s.Creatives[i].ID },
	func(r *rand.Rand, s *snapshot.Snapshot) { slices.Reverse(s.LineItems) },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[0].ID = -ad.ID(r.IntN(5)) },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].Tier = ad.Tier(5 + r.IntN(250)) },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].Cost = -1 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].CostType = "cpv" },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].Weight = 0 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.LineItems[r.IntN(40)].Labels = []string{"b", "a"} },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.FX[r.IntN(2)].Value = -money.Micros(r.IntN(2)) },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.FX = nil }, // but floors in other currencies
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Rates.Conversion = 1_000_001 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Creatives[r.IntN(80)].Attributes = []uint8{64} },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Placements[r.IntN(4)].AuctionType = 0 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Creatives[r.IntN(80)].Format = "audio" },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Creatives[r.IntN(80)].Width = 0 },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Properties[r.IntN(4)].Kind = "tv" },
	func(r *rand.Rand, s *snapshot.Snapshot) {
		p := s.LineItems[1].Targeting
		p[r.IntN(len(p))] = uint32(s.Values.Len()) | r.Uint32() | 1<<31 // no length, head or number of this table
	},
	func(r *rand.Rand, s *snapshot.Snapshot) {
		p := s.LineItems[1].Targeting
		s.LineItems[1].Targeting = p[:1+r.IntN(len(p)-1)]
	},
	func(r *rand.Rand, s *snapshot.Snapshot) { // as packed, not in the order of the texts
		texts := make([]string, s.Values.Len())
		for i := range texts {
			texts[len(texts)-1-i] = s.Values.Text(uint32(i))
		}
		s.Values = rule.NewTable(texts)
	},
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Currency = "" },
	func(r *rand.Rand, s *snapshot.Snapshot) { s.Advertisers[r.IntN(4)].TimeZone = "" },
}

const inUseGeneration = 100

// A thousand corruptions through a real bucket, none of which may be loaded.
func TestCorruptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, snapshottest.Make(inUseGeneration, 40))
	w.poll(t, "")
	r := rand.New(rand.NewPCG(1, 2))
	tried, byReason := 0, map[snapshot.Reason]int64{}
	for ; tried < 1000; tried++ {
		c := corruptions[tried%len(corruptions)]
		s := snapshottest.Make(inUseGeneration+1+uint64(tried), 40)
		sh := c.make(r, s)
		if sh.key != "" {
			w.put(t, sh.key, sh.object)
		}
		w.put(t, snapshot.PointerKey, sh.pointer)
		got := reason(w.Poll(t.Context()))
		if !slices.Contains(c.wants, got) || w.Generation() != inUseGeneration || w.swaps.Load() != 1 {
			t.Fatalf("corruption %d (%s): refused as %q, want %v; generation %d after %d swaps",
				tried, c.name, got, c.wants, w.Generation(), w.swaps.Load())
		}
		byReason[got]++
		if sh.key != "" {
			if err := w.Bucket.Delete(t.Context(), sh.key); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, reason := range []snapshot.Reason{snapshot.Truncated, snapshot.BadMagic, snapshot.BadVersion, snapshot.BadChecksum,
		snapshot.BadPointer, snapshot.BadContent, snapshot.TooLarge, snapshot.Older, snapshot.Shrunk} {
		if byReason[reason] == 0 || byReason[reason] != w.Refused()[reason] {
			t.Errorf("%s: %d seen, %d counted", reason, byReason[reason], w.Refused()[reason])
		}
	}
	if n := len(cached(t, w.CacheDir)); n != 1 {
		t.Errorf("the cache holds %d files, want the good one", n)
	}
	t.Logf("refused: %v", byReason)
	t.Logf("figure snapshot.corruptions_tried %d files", tried)
	t.Logf("figure snapshot.corruptions_loaded %d files", w.swaps.Load()-1)
	// The same generations would have been loaded, had they been whole.
	w.publish(t, snapshottest.Make(inUseGeneration+1001, 40))
	w.poll(t, "")
	w.uses(t, inUseGeneration+1001)
}

// The pointer changes all the time, between bad objects, good ones that are gone
// when they are read, and whole ones. Whatever gets in is whole and newer.
func TestPointerSwappedMidDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var last uint64
	w.Swap = func(s *snapshot.Snapshot) error {
		if s.Generation <= last || !bytes.Equal(snapshot.Append(nil, s), snapshot.Append(nil, snapshottest.Make(s.Generation, 200))) {
			t.Errorf("generation %d after %d, or not as it was published", s.Generation, last)
		}
		last = s.Generation
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var publisher sync.WaitGroup
	publisher.Go(func() {
		defer cancel()
		for generation := uint64(1); generation <= 200; generation++ {
			s := snapshottest.Make(generation, 200)
			p := w.publish(t, s)
			file := filepath.Join(w.folder, filepath.FromSlash(p.Key))
			switch generation % 4 {
			case 1:
				_ = os.Truncate(file, p.Size/2) // while it is being read
			case 2:
				_ = os.Remove(file)
			case 3:
				// The lost word of a failing disk, under a pointer that is right.
				_ = os.WriteFile(file, make([]byte, p.Size), 0o600)
			}
		}
	})
	for ctx.Err() == nil {
		_ = w.Poll(t.Context())
	}
	publisher.Wait()
	_ = w.Poll(t.Context())
	w.uses(t, 200)
}
