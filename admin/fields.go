package admin

import (
	"strings"
	"time"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
)

// problems is what was wrong with a form that is shown again; its zero value is
// a form shown for the first time. It also makes the form's fields, since each
// looks up its own error.
type problems struct {
	lang   string
	fields ad.Invalid
	whole  string
}

func (p problems) t(key string, args ...any) string { return views.T(p.lang, key, args...) }

// of is the message of a field, or of a part of it ("targeting.all[0]").
func (p problems) of(name string) string {
	for _, e := range p.fields {
		if e.Field == name {
			return views.FieldMessage(p.lang, e)
		}
		if rest, ok := strings.CutPrefix(e.Field, name+"."); ok {
			return rest + ": " + views.FieldMessage(p.lang, e)
		}
	}
	return ""
}

// error is what to say above the form: also of fields that it does not show.
func (p problems) error(shown ...string) string {
	if p.whole != "" || len(p.fields) == 0 {
		return p.whole
	}
	text := p.t("problem.fields")
next:
	for _, e := range p.fields {
		for _, name := range shown {
			if e.Field == name || strings.HasPrefix(e.Field, name+".") {
				continue next
			}
		}
		text += " " + e.Field + ": " + views.FieldMessage(p.lang, e)
	}
	return text
}

// field makes a control whose label is the text of key.
func (p problems) field(name, key, kind, value string) views.Field {
	return views.Field{Name: name, Label: p.t(key), Kind: kind, Value: value, Error: p.of(name)}
}

func (p problems) required(name, key, kind, value string) views.Field {
	f := p.field(name, key, kind, value)
	f.Required = true
	return f
}

func (p problems) hint(f views.Field, key string, args ...any) views.Field {
	f.Hint = p.t(key, args...)
	return f
}

// options are choices whose texts are those of prefix.value.
func (p problems) options(prefix string, values ...string) []views.Option {
	var options []views.Option
	for _, v := range values {
		options = append(options, views.Option{Value: v, Text: p.t(prefix + "." + v)})
	}
	return options
}

// form puts one section's fields into a form.
func (p problems) form(action string, version int64, sections ...views.Section) views.Form {
	var shown []string
	for _, s := range sections {
		for _, f := range s.Fields {
			shown = append(shown, f.Name)
		}
	}
	return views.Form{Action: action, Version: version, Sections: sections, Submit: p.t("form.save"), Error: p.error(shown...)}
}

// stampDetails are what every stored noun carries.
func stampDetails(lang string, s ad.Stamp, zone *time.Location) []views.Detail {
	return []views.Detail{
		{Name: views.T(lang, "stamp.updated"), Value: views.Moment(s.UpdatedAt, zone), Note: views.T(lang, "stamp.version", s.Version)},
	}
}

func names(columns ...views.Column) []views.Column { return columns }

func column(lang, key string) views.Column { return views.Column{Title: views.T(lang, key)} }

func numbers(lang, key string) views.Column {
	return views.Column{Title: views.T(lang, key), Number: true}
}
