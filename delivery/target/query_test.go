package target

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/rule"
)

// A query keeps what it copied while its buffer grows, and refers to the rest;
// a copy of it shares nothing with either.
func TestQueryMemory(t *testing.T) {
	t.Parallel()
	segments := [][]byte{[]byte("vip"), nil, []byte("acme/4711")}
	word := []byte("topic=tea")
	var from, to Query
	to.AddText(rule.OS, "forgotten")
	for range 100 {
		from.Add(rule.Keyword, word)
	}
	from.AddRefs(rule.Segment, segments)
	from.AddRef(rule.Segment, word)
	from.AddRef(rule.City, nil)
	from.AddText(rule.Country, "JP")
	to.CopyFrom(&from)
	want := from.Plain()
	if diff := cmp.Diff([]string{"vip", "acme/4711", "topic=tea"}, want[rule.Segment]); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if n := len(want[rule.Keyword]); n != 100 || want[rule.City] != nil || want[rule.Keyword][0] != "topic=tea" {
		t.Errorf("%d keywords in %v", n, want)
	}
	if diff := cmp.Diff(want, to.Plain()); diff != "" {
		t.Error("a copy: (-want +got)", diff)
	}

	copy(segments[0], "xxx")
	copy(word, "overwritten")
	if got := from.Plain(); got[rule.Segment][0] != "xxx" || got[rule.Keyword][99] != "topic=tea" {
		t.Errorf("what is copied and what is referred to: %v", got)
	}
	from.Reset()
	from.AddText(rule.Country, "US")
	if diff := cmp.Diff(want, to.Plain()); diff != "" {
		t.Error("a copy, later: (-want +got)", diff)
	}
	if diff := cmp.Diff(rule.Request{rule.Country: {"US"}}, from.Plain()); diff != "" {
		t.Error("after Reset: (-want +got)", diff)
	}
	if got := string(to.Value(rule.Country)); got != "JP" {
		t.Errorf("the copy's country is %q", got)
	}
}
