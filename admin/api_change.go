package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// change is the body of an edit over the API: only what is sent changes, so that
// a program that does not know of a field cannot lose it. What may be absent has
// the tag clear, and null (or "") removes it; everything else cannot be removed.
type change[In any] struct{ fields map[string]json.RawMessage }

// changeText describes edits in the API's description.
const changeText = "Changes the fields that are sent; those that are left out keep their value. null (or an empty string) removes what may be absent. " +
	"version is the one that the edit was made from: when it is no longer the newest, the answer is 409 and nothing has changed."

// UnmarshalJSON keeps the fields as text: what they mean depends on the thing.
func (c *change[In]) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &c.fields) }

// Schema is that of the input, with nothing required but the version.
func (change[In]) Schema(r huma.Registry) *huma.Schema {
	whole := *r.Schema(reflect.TypeFor[In](), false, "")
	whole.Description, whole.Required = changeText, []string{"version"}
	whole.Properties = maps.Clone(whole.Properties)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[In]()) {
		name := jsonName(field)
		property := *whole.Properties[name]
		if property.Nullable = isClearable(field); property.Nullable {
			property.Description = strings.TrimSpace(property.Description + " null removes it.")
		}
		if name == "version" {
			least := 1.0
			property.Minimum = &least
		}
		whole.Properties[name] = &property
	}
	return &whole
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func isClearable(field reflect.StructField) bool { return field.Tag.Get("clear") == "true" }

// over lays the change over what the thing has now.
func (c change[In]) over(in *In) error {
	var version int64
	if err := json.Unmarshal(c.fields["version"], &version); err != nil {
		return ad.Invalid{{Field: "version", Code: ad.OutOfRange, Message: "has a value that no version has"}}
	}
	target := reflect.ValueOf(in).Elem()
	// Looked at before the values: what they mean was judged by the older version.
	if version != target.FieldByName("Version").Int() {
		return postgres.ErrVersion
	}
	var wrong ad.Invalid
	for i := range target.NumField() {
		field := target.Type().Field(i)
		text, given := c.fields[jsonName(field)]
		if !given {
			continue
		}
		empty := slices.Contains([]string{"null", `""`}, string(text))
		switch {
		case empty && isClearable(field):
			target.Field(i).SetZero()
		case empty:
			wrong = append(wrong, ad.FieldError{Field: jsonName(field), Code: ad.Required, Message: "cannot be removed; leave it out to keep it"})
		default:
			if err := setField(target.Field(i), jsonName(field), text); err != nil {
				wrong = append(wrong, *err)
			}
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// setField replaces a field's value. The schema has judged its type; what is left
// are numbers that no integer of ours holds.
func setField(field reflect.Value, name string, text []byte) *ad.FieldError {
	fresh := reflect.New(field.Type())
	err := json.Unmarshal(text, fresh.Interface())
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return &ad.FieldError{Field: name, Code: ad.OutOfRange, Message: "has a number that is out of range"}
	}
	if err != nil {
		return &ad.FieldError{Field: name, Code: ad.BadSyntax, Message: "cannot be read"}
	}
	field.Set(fresh.Elem())
	return nil
}
