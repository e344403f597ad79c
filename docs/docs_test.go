// Package docs has no code: this test keeps the pages true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/admin"
	"github.com/hayate-ads/hayate/batch"
	"github.com/hayate-ads/hayate/delivery"
)

// libraries read these themselves; no line of ours names them.
var libraries = map[string]string{"DD_DOGSTATSD_PORT": "8125", "DD_ENTITY_ID": ""}

// TestEveryVariableIsDocumented holds the tables of configuration.md to the
// settings there are, with their defaults, in both directions.
func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	documented := variables(t, "configuration.md")
	f := func(section string, want map[string]string) {
		t.Helper()
		if len(want) == 0 {
			t.Fatalf("%s: no variable found in the code", section)
		}
		if diff := cmp.Diff(want, documented[section]); diff != "" {
			t.Errorf("configuration.md, section %s (-code +page):\n%s", section, diff)
		}
		delete(documented, section)
	}
	f("delivery", ofStruct(reflect.TypeFor[delivery.Config](), ""))
	f("batch", ofStruct(reflect.TypeFor[batch.Config](), ""))
	f("admin", ofStruct(reflect.TypeFor[admin.Config](), ""))
	f("standalone", ofSource(t, "../cmd/standalone/main.go"))

	// What is read without a struct has its default in the code that reads it.
	want := slices.Concat(readDirectly(t), slices.Collect(maps.Keys(libraries)))
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), slices.Sorted(maps.Keys(documented["All programs"]))); diff != "" {
		t.Errorf("configuration.md, section All programs (-code +page):\n%s", diff)
	}
	delete(documented, "All programs")
	for section, names := range documented {
		t.Errorf("configuration.md, section %s: no program reads %v", section, slices.Sorted(maps.Keys(names)))
	}
}

// ofStruct walks the tags by which kong reads the environment.
func ofStruct(config reflect.Type, prefix string) map[string]string {
	found := map[string]string{}
	for i := range config.NumField() {
		field := config.Field(i)
		if _, embedded := field.Tag.Lookup("embed"); embedded {
			maps.Copy(found, ofStruct(field.Type, prefix+field.Tag.Get("envprefix")))
		} else if name := field.Tag.Get("env"); name != "" {
			found[prefix+name] = field.Tag.Get("default")
		}
	}
	return found
}

// ofSource does the same for a struct of package main, which cannot be imported.
func ofSource(t *testing.T, file string) map[string]string {
	t.Helper()
	found := map[string]string{}
	ast.Inspect(parse(t, file), func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		text, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		if tag := reflect.StructTag(text); tag.Get("env") != "" {
			found[tag.Get("env")] = tag.Get("default")
		}
		return true
	})
	return found
}

// notOurs are set by the system or by make, and no settings.
var notOurs = []string{"HOME", "ONLY", "PATH", "SEED", "TMPDIR"}

// readDirectly lists what programs ask os.Getenv for, and Datadog's tags, whose
// names stand in tables.
func readDirectly(t *testing.T) (names []string) {
	t.Helper()
	datadog := regexp.MustCompile(`^DD_[A-Z_]+$`)
	for _, file := range sources(t, func(path string) bool { return !strings.HasSuffix(path, "_test.go") }) {
		ast.Inspect(parse(t, file), func(n ast.Node) bool {
			if text, ok := literal(n); ok && datadog.MatchString(text) {
				names = append(names, text)
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			if called, ok := call.Fun.(*ast.SelectorExpr); ok && (called.Sel.Name == "Getenv" || called.Sel.Name == "LookupEnv") {
				if name, ok := literal(call.Args[0]); ok && !slices.Contains(notOurs, name) {
					names = append(names, name)
				}
			}
			return true
		})
	}
	return names
}

func literal(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// sources lists the Go files that wanted accepts; an empty list is an error.
func sources(t *testing.T, wanted func(path string) bool) (files []string) {
	t.Helper()
	for _, root := range []string{"admin", "batch", "cmd", "delivery", "internal"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".go") && wanted(path) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		t.Fatal("no source file found")
	}
	return files
}

// row is a line of a table whose first cell is a variable: its name and default.
var row = regexp.MustCompile("^\\| `([A-Z][A-Z0-9_]+)` \\| (?:`([^`]*)`|–) \\| [^|]*\\S[^|]* \\|$")

// variables reads the tables of a page, by section.
func variables(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	section := ""
	for _, line := range strings.Split(read(t, file), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "| `") || section == "The bucket" {
			continue
		}
		cells := row.FindStringSubmatch(line)
		if cells == nil {
			t.Errorf("%s: not a variable, a default and a meaning: %s", file, line)
			continue
		}
		if found[section] == nil {
			found[section] = map[string]string{}
		}
		if _, twice := found[section][cells[1]]; twice {
			t.Errorf("%s, section %s: %s stands there twice", file, section, cells[1])
		}
		found[section][cells[1]] = cells[2]
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
