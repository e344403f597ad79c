package admin

import (
	"errors"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
)

// fieldProblem says in our words what huma's schema check found, and names the
// field as it stands in the request.
func fieldProblem(err error) FieldProblem {
	var detailer huma.ErrorDetailer
	if !errors.As(err, &detailer) {
		return FieldProblem{Field: "body", Code: ad.BadSyntax, Message: clip(err.Error(), 256)}
	}
	d := detailer.ErrorDetail()
	field := d.Location
	for _, part := range []string{"body", "query", "path"} {
		field = strings.TrimPrefix(field, part+".")
	}
	if name, found := strings.CutPrefix(d.Message, "expected required property "); found {
		name, _, _ = strings.Cut(name, " ")
		if field != "body" {
			name = field + "." + name
		}
		return FieldProblem{Field: clip(name, 100), Code: ad.Required, Message: requiredText(name)}
	}
	if _, text, found := strings.Cut(d.Message, "into Go struct field "); found { // a number beyond the type
		text, _, _ = strings.Cut(text, " of type")
		return FieldProblem{Field: clip(text[strings.LastIndexByte(text, '.')+1:], 100), Code: ad.OutOfRange, Message: "has a number that is out of range"}
	}
	code, message := schemaText(field, d.Message)
	return FieldProblem{Field: clip(field, 100), Code: code, Message: clip(message, 256)}
}

func requiredText(field string) string {
	if field == "version" {
		return "has to be given: the version that the edit was made from, as GET answers it"
	}
	return "has to be given"
}

// What fields hold that are strings in JSON because numbers would lose digits, or
// have no type of their own there.
var (
	amountFields = []string{"cpm", "lifetime_budget", "daily_budget", "floor", "charged", "revenue"}
	momentFields = []string{"starts_at", "ends_at", "from", "to"}
)

// schemaText translates one of huma's messages, with its code.
func schemaText(field, message string) (code, text string) {
	text, value := message, ""
	for _, m := range []struct{ begins, code, text string }{
		{"unexpected property", ad.Unknown, "is no field of this"},
		{"expected string", ad.BadSyntax, stringText(field)},
		{"expected integer", ad.BadSyntax, "has to be a whole number, without quotes"},
		{"invalid integer", ad.BadSyntax, "has to be a whole number"},
		{"expected number >= ", ad.OutOfRange, "has to be at least "},
		{"expected number <= ", ad.OutOfRange, "has to be at most "},
		{"expected number", ad.BadSyntax, "has to be a number, without quotes"},
		{"expected boolean", ad.BadSyntax, "has to be true or false, without quotes"},
		{"expected array", ad.BadSyntax, "has to be a list, in [ ]"},
		{"expected object", ad.BadSyntax, "has to be an object, in { }"},
		{"expected value to be one of ", ad.Unknown, "has to be one of "},
	} {
		if rest, found := strings.CutPrefix(message, m.begins); found {
			if strings.HasSuffix(m.text, " ") {
				value = strings.Trim(rest, `"`)
			}
			return m.code, m.text + value
		}
	}
	return ad.BadSyntax, text
}

func stringText(field string) string {
	switch {
	case slices.Contains(amountFields, field):
		return `has to be a decimal in a string such as "12.50"`
	case field == "revenue_share":
		return `has to be a decimal in a string such as "70"`
	case slices.Contains(momentFields, field):
		return `has to be a date and time in a string such as "2026-04-01T09:00"`
	}
	return "has to be a string, in quotes"
}
