package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// page is docs/lake.md.
func page(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "lake.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statement is one block of SQL for DuckDB in the page.
type statement struct {
	name string // what follows "sql duckdb"
	sql  string
}

func statements(t testing.TB) (found []statement) {
	t.Helper()
	const fence = "```sql duckdb"
	_, rest, _ := strings.Cut(page(t), fence)
	for rest != "" {
		block, after, closed := strings.Cut(rest, "\n```\n")
		name, sql, ok := strings.Cut(block, "\n")
		if !closed || !ok {
			t.Fatalf("a block that does not end: %.80s", block)
		}
		found = append(found, statement{strings.TrimSpace(name), sql})
		_, rest, _ = strings.Cut(after, fence)
	}
	if len(found) < 5 {
		t.Fatalf("the page has %d statements for DuckDB", len(found))
	}
	return found
}

// duckdb runs the page's statements in a bucket's folder, and then more. It
// returns the rows of each block that has a name, and of more by their place.
func duckdb(t testing.TB, folder string, more ...string) (named map[string][]map[string]any, others [][]map[string]any) {
	t.Helper()
	var all []string
	blocks := statements(t)
	for _, s := range blocks {
		all = append(all, s.sql)
	}
	input, err := json.Marshal(append(all, more...))
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "duckdb.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	c := exec.CommandContext(t.Context(), "node", script)
	c.Dir, c.Stdin, c.Stderr = folder, bytes.NewReader(input), &complaint
	output, err := c.Output()
	if err != nil {
		t.Fatalf("DuckDB (npm ci fetches it, Node 20 or newer runs it): %v\n%s", err, complaint.String())
	}
	var results [][]map[string]any
	if err := json.Unmarshal(output, &results); err != nil || len(results) != len(blocks)+len(more) {
		t.Fatalf("%d results of %d statements (%v)", len(results), len(blocks)+len(more), err)
	}
	named = map[string][]map[string]any{}
	for i, s := range blocks {
		if s.name != "" {
			named[s.name] = results[i]
		}
	}
	return named, results[len(blocks):]
}

// TestPageHasTheColumns compares the page's tables with what is written.
func TestPageHasTheColumns(t *testing.T) {
	t.Parallel()
	f := func(heading string, of *parquet.Schema) {
		t.Helper()
		var want []string
		for _, field := range of.Fields() {
			null := ""
			if field.Optional() {
				null = "yes"
			}
			want = append(want, fmt.Sprintf("`%s` | %s | %s", field.Name(), typeName(field), null))
		}
		_, section, ok := strings.Cut(page(t), "\n"+heading+"\n")
		if !ok {
			t.Fatalf("no section %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		var got []string
		for line := range strings.Lines(section) {
			cells := strings.Split(line, "|")
			if len(cells) != 6 || !strings.Contains(cells[1], "`") {
				continue
			}
			if strings.TrimSpace(cells[4]) == "" {
				t.Errorf("%s: no meaning of %s", heading, cells[1])
			}
			got = append(got, fmt.Sprintf("%s | %s | %s", strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-code +page):\n%s", heading, diff)
		}
	}
	f("## Columns of lake/events", parquet.SchemaOf(Event{}))
	f("## Columns of lake/requests", parquet.SchemaOf(RequestCount{}))
	for file, schema := range map[string]*parquet.Schema{
		"line_items": parquet.SchemaOf(LineItem{}), "creatives": parquet.SchemaOf(Creative{}), "placements": parquet.SchemaOf(Placement{}),
	} {
		_, row, _ := strings.Cut(page(t), "| `"+file+".parquet` |")
		row, _, _ = strings.Cut(row, "\n")
		for _, field := range schema.Fields() {
			if !strings.Contains(row, "`"+field.Name()+"`") {
				t.Errorf("%s.parquet has a column %s, which the page does not name", file, field.Name())
			}
		}
	}
}

// typeName is a column's type as the page writes it.
func typeName(field parquet.Field) string {
	logical := field.Type().LogicalType()
	if logical == nil {
		return strings.ToLower(field.Type().Kind().String())
	}
	switch of := logical.Value.(type) {
	case *format.DecimalType:
		return fmt.Sprintf("decimal(%d,%d)", of.Precision, of.Scale)
	case *format.TimestampType:
		return "timestamp(" + unit(of) + ")"
	case *format.StringType:
		return "string"
	}
	return strings.ToLower(field.Type().Kind().String())
}

func unit(of *format.TimestampType) string {
	name := fmt.Sprint(of.Unit.Value)
	switch of.Unit.Value.(type) {
	case *format.MilliSeconds:
		name = "ms"
	case *format.MicroSeconds:
		name = "us"
	}
	if of.IsAdjustedToUTC {
		return name + ", UTC"
	}
	return name + ", local"
}
