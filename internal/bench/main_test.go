package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Names are how people find a figure again: each stands once, and ONLY finds it.
func TestFigureNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range figures {
		for _, name := range f.names {
			if seen[name] {
				t.Errorf("%s is measured twice", name)
			}
			seen[name] = true
			if !(&bench{only: name}).wanted(f.names...) || (&bench{only: name + "x"}).wanted(name) {
				t.Errorf("ONLY=%s does not select it", name)
			}
		}
	}
	for _, name := range []string{"target.publisher_best.1m", "catalog.compile_1m_seconds", "decisions.rps_ratio.100k", "decisions.p999_ratio_swapping.100k", "track.rps_ratio", "settle.events_per_second", "settle.events_per_second.ungrouped", "settle.report_p99_seconds"} {
		if !seen[name] {
			t.Errorf("%s, which is promised, is not measured", name)
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bench{only: "a.", out: &out}
	b.print("a.b", 1234.5678, "us")
	b.print("b.a", 1, "us")
	if got := out.String(); got != "a.b 1235 us\n" {
		t.Errorf("printed %q", got)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	values := []float64{9, 1, 5}
	if got := median(values); got != 5 {
		t.Errorf("median %v", got)
	}
}

func TestStepBackNeedsAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := stepBack(dir); !os.IsNotExist(err) {
		t.Errorf("without a server: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte("soon\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := stepBack(dir); err == nil || !strings.Contains(err.Error(), "postmaster.pid") {
		t.Errorf("with a file that names no process: %v", err)
	}
}
