package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

// measured counts requests and their times by part of the console. Parts and
// statuses are closed lists; paths, which hold ids, are no tags.
func measured(metrics *telemetry.Client, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, answer := time.Now(), &answered{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		route := "route:" + part(r.URL.Path)
		metrics.Count(telemetry.AdminRequests, 1, route, "status:"+strconv.Itoa(answer.status/100)+"xx")
		metrics.Distribution(telemetry.AdminLatency, time.Since(start).Seconds(), route)
	})
}

// part is the part of the console that a path belongs to.
func part(path string) string {
	switch {
	case strings.HasPrefix(path, "/api/"):
		return "api"
	case strings.HasPrefix(path, "/static/"):
		return "assets"
	case path == "/healthz" || path == "/readyz":
		return "health"
	}
	return "pages"
}

// answered remembers an answer's status.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
