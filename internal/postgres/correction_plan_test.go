package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/event"
)

func TestAttribute(t *testing.T) {
	t.Parallel()
	type room = map[event.Day]int64
	whole := func(day event.Day, n int64) hourAmount { return hourAmount{day, day, n} }
	shared := func(day event.Day, n int64) hourAmount { return hourAmount{day, day + 1, n} }
	f := func(hours []hourAmount, left, want room, wantMissing int64) {
		t.Helper()
		got, missing := attribute(hours, left)
		if diff := cmp.Diff(want, got); diff != "" || missing != wantMissing {
			t.Errorf("%v in %v (missing %d, want %d): %s", hours, left, missing, wantMissing, diff)
		}
	}
	f(nil, room{1: 5}, room{}, 0)
	f([]hourAmount{whole(1, 3), whole(1, 2), whole(2, 1)}, room{1: 5, 2: 9}, room{1: 5, 2: 1}, 0)
	// The hour that two days share fills up the first of them.
	f([]hourAmount{shared(1, 10), whole(2, 1)}, room{1: 4, 2: 9}, room{1: 4, 2: 7}, 0)
	f([]hourAmount{whole(1, 4), shared(1, 10)}, room{1: 6, 2: 9}, room{1: 6, 2: 8}, 0)
	// Hours of one day have no choice, so they come first.
	f([]hourAmount{shared(1, 5), whole(2, 5)}, room{1: 5, 2: 5}, room{1: 5, 2: 5}, 0)
	f([]hourAmount{shared(1, 5), whole(1, 5)}, room{1: 5, 2: 5}, room{1: 5, 2: 5}, 0)
	// The lease was of the day before, or of the one after.
	f([]hourAmount{whole(2, 5)}, room{1: 5}, room{1: 5}, 0)
	f([]hourAmount{whole(2, 5)}, room{2: 3, 3: 9}, room{2: 3, 3: 2}, 0)
	f([]hourAmount{whole(2, 5)}, room{1: 1, 2: 1, 3: 1, 4: 1}, room{1: 1, 2: 1, 3: 1, 4: 1}, 1)
	f([]hourAmount{whole(2, 5)}, nil, room{}, 5)
}

// Whatever there is room for is booked, and no day takes more than its room.
func TestAttributeFindsAllRoom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.MapOf(rapid.Map(rapid.IntRange(0, 5), func(n int) event.Day { return event.Day(n) }), rapid.Int64Range(0, 20)).Draw(t, "room")
		hours := rapid.SliceOf(rapid.Custom(func(t *rapid.T) hourAmount {
			first := event.Day(rapid.IntRange(0, 5).Draw(t, "first"))
			return hourAmount{first, first + event.Day(rapid.IntRange(0, 1).Draw(t, "shared")), rapid.Int64Range(0, 20).Draw(t, "amount")}
		})).Draw(t, "hours")
		booked, missing := attribute(hours, room)
		var wanted, all, sum int64
		for _, h := range hours {
			wanted += h.amount
		}
		for day, n := range room {
			all += n
			if booked[day] > n {
				t.Fatalf("day %d has %d of %d", day, booked[day], n)
			}
			sum += booked[day]
		}
		if sum != min(wanted, all) || missing != wanted-sum {
			t.Fatalf("booked %d, missing %d of %d, room for %d", sum, missing, wanted, all)
		}
	})
}
