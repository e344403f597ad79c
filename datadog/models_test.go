// Package datadog holds what Datadog is told about Hayate: metric descriptions, dashboards and monitors. Its
// test reads them with Datadog's own typed models, which know every field that the API takes.
package datadog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
)

// files returns the JSON files of a folder, and fails when there is none.
func files(t *testing.T, folder string, want int) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(found) < want {
		t.Fatalf("%s holds %q (%v), want at least %d", folder, found, err, want)
	}
	return found
}

func load(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, unknown := range strangers(reflect.ValueOf(into), filepath.Base(file), nil) {
		t.Error(unknown)
	}
}

// strangers walks a decoded model and lists what the model had no field for: the library keeps unknown
// keys in AdditionalProperties, and whole objects that fit no variant of a union in UnparsedObject.
func strangers(v reflect.Value, path string, found []string) []string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			found = strangers(v.Elem(), path, found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = strangers(v.Index(i), fmt.Sprintf("%s[%d]", path, i), found)
		}
	case reflect.Struct:
		if strings.HasPrefix(v.Type().Name(), "Nullable") && v.CanAddr() { // keeps its value where only Get reaches
			return strangers(v.Addr().MethodByName("Get").Call(nil)[0], path, found)
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch {
			case !field.IsExported():
			case (field.Name == "AdditionalProperties" || field.Name == "UnparsedObject") && !v.Field(i).IsZero():
				found = append(found, fmt.Sprintf("%s (%s): %s %v", path, v.Type().Name(), field.Name, v.Field(i).Interface()))
			case field.Name != "AdditionalProperties" && field.Name != "UnparsedObject":
				found = strangers(v.Field(i), path+"."+field.Name, found)
			}
		}
	}
	return found
}

func TestDashboards(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, "dashboards", 1) {
		var dashboard datadogV1.Dashboard
		load(t, file, &dashboard)
		if dashboard.Title == "" || len(dashboard.Widgets) == 0 || len(dashboard.TemplateVariables) == 0 {
			t.Errorf("%s: title %q, %d widgets, %d variables", file, dashboard.Title, len(dashboard.Widgets), len(dashboard.TemplateVariables))
		}
	}
}

var threshold = regexp.MustCompile(`> ([0-9.]+)$`)

func TestMonitors(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, "monitors", 5) {
		var monitor datadogV1.Monitor
		load(t, file, &monitor)
		critical := monitor.GetOptions().Thresholds.GetCritical()
		if match := threshold.FindStringSubmatch(monitor.Query); match == nil || match[1] != fmt.Sprint(critical) {
			t.Errorf("%s: the query ends with another threshold than %v: %s", file, critical, monitor.Query)
		}
		if !monitor.Type.IsValid() || monitor.GetName() == "" || !strings.Contains(monitor.Query, "by {env") {
			t.Errorf("%s: type %s, name %q, query %s", file, monitor.Type, monitor.GetName(), monitor.Query)
		}
	}
}

// Each monitor names its runbook, and each runbook has its monitor.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	const runbooks = "../docs/runbooks"
	for _, file := range files(t, "monitors", 5) {
		var monitor datadogV1.Monitor
		load(t, file, &monitor)
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !strings.HasSuffix(monitor.GetMessage(), "/docs/runbooks/"+name+".md") {
			t.Errorf("%s does not end with the address of its runbook", file)
		}
		text, err := os.ReadFile(filepath.Join(runbooks, name+".md"))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(text), "datadog/monitors/"+name+".json") {
			t.Errorf("runbook %s does not name its monitor", name)
		}
	}
	pages, err := filepath.Glob(runbooks + "/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d runbooks (%v)", len(pages), err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if _, err := os.Stat(filepath.Join("monitors", name+".json")); err != nil {
			t.Errorf("runbook %s has no monitor: %v", name, err)
		}
	}
}

// The walk finds what the models do not know, at any depth.
func TestStrangers(t *testing.T) {
	t.Parallel()
	f := func(text string, want int) {
		t.Helper()
		var dashboard datadogV1.Dashboard
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			t.Fatal(err)
		}
		if found := strangers(reflect.ValueOf(&dashboard), "dashboard", nil); len(found) != want {
			t.Errorf("%s: %q, want %d", text, found, want)
		}
	}
	f(`{"title":"t","layout_type":"ordered","widgets":[]}`, 0)
	f(`{"title":"t","layout_type":"ordered","widgets":[],"colour":"blue"}`, 1)
	f(`{"title":"t","layout_type":"sideways","widgets":[]}`, 1)
	f(`{"title":"t","layout_type":"ordered","widgets":[{"definition":{"type":"note","content":"c","size":7}}]}`, 1)
	f(`{"title":"t","layout_type":"ordered","widgets":[{"definition":{"type":"mystery"}}]}`, 1)
}
