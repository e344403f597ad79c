package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// targetingJSON is an expression as sent. It stays text until [rule.Parse], which
// is stricter than encoding/json: bounds, repeated fields, unknown ones.
type targetingJSON json.RawMessage

// UnmarshalJSON keeps the text.
func (t *targetingJSON) UnmarshalJSON(text []byte) error {
	*t = slices.Clone(text)
	return nil
}

// MarshalJSON writes it as it came.
func (t targetingJSON) MarshalJSON() ([]byte, error) {
	if len(t) == 0 {
		return []byte("{}"), nil
	}
	return t, nil
}

// Schema describes the expression for OpenAPI.
func (targetingJSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: true,
		Description: `Whom to show it to. One of {"all":[…]}, {"any":[…]}, {"not":{…}}, {"is":{"dimension":"country","values":["JP"]}}; {} is everybody. ` +
			"Dimensions: " + dimensionNames() + ".",
		Examples: []any{map[string]any{"is": map[string]any{"dimension": "country", "values": []string{"JP"}}}},
	}
}

// neverMatches is the code of targeting that is right by itself and matches nothing.
const neverMatches = "never_matches"

// targeting parses an expression; none is everybody.
func (p *parser) targeting(field string, text []byte) rule.Expr {
	if len(text) == 0 {
		return rule.Expr{}
	}
	expr, err := rule.Parse(text)
	var normal rule.Rule
	if err == nil {
		normal, err = rule.Normalise(expr)
	}
	var wrong *rule.Error
	switch {
	case errors.As(err, &wrong):
		if wrong.Path != "" {
			field += "." + clip(wrong.Path, 100)
		}
		p.fail(field, wrong.Code, clip(wrong.Message, 300))
	case err != nil:
		p.fail(field, ad.BadSyntax, clip(err.Error(), 300))
	case len(normal.Conjunctions) == 0:
		p.fail(field, neverMatches, "contradicts itself: no request can ever match it")
	}
	return expr
}

// The form offers fields for the common case, or the expression itself.
const (
	simpleMode = "simple"
	fullMode   = "expression"
)

// targetingForm is the part of the line item's form about targeting. In simple
// mode the fields that are filled in must all be satisfied.
type targetingForm struct {
	Mode       string   `json:"targeting_mode"`
	Countries  string   `json:"countries"`
	Devices    []string `json:"devices"`
	Systems    []string `json:"systems"`
	Keywords   string   `json:"keywords"`
	Placements string   `json:"placements"`
	Properties string   `json:"properties"`
	Hours      []string `json:"hours"`
	Conditions string   `json:"conditions"`
	Expression string   `json:"expression"`
}

// simpleFields are the dimensions of simple mode, in the form's order.
var simpleFields = []struct {
	name      string
	dimension rule.Dimension
}{
	{"countries", rule.Country}, {"devices", rule.DeviceType}, {"systems", rule.OS}, {"keywords", rule.Keyword},
	{"placements", rule.Placement}, {"properties", rule.Property}, {"hours", rule.HourOfWeek},
}

func (t *targetingForm) values(d rule.Dimension) []string {
	switch d {
	case rule.Country:
		return list(strings.ToUpper(t.Countries))
	case rule.DeviceType:
		return t.Devices
	case rule.OS:
		return t.Systems
	case rule.Keyword:
		return keywordLines(t.Keywords)
	case rule.Placement:
		return list(t.Placements)
	case rule.Property:
		return list(t.Properties)
	}
	if len(t.Hours) == 168 { // all hours are no restriction
		return nil
	}
	return t.Hours
}

