//go:build !race

package delivery

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// What requests do for the reasons, a request that is sampled included.
func TestCountingReasonsAllocatesNothing(t *testing.T) {
	r := newReasons(nil)
	shard, on := r.shard(), items(7, 8, 9)
	losses := []auction.Loss{{Item: 0, Reason: auction.NoLease}, {Item: 2, Reason: auction.Outbid}}
	req := &auction.Request{Placements: []ad.ID{1, 2}}
	req.Query.AddText(rule.Country, "JP")
	req.Query.AddText(rule.Keyword, "topic=go")
	req.Query.AddText(rule.Keyword, "topic=rust")
	offered := 0
	allocs := testing.AllocsPerRun(1000, func() {
		shard.count(400_000, on, losses)
		r.sampler.armed.Store(offered%2 == 0)
		r.sampler.offer(on, req)
		if offered%2 == 0 {
			<-r.sampler.ready
		}
		offered++
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
	if got := r.sampler.req.Query.Plain(); len(got[rule.Keyword]) != 2 || len(r.sampler.req.Placements) != 2 {
		t.Errorf("the copy has %v and placements %v", got, r.sampler.req.Placements)
	}
}

func BenchmarkCountReasons(b *testing.B) {
	r := newReasons(nil)
	on := items(1, 2, 3, 4, 5, 6, 7, 8)
	losses := []auction.Loss{{Item: 0, Reason: auction.NoLease}, {Item: 3, Reason: auction.Outbid}, {Item: 7, Reason: auction.Excluded}}
	b.RunParallel(func(pb *testing.PB) {
		shard := r.shard()
		for pb.Next() {
			shard.count(400_000, on, losses)
		}
	})
	if n := r.asked(); n != int64(b.N) {
		b.Fatalf("%d requests counted of %d", n, b.N)
	}
}
