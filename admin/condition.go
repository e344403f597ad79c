package admin

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// A condition is one line of the targeting form: what the form has no field of
// its own for. "region: JP-13; JP-14" asks for one of them, "not domain:
// news.example" for none of them; all lines must hold, so that several lines of
// one dimension ask for all.

const (
	conditionNot   = "not "
	conditionComma = ";" // which no value but a keyword or a segment may hold
)

// conditions reads the lines, with what is wrong about them by line.
func (p *parser) conditions(field, text string) (all []rule.Expr) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		e, wrong := condition(line)
		if wrong != "" {
			p.fail(field, ad.BadSyntax, fmt.Sprintf("line %d: %s", number, clip(wrong, 200)))
			return nil
		}
		all = append(all, e)
	}
	return all
}

func condition(line string) (e rule.Expr, wrong string) {
	rest, not := strings.CutPrefix(line, conditionNot)
	name, list, found := strings.Cut(rest, ":")
	if !found {
		return e, "has to be a dimension, a colon and values, such as region: JP-13; JP-14"
	}
	dimension, err := rule.ParseDimension(strings.TrimSpace(name))
	if err != nil {
		return e, err.Error()
	}
	predicate := &rule.Predicate{Dimension: dimension}
	for value := range strings.SplitSeq(list, conditionComma) {
		if value = strings.TrimSpace(value); value != "" {
			predicate.Values = append(predicate.Values, value)
		}
	}
	e = rule.Expr{Is: predicate}
	if err := e.Validate(); err != nil {
		return e, strings.TrimPrefix(err.Error(), "rule: ")
	}
	if not {
		e = rule.Expr{Not: &rule.Expr{Is: predicate}}
	}
	return e, ""
}

// conditionLine is the inverse of condition; it is false when a line cannot say
// what the expression does.
func conditionLine(e rule.Expr) (string, bool) {
	prefix := ""
	if e.Not != nil {
		e, prefix = *e.Not, conditionNot
	}
	if e.Is == nil {
		return "", false
	}
	for _, value := range e.Is.Values {
		if strings.Contains(value, conditionComma) || strings.ContainsAny(value, "\r\n") || strings.TrimSpace(value) != value {
			return "", false
		}
	}
	return prefix + e.Is.Dimension.String() + ": " + strings.Join(e.Is.Values, conditionComma+" "), true
}

// dimensionNames are all names that a condition may begin with.
func dimensionNames() string {
	var names []string
	for _, d := range rule.Dimensions() {
		names = append(names, d.String())
	}
	return strings.Join(names, ", ")
}

// describeCondition says an expression of one predicate in words.
func describeCondition(lang string, e rule.Expr) views.Detail {
	key := "targeting.one_of"
	if e.Not != nil {
		e, key = *e.Not, "targeting.none_of"
	}
	return views.Detail{
		Name:  views.T(lang, "dimension."+e.Is.Dimension.String()),
		Value: views.T(lang, key, clip(strings.Join(e.Is.Values, ", "), 1000)),
	}
}

// indented is an expression as people read it.
func indented(e rule.Expr) string {
	text, _ := json.MarshalIndent(e, "", "  ") // what was parsed can be written
	return string(text)
}
