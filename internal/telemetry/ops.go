package telemetry

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/debug"
)

// A Check is one condition for taking traffic. Ready returns nil, or what is missing; it is asked on
// every probe, so it only looks at what the process knows already.
type Check struct {
	Name  string
	Ready func() error
}

// Ops serves what a cluster and its operators ask a process: /healthz (the process lives, whatever
// else), /readyz (200 when all checks pass, else 503 with a line for each that does not), /version, and
// /debug/pprof/ for callers on this machine only. Services add their own paths to the result. It
// belongs on a port of its own, not the public one.
func Ops(service, version string, checks ...Check) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerReady(w, checks) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"service": service, "version": version, "go": runtime.Version(),
		})
	})
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/":        pprof.Index,
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
	} {
		mux.Handle(path, loopbackOnly(handler))
	}
	return mux
}

func answerReady(w http.ResponseWriter, checks []Check) {
	var missing []string
	for _, check := range checks {
		if err := check.Ready(); err != nil {
			missing = append(missing, check.Name+": "+err.Error())
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if missing == nil {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, line := range missing {
		fmt.Fprintln(w, line)
	}
}

// loopbackOnly hides a handler from other machines: profiles show memory, and cost CPU time.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Version is this binary's version: the module's when it was installed as one, else the revision it
// was built from, else "devel".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
