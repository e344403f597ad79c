package assets

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMissingBundleIsNamed(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"console.js": {Data: []byte("x")}})
	if !errors.Is(err, ErrMissing) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "console.css") {
		t.Errorf("load = %v, want one line about console.css", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := load(fstest.MapFS{"console.js": {Data: []byte("let a = 1")}, "console.css": {Data: []byte("a{}")}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(path, encoding string, status int, cache string) {
		t.Helper()
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", encoding)
		files.ServeHTTP(w, r)
		if w.Code != status || !strings.Contains(w.Header().Get("Cache-Control"), cache) {
			t.Errorf("GET %s = %d, %q; want %d, %q", path, w.Code, w.Header().Get("Cache-Control"), status, cache)
		}
	}
	f(files.URL("console.js"), "gzip", 200, "immutable")
	f(files.URL("logo.svg"), "", 200, "immutable")
	f("/static/console.css", "", 200, "no-cache")
	f("/static/console.css?v=old", "", 200, "no-cache")
	f("/static/.gitkeep", "", 404, "")
	f("/static/../assets.go", "", 404, "")
	f("/static/x/console.js", "", 404, "")
}
