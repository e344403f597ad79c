package delivery

import (
	"context"
	"strings"
	"testing"
)

func TestAsset(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t)
	c := memory(t, s)
	for range 2 { // from the bucket, then from memory
		got := do(t, c, "GET", base+"/assets/"+pngName()+".png", "")
		if got.Status != 200 || got.Body != pngBody || got.Header.Get("Content-Type") != "image/png" ||
			got.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%+v", got)
		}
	}
	for _, name := range []string{
		strings.Repeat("0", 64) + ".png", pngName() + ".gif", pngName() + ".svg", pngName(), pngName() + ".png.exe", strings.ToUpper(pngName()) + ".png",
		"../snapshots/latest.json", "..%2fsnapshots%2flatest.json", "x.png", "",
	} {
		if got := do(t, c, "GET", base+"/assets/"+name, ""); got.Status != 404 {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}

	ctx := context.Background()
	damaged, large := strings.Repeat("1", 64)+".jpg", strings.Repeat("2", 64)+".gif"
	for name, body := range map[string][]byte{damaged: []byte("other bytes"), large: make([]byte, maxAsset+1)} {
		if err := s.assets.bucket.WriteAll(ctx, "assets/"+name, body, nil); err != nil {
			t.Fatal(err)
		}
		if got := do(t, c, "GET", base+"/assets/"+name, ""); got.Status != 503 {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
}

// The least recently used go first, and the bound holds.
func TestAssetsBound(t *testing.T) {
	t.Parallel()
	a := newAssets(nil)
	name := func(i int) string { return strings.Repeat(string(rune('a'+i%6)), 1+i) }
	for i := range 40 {
		a.keep(&asset{name(i), make([]byte, maxAsset)})
		if a.cached(name(0)) == nil {
			t.Fatalf("the most recently used is gone after %d", i)
		}
	}
	if a.bytes > maxAssets || len(a.held) != maxAssets/maxAsset || a.order.Len() != len(a.held) {
		t.Errorf("%d bytes in %d of %d", a.bytes, len(a.held), a.order.Len())
	}
	if a.cached(name(1)) != nil || a.cached(name(39)) == nil {
		t.Error("the wrong ones were kept")
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	c := memory(t, newEmptyServer(t))
	got := do(t, c, "GET", base+"/tag.js", "")
	if got.Status != 200 || got.Body != string(tagSource) || got.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if again := do(t, c, "GET", base+"/tag.js", "", "If-None-Match: "+got.Header.Get("ETag")); again.Status != 304 || again.Body != "" {
		t.Errorf("again: %+v", again)
	}
	if head := do(t, c, "HEAD", base+"/tag.js", ""); head.Status != 200 || head.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %+v", head)
	}
}
