package target_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/rule"
)

// TestMissingDataIncludesNothing spells out the rule that privacy rests on.
func TestMissingDataIncludesNothing(t *testing.T) {
	t.Parallel()
	for _, d := range rule.Dimensions() {
		for _, exclude := range []bool{false, true} {
			value := named(d)[0]
			if d == rule.HourOfWeek {
				value = "0"
			}
			term := rule.Term{Dimension: d, Exclude: exclude, Values: []string{value}}
			one := item{rule: rule.Rule{Conjunctions: []rule.Conjunction{{term}}}, shapes: []uint16{0}}
			ix := index(t, []item{one}, []*time.Location{time.UTC})
			var scan target.Scan
			for _, plan := range plans {
				scan.Force(plan)
				scan.Prepare(ix, &target.Query{})
				scan.Start(ix.Supply(target.Slot{Shapes: []uint16{0}}), ix.All())
				if found := scan.Next() >= 0; found != exclude {
					t.Errorf("%v, exclude %v: found %v", d, exclude, found)
				}
			}
		}
	}
}

func TestHourOfWeek(t *testing.T) {
	t.Parallel()
	f := func(zone, at string, want int) {
		t.Helper()
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.HourOfWeek(now, location); got != want {
			t.Errorf("%s in %s: hour %d, want %d", at, zone, got, want)
		}
		// The same by an index: open in that hour, closed in the one before.
		hour := func(h int) item {
			term := rule.Term{Dimension: rule.HourOfWeek, Values: []string{fmt.Sprint((h + 168) % 168)}}
			return item{rule: rule.Rule{Conjunctions: []rule.Conjunction{{term}}}, shapes: []uint16{0}}
		}
		ix := index(t, []item{hour(want - 1), hour(want)}, []*time.Location{location})
		var scan target.Scan
		scan.Prepare(ix, &target.Query{Hours: ix.HoursAt(now)})
		scan.Start(ix.Supply(target.Slot{Shapes: []uint16{0}}), ix.All())
		if got := itemsOf(ix, collect(&scan)); len(got) != 1 || got[0] != 1 {
			t.Errorf("%s in %s: items %v are open, want the second", at, zone, got)
		}
	}
	f("UTC", "2026-11-16T00:00:00Z", 0) // a Monday
	f("UTC", "2026-11-22T23:59:59Z", 167)
	f("Asia/Tokyo", "2026-11-15T15:00:00Z", 0)
	f("Asia/Kolkata", "2026-11-15T18:29:59Z", 167)
	f("Asia/Kolkata", "2026-11-15T18:30:00Z", 0)
	// New York: 01:30 comes twice on 2026-11-01, 02:30 not at all on 2026-03-08.
	f("America/New_York", "2026-11-01T05:30:00Z", 145)
	f("America/New_York", "2026-11-01T06:30:00Z", 145)
	f("America/New_York", "2026-11-01T07:30:00Z", 146)
	f("America/New_York", "2026-03-08T06:30:00Z", 145)
	f("America/New_York", "2026-03-08T07:30:00Z", 147)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, terms ...rule.Term) {
		t.Helper()
		table := new(rule.Table)
		packed := table.Pack(rule.Rule{Conjunctions: []rule.Conjunction{terms}})
		_, err := target.New([]target.Item{{Rule: packed}}, table, nil)
		if fmt.Sprint(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	f(`targeting index: rule of item 0: dimension 99 is not indexed`, rule.Term{Dimension: 99, Values: []string{"x"}})
	f(`targeting index: rule of item 0: two including terms on dimension 3 in one conjunction`,
		rule.Term{Dimension: rule.Country, Values: []string{"JP"}}, rule.Term{Dimension: rule.Country, Values: []string{"US"}})
	f(`targeting index: rule of item 0: there is no time zone 0`, rule.Term{Dimension: rule.HourOfWeek, Values: []string{"1"}})
}

// TestScanAllocatesNothing after the first requests have made its room.
func TestScanAllocatesNothing(t *testing.T) {
	for _, m := range mixes {
		trial := newTrial(t, 3, m.mix, 20_000)
		var scan target.Scan
		found := make([]uint32, 0, 20_000)
		ask := func(i int) {
			trial.Best(&scan, i)
			trial.Value(&scan, i)
			found = trial.All(&scan, i, found[:0])
		}
		for i := range trial.Asked {
			ask(i)
		}
		i := 0
		if n := testing.AllocsPerRun(len(trial.Asked), func() { ask(i % len(trial.Asked)); i++ }); n != 0 {
			t.Errorf("%s: %v allocations a request", m.name, n)
		}
	}
}

// TestMaskChangesWhileScanning: what is never live is never found, what stays
// live always is, whatever happens to the rest meanwhile.
func TestMaskChangesWhileScanning(t *testing.T) {
	t.Parallel()
	trial := newTrial(t, 5, workload.Network, 5_000)
	ix, mask := trial.Index, trial.Every
	stop := make(chan struct{})
	var changing, scanning sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i = (i + 3) % (trial.Index.Rows() - 8) {
			select {
			case <-stop:
				return
			default:
			}
			item := i % 5_000 / 3 * 3 // every third flickers
			from, to := ix.RowsOf(item)
			mask.Set(from, to, i%2 == 0)
		}
	})
	for range 2 {
		scanning.Go(func() {
			var scan target.Scan
			for i := range trial.Asked[:200] {
				var want, got []int
				for _, place := range trial.Yardstick.All(trial.Asked[i].Clone(), nil) {
					if place%3 != 0 {
						want = append(want, int(place))
					}
				}
				for _, place := range trial.All(&scan, i, nil) {
					if place%3 != 0 {
						got = append(got, int(place))
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("request %d: found %v, want %v", i, got, want)
				}
			}
		})
	}
	scanning.Wait()
	close(stop)
	changing.Wait()
}

// TestSeekAcrossPlacements walks long postings back and forth, for two placements
// with the same prepared query: nothing of one may be left over for the other.
func TestSeekAcrossPlacements(t *testing.T) {
	t.Parallel()
	for _, m := range mixes {
		trial := newTrial(t, 11, m.mix, 30_000)
		ix := trial.Index
		for _, plan := range plans {
			var walking, fresh target.Scan
			walking.Force(plan)
			fresh.Force(target.PlainPlan)
			for i := range 60 {
				walking.Prepare(ix, &trial.Queries[i])
				nowhere := ix.Supply(target.Slot{Shapes: []uint16{0}})
				for _, supply := range []*target.Supply{trial.Supplies[i], nowhere, trial.Supplies[i+1]} {
					fresh.Prepare(ix, &trial.Queries[i])
					fresh.Start(supply, trial.Every)
					all := collect(&fresh)
					walking.Start(supply, trial.Every)
					for step := range 8 {
						item := (step*7919 + i*104729) % 30_000
						row, _ := ix.RowsOf(item)
						want := -1
						for _, found := range all {
							if ix.Item(found) >= item {
								want = found
								break
							}
						}
						walking.Seek(row)
						if got := walking.Next(); got != want {
							t.Fatalf("%s, plan %d, request %d: row %d after seeking item %d, want %d", m.name, plan, i, got, item, want)
						}
					}
				}
			}
		}
	}
}
