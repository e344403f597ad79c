package telemetry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOps(t *testing.T) {
	t.Parallel()
	var missing error
	ops := Ops("delivery", "7", Check{"log", func() error { return nil }}, Check{"snapshot", func() error { return missing }})
	f := func(path, from string, wantStatus int, want string) {
		t.Helper()
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.RemoteAddr = from
		answer := httptest.NewRecorder()
		ops.ServeHTTP(answer, request)
		if answer.Code != wantStatus || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s from %s: %d %.100q; want %d with %q", path, from, answer.Code, answer.Body.String(), wantStatus, want)
		}
	}
	const near, near6, far = "127.0.0.1:1", "[::1]:1", "192.0.2.1:1"
	f("/healthz", far, 200, "ok")
	f("/readyz", far, 200, "ready")
	f("/version", far, 200, `"version":"7"`)
	f("/debug/pprof/", near, 200, "goroutine")
	f("/debug/pprof/cmdline", near6, 200, "")
	f("/debug/pprof/", far, 404, "not found")
	f("/debug/pprof/heap", far, 404, "not found")
	f("/debug/pprof/cmdline", "", 404, "not found")
	f("/other", near, 404, "not found")
	missing = errors.New("none loaded yet")
	f("/readyz", far, 503, "snapshot: none loaded yet")
	f("/healthz", far, 200, "ok")
}

func TestVersionSaysSomething(t *testing.T) {
	t.Parallel()
	if Version() == "" {
		t.Error("an empty version")
	}
}
