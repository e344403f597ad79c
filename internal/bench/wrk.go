package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// script makes wrk send the recorded requests in turn.
const script = `
local bodies = {}
for line in io.lines(os.getenv("BENCH_BODIES")) do bodies[#bodies + 1] = line end
local prepared, n = {}, 0
function init()
  for i, body in ipairs(bodies) do
    prepared[i] = wrk.format("POST", "/v1/decisions?n=" .. (i - 1), {["Content-Type"] = "application/json"}, body)
  end
end
function request()
  n = n % #prepared + 1
  return prepared[n]
end
`

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkBad      = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)`)
)

// load is what one run of wrk came to.
type load struct {
	rate  float64 // requests a second
	cpuUS float64 // server microseconds a request
}

// loadScript is one run of wrk: its Lua script, the variable that tells the
// script where its requests are, and the size of the load.
type loadScript struct {
	text, env   string
	connections int
	duration    time.Duration
}

// wrk loads a server with the recorded requests.
func (b *bench) wrk(ctx context.Context, s *server, connections int, duration time.Duration, bodies string) (load, error) {
	return b.drive(ctx, s, loadScript{script, "BENCH_BODIES=" + bodies, connections, duration})
}

// drive loads a server for a while and also reads the server's processor time.
func (b *bench) drive(ctx context.Context, s *server, l loadScript) (load, error) {
	lua := filepath.Join(b.dir, "requests.lua")
	if err := os.WriteFile(lua, []byte(l.text), 0o644); err != nil {
		return load{}, err
	}
	before, err := s.cpu()
	if err != nil {
		return load{}, err
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", loadCore, "wrk", "-t1", fmt.Sprintf("-c%d", l.connections),
		fmt.Sprintf("-d%ds", int(l.duration.Seconds())), "-s", lua, s.url)
	cmd.Env = append(os.Environ(), l.env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk (make deps installs it): %w\n%s", err, out)
	}
	after, err := s.cpu()
	if err != nil {
		return load{}, err
	}
	if bad := wrkBad.Find(out); bad != nil {
		return load{}, fmt.Errorf("wrk saw failures: %s", bad)
	}
	rate, requests := wrkRate.FindSubmatch(out), wrkRequests.FindSubmatch(out)
	if rate == nil || requests == nil {
		return load{}, fmt.Errorf("wrk printed no rate:\n%s", out)
	}
	perSecond, err1 := strconv.ParseFloat(string(rate[1]), 64)
	total, err2 := strconv.ParseFloat(string(requests[1]), 64)
	return load{rate: perSecond, cpuUS: float64((after - before).Microseconds()) / total}, errors.Join(err1, err2)
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
