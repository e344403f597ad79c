package docs

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/rule"
)

// TestTargetingPage holds targeting.md to package rule: every dimension with an
// example that is accepted, expressions that can be booked, the limits in force.
func TestTargetingPage(t *testing.T) {
	t.Parallel()
	page := read(t, "targeting.md")

	var documented, known []string
	for _, cells := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		d, err := rule.ParseDimension(cells[1])
		if err == nil {
			err = d.Check(cells[2])
		}
		if err != nil {
			t.Errorf("%s: %v", cells[0], err)
		}
		documented = append(documented, cells[1])
	}
	for _, d := range rule.Dimensions() {
		known = append(known, d.String())
	}
	less := func(list []string) map[string]int {
		count := map[string]int{}
		for _, name := range list {
			count[name]++
		}
		return count
	}
	if diff := cmp.Diff(less(known), less(documented)); diff != "" {
		t.Errorf("dimensions (-code +page):\n%s", diff)
	}

	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page, -1)
	for _, block := range blocks {
		expr, err := rule.Parse([]byte(block[1]))
		if err == nil {
			_, err = rule.Normalise(expr)
		}
		if err != nil {
			t.Errorf("%s: %v", block[1], err)
		}
	}
	if len(blocks) == 0 {
		t.Error("no expression found")
	}

	var limits []int
	for _, cells := range regexp.MustCompile("(?m)^\\| [a-zA-Z ]+ \\| ([0-9,]+) \\| `[a-z_]+` \\|$").FindAllStringSubmatch(page, -1) {
		limit, err := strconv.Atoi(strings.ReplaceAll(cells[1], ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, limit)
	}
	want := []int{rule.MaxBytes, rule.MaxDepth, rule.MaxNodes, rule.MaxValues, rule.MaxAllValues, rule.MaxConjunctions, rule.MaxTerms, rule.MaxRuleValues}
	if diff := cmp.Diff(want, limits); diff != "" {
		t.Errorf("limits (-code +page):\n%s", diff)
	}
}