func keywordLines(text string) (lines []string) {
	for line := range strings.Lines(strings.ToLower(text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// expression is the targeting as JSON, with what is wrong by field of the form.
func (t *targetingForm) expression() (targetingJSON, ad.Invalid) {
	var p parser
	if t.Mode == fullMode {
		text := []byte(textOr(strings.TrimSpace(t.Expression), "{}"))
		p.targeting("expression", text)
		return text, p.found
	}
	var all []rule.Expr
	for _, f := range simpleFields {
		values := t.values(f.dimension)
		if len(values) == 0 {
			continue
		}
		e := rule.Expr{Is: &rule.Predicate{Dimension: f.dimension, Values: values}}
		text, err := json.Marshal(e)
		if err != nil {
			p.fail(f.name, ad.BadSyntax, "is not valid text")
			continue
		}
		var part parser
		part.targeting(f.name, text)
		if len(part.found) > 0 { // the path inside means nothing to who filled in a field
			p.fail(f.name, part.found[0].Code, part.found[0].Message)
		}
		all = append(all, e)
	}
	all = append(all, p.conditions("conditions", t.Conditions)...)
	expr := rule.Expr{All: all}
	if len(all) < 2 {
		expr = rule.Expr{}
		if len(all) == 1 {
			expr = all[0]
		}
	}
	text, err := json.Marshal(expr)
	if err != nil {
		p.fail("expression", ad.BadSyntax, "is not valid text")
	}
	return text, p.found
}

// simple is the inverse of simple mode: the values of the dimensions that have a
// field, and the other parts, of one predicate each; or false when the expression
// says more than the form can.
func simple(e rule.Expr) (values map[rule.Dimension][]string, others []rule.Expr, ok bool) {
	parts := e.All
	if e.Is != nil || e.Not != nil {
		parts = []rule.Expr{e}
	} else if e.Any != nil {
		return nil, nil, false
	}
	values = map[rule.Dimension][]string{}
	for _, part := range parts {
		if part.Is != nil && hasField(part.Is.Dimension) && values[part.Is.Dimension] == nil {
			values[part.Is.Dimension] = part.Is.Values
			continue
		}
		if _, ok := conditionLine(part); !ok {
			return nil, nil, false
		}
		others = append(others, part)
	}
	return values, others, true
}

func hasField(d rule.Dimension) bool {
	for _, f := range simpleFields {
		if f.dimension == d {
			return true
		}
	}
	return false
}

func targetingFormOf(e rule.Expr) targetingForm {
	values, others, ok := simple(e)
	if !ok {
		return targetingForm{Mode: fullMode, Expression: indented(e)}
	}
	var lines []string
	for _, part := range others {
		line, _ := conditionLine(part)
		lines = append(lines, line)
	}
	t := targetingForm{
		Mode: simpleMode, Devices: values[rule.DeviceType], Systems: values[rule.OS], Hours: values[rule.HourOfWeek],
		Countries:  strings.Join(values[rule.Country], ", "),
		Keywords:   strings.Join(values[rule.Keyword], "\n"),
		Placements: strings.Join(values[rule.Placement], ", "),
		Properties: strings.Join(values[rule.Property], ", "),
		Conditions: strings.Join(lines, "\n"),
	}
	if len(values)+len(others) > 0 {
		t.Expression = indented(e)
	}
	return t
}

// sections are the form's part about targeting.
func (t *targetingForm) sections(p problems) []views.Section {
	mode := p.field("targeting_mode", "targeting.mode", "radio", textOr(t.Mode, simpleMode))
	mode.Options, mode.Choice, mode.Wide = p.options("targeting.mode", simpleMode, fullMode), true, true
	devices := p.field("devices", "targeting.device_type", "checks", "")
	devices.Options, devices.Values = p.options("device", "desktop", "mobile", "tablet", "tv", "other"), t.Devices
	systems := p.field("systems", "targeting.os", "checks", "")
	systems.Options, systems.Values = p.options("os", "windows", "macos", "linux", "android", "ios", "chromeos", "other"), t.Systems
	expression := p.hint(p.field("expression", "targeting.expression", "code", t.Expression), "targeting.expression_hint", dimensionNames())
	hours := map[int]bool{}
	for _, text := range t.Hours {
		if hour, err := strconv.Atoi(text); err == nil {
			hours[hour] = true
		}
	}
	return []views.Section{
		{Title: p.t("lineitem.targeting"), Hint: p.t("targeting.hint"), Fields: []views.Field{mode}},
		{When: "targeting_mode=" + simpleMode, Fields: []views.Field{
			p.hint(p.field("countries", "targeting.country", "text", t.Countries), "targeting.country_hint"),
			p.hint(p.field("placements", "targeting.placement", "text", t.Placements), "targeting.ids_hint"),
			p.hint(p.field("properties", "targeting.property", "text", t.Properties), "targeting.ids_hint"),
			devices, systems,
			p.hint(p.field("keywords", "targeting.keyword", "area", t.Keywords), "targeting.keyword_hint"),
			p.hint(p.field("conditions", "targeting.conditions", "area", t.Conditions), "targeting.conditions_hint", dimensionNames()),
		}, Extra: views.Hours(hours, p.of("hours"))},
		{When: "targeting_mode=" + fullMode, Fields: []views.Field{expression}, Extra: views.ExpressionCheck("")},
	}
}

// describeTargeting says in words what simple mode can express, and gives the
// expression as text; "" when everybody is meant.
func describeTargeting(lang string, e rule.Expr) (summary []views.Detail, expression string) {
	if e.All == nil && e.Any == nil && e.Not == nil && e.Is == nil {
		return nil, ""
	}
	values, others, ok := simple(e)
	if !ok {
		return nil, indented(e)
	}
	for _, f := range simpleFields {
		given := values[f.dimension]
		if len(given) == 0 {
			continue
		}
		value := strings.Join(given, ", ")
		if f.dimension == rule.HourOfWeek {
			value = describeHours(lang, given)
		}
		summary = append(summary, views.Detail{Name: views.T(lang, "targeting."+f.dimension.String()), Value: clip(value, 1000)})
	}
	for _, part := range others {
		summary = append(summary, describeCondition(lang, part))
	}
	return summary, indented(e)
}

// describeHours writes hours of the week as runs by day: "Mon 9–17, Tue 9–17".
func describeHours(lang string, given []string) string {
	chosen := map[int]bool{}
	for _, text := range given {
		hour, _ := strconv.Atoi(text) // was validated
		chosen[hour] = true
	}
	var days []string
	for day := range 7 {
		var runs []string
		for hour := 0; hour < 24; hour++ {
			if !chosen[day*24+hour] {
				continue
			}
			from := hour
			for hour < 24 && chosen[day*24+hour] {
				hour++
			}
			runs = append(runs, fmt.Sprintf("%d:00–%d:00", from, hour))
		}
		if len(runs) > 0 {
			days = append(days, views.T(lang, "day."+fmt.Sprint(day))+" "+strings.Join(runs, " "))
		}
	}
	return strings.Join(days, ", ")
}

// checkExpression tells, while somebody types, whether an expression is right.
func (c *console) checkExpression(w http.ResponseWriter, r *http.Request) error {
	var t targetingForm
	if err := readForm(w, r, maxLargeForm, &t); err != nil {
		return err
	}
	t.Mode = fullMode
	_, wrong := t.expression()
	message := views.T(langOf(r), "targeting.valid")
	if len(wrong) > 0 {
		message = problems{lang: langOf(r), fields: wrong}.of("expression")
	}
	return c.show(w, r, views.ExpressionCheck(message))
}
