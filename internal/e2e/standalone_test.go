//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/telemetry"
	"github.com/hayate-ads/hayate/internal/telemetry/telemetrytest"
)

// installation is what `make run` starts, on ports of its own.
type installation struct {
	dir string
	env []string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	// Not t.TempDir: the database's user must be able to reach its folder.
	dir, err := os.MkdirTemp("", "hayate-standalone-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	i := &installation{dir: filepath.Join(dir, "var")}
	i.env = []string{"STATE_DIR=" + i.dir}
	for _, name := range []string{"LISTEN", "OPS_LISTEN", "DEMO_LISTEN", "ADMIN_LISTEN"} {
		i.env = append(i.env, fmt.Sprintf("%s=127.0.0.1:%d", name, freePort(t)))
	}
	return i
}

// start starts it and waits for standalone.env, whose content it returns.
func (i *installation) start(t *testing.T) (*process, map[string]string) {
	t.Helper()
	p := start(t, "standalone", i.env)
	settings := map[string]string{}
	until(t, 60*time.Second, "standalone.env", func(context.Context) error {
		text, err := os.ReadFile(i.file())
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			settings[name] = value
		}
		return nil
	})
	return p, settings
}

func (i *installation) file() string { return filepath.Join(i.dir, "standalone.env") }

// A browser sees an ad, clicks it, and finds impressions, click and spend in the
// console's report within two minutes.
func TestBrowser(t *testing.T) {
	i := newInstallation(t)
	i.start(t)
	script := exec.CommandContext(t.Context(), "node", "internal/e2e/browser/circle.mjs", i.file())
	script.Dir = root
	var stderr strings.Builder
	script.Stderr = &stderr
	out, err := script.Output()
	if err != nil {
		t.Fatalf("the browser's way: %v\n%s", err, stderr.String())
	}
	var saw struct {
		Drawn, Impressions int
		Landed             string
		Seconds            float64
		Errors, Violations []string
		Total              struct {
			Impressions, Clicks int
			Spend               string
		}
	}
	must(t, json.Unmarshal(out, &saw))
	t.Logf("%s", out)
	if saw.Drawn != 728 || !strings.Contains(saw.Landed, "/landing/") {
		t.Errorf("the picture is %d pixels wide, the click landed at %s", saw.Drawn, saw.Landed)
	}
	if saw.Impressions < 1 || saw.Total.Impressions != saw.Impressions || saw.Total.Clicks != 1 {
		t.Errorf("the page saw %d impressions and 1 click acknowledged, the report says %+v", saw.Impressions, saw.Total)
	}
	if spend, err := money.Parse(saw.Total.Spend); err != nil || spend <= 0 {
		t.Errorf("spend %q (%v)", saw.Total.Spend, err)
	}
	if saw.Seconds > 120 {
		t.Errorf("the report took %.0f s", saw.Seconds)
	}
	if len(saw.Errors)+len(saw.Violations) > 0 {
		t.Errorf("script errors %q, accessibility violations %q", saw.Errors, saw.Violations)
	}
}

// Ctrl-C ends it within 10 s and takes standalone.env away; the next start goes on
// with the same data, and a second one beside it says who is in the way.
func TestStandaloneStopsAndGoesOn(t *testing.T) {
	i := newInstallation(t)
	agent := telemetrytest.Start(t)
	i.env = append(i.env, "DD_DOGSTATSD_URL="+agent.URL())
	p, first := i.start(t)
	for _, name := range strings.Fields("DELIVERY_URL OPS_URL ADMIN_URL DATABASE_URL BUCKET_URL ADMIN_EMAIL ADMIN_PASSWORD API_TOKEN DEMO_URL PLACEMENT_BANNER PLACEMENT_NATIVE PLACEMENT_VIDEO") {
		if first[name] == "" {
			t.Errorf("standalone.env has no %s", name)
		}
	}
	for _, url := range []string{first["DELIVERY_URL"] + "/tag.js", first["OPS_URL"] + "/readyz", first["ADMIN_URL"] + "/readyz", first["DEMO_URL"] + "/", first["ADMIN_URL"] + "/api/openapi.json"} {
		until(t, time.Second, url, answers200(url))
	}
	second := start(t, "standalone", i.env)
	if code := second.wait(t, 20*time.Second); code != 1 || !strings.Contains(second.log.String(), "another process") {
		t.Errorf("a second start on the same folder: exit code %d, printed %s", code, second.log)
	}
	names := i.api(t, first, "/api/v1/advertisers")
	agent.Await(t, 10*time.Second, string(telemetry.AdminRequests), string(telemetry.AdminLatency), string(telemetry.JobSuccessAge))
	agent.Verify(t)
	began := time.Now()
	if code := p.stop(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	t.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
	if _, err := os.Stat(i.file()); !os.IsNotExist(err) {
		t.Errorf("standalone.env is still there after the stop: %v", err)
	}
	_, again := i.start(t)
	if again["API_TOKEN"] != first["API_TOKEN"] || again["PLACEMENT_BANNER"] != first["PLACEMENT_BANNER"] {
		t.Error("the second start has other credentials or placements")
	}
	if now := i.api(t, again, "/api/v1/advertisers"); now != names || now == "" {
		t.Errorf("advertisers before %s, after %s", names, now)
	}
}

// api reads a path of the REST API.
func (i *installation) api(t *testing.T, settings map[string]string, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, settings["ADMIN_URL"]+path, nil)
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+settings["API_TOKEN"])
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	var list struct{ Items []json.RawMessage }
	must(t, json.NewDecoder(response.Body).Decode(&list))
	if response.StatusCode != http.StatusOK || len(list.Items) == 0 {
		t.Fatalf("GET %s: %s, %d items", path, response.Status, len(list.Items))
	}
	var names []string
	for _, item := range list.Items {
		var named struct{ Name string }
		must(t, json.Unmarshal(item, &named))
		names = append(names, named.Name)
	}
	return strings.Join(names, ", ")
}
