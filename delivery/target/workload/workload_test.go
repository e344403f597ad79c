package workload_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/rule"
)

func TestSameSeedSameWorkload(t *testing.T) {
	t.Parallel()
	for _, mix := range []workload.Mix{workload.Network, workload.Publisher} {
		if !reflect.DeepEqual(workload.LineItems(3, mix, 300), workload.LineItems(3, mix, 300)) {
			t.Errorf("mix %d: line items differ", mix)
		}
		if !reflect.DeepEqual(workload.Requests(3, mix, 300), workload.Requests(3, mix, 300)) {
			t.Errorf("mix %d: requests differ", mix)
		}
		if reflect.DeepEqual(workload.LineItems(3, mix, 300), workload.LineItems(4, mix, 300)) {
			t.Errorf("mix %d: another seed makes the same line items", mix)
		}
	}
}

// TestShares compares with the table that the workload is defined by.
func TestShares(t *testing.T) {
	t.Parallel()
	const n = 5_000
	type side struct {
		rule.Dimension
		Exclude bool
	}
	f := func(mix workload.Mix, want map[side]float64) {
		t.Helper()
		got := make(map[side]float64)
		live := 0.0
		for _, item := range workload.LineItems(1, mix, n) {
			for _, term := range item.Rule.Conjunctions[0] {
				got[side{term.Dimension, term.Exclude}] += 1.0 / n
			}
			if item.Live {
				live += 1.0 / n
			}
		}
		want[side{}], got[side{}] = 0.7, live
		for s, share := range want {
			if math.Abs(got[s]-share) > 0.025 {
				t.Errorf("mix %d: %.3f of line items constrain %v (exclude %v), want %.3f", mix, got[s], s.Dimension, s.Exclude, share)
			}
		}
		if len(got) != len(want) {
			t.Errorf("mix %d: dimensions %v, want %v", mix, got, want)
		}
	}
	common := func() map[side]float64 {
		return map[side]float64{
			{rule.Country, false}: 0.7, {rule.DeviceType, false}: 0.4, {rule.OS, false}: 0.2,
			{rule.Keyword, false}: 0.1, {rule.HourOfWeek, false}: 0.15, {rule.Region, false}: 0.1, {rule.Browser, false}: 0.1,
			{rule.Language, false}: 0.1, {rule.Category, false}: 0.2, {rule.Segment, false}: 0.3,
		}
	}
	network, publisher := common(), common()
	network[side{rule.Property, false}], network[side{rule.Property, true}] = 0.1, 0.1
	publisher[side{rule.Property, false}], publisher[side{rule.Segment, false}] = 0.97, 0.97*0.3+0.03
	f(workload.Network, network)
	f(workload.Publisher, publisher)
}
