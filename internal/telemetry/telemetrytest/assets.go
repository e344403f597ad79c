package telemetrytest

import (
	"bytes"
	"encoding/csv"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

var metricName = regexp.MustCompile(`\bhayate(\.[a-z0-9_]+)+\b`)

// Used lists the metrics that the dashboards and monitors in folder, the repository's datadog/, speak of.
func Used(t testing.TB, folder string) []string {
	t.Helper()
	used := make(map[string]bool)
	for _, pattern := range []string{"dashboards/*.json", "monitors/*.json"} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s in %s (%v)", pattern, folder, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range metricName.FindAllString(string(text), -1) {
				used[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// Metadata is the registry as datadog/metadata.csv, in the columns of Datadog's own integrations.
func Metadata() []byte {
	rows := [][]string{{
		"metric_name", "metric_type", "interval", "unit_name", "per_unit_name", "description",
		"orientation", "integration", "short_name", "curated_metric", "sample_tags",
	}}
	for _, m := range telemetry.Metrics() {
		short := strings.ReplaceAll(strings.TrimPrefix(m.Name, "hayate."), ".", " ")
		rows = append(rows, []string{
			m.Name, m.Type, "", m.Unit, "", m.Description, "0", "hayate", short, "", strings.Join(m.Tags, ","),
		})
	}
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		panic(err) // a buffer takes everything
	}
	return text.Bytes()
}
