// Package views renders the console's pages: templ components over plain
// structs, and the words of both languages. It decides nothing: what a page may
// show or offer is settled by who builds its structs.
package views

import (
	"context"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Visitor is for whom a page is rendered; it travels in the context.
type Visitor struct {
	Language string // "en" or "ja"
	User     *ad.User
	Path     string // of the request, to come back to after a change of language
	Notice   string // said once, at the top of the page
	Script   string // addresses of the bundle
	Style    string
	Logo     string
}

type visitorKey struct{}

// With returns a context for rendering to v.
func With(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// From is the visitor of a context; without one, a stranger who reads English.
func From(ctx context.Context) Visitor {
	v, ok := ctx.Value(visitorKey{}).(Visitor)
	if !ok {
		return Visitor{Language: "en"}
	}
	return v
}

// is tells whether the visitor has one of the roles.
func is(ctx context.Context, roles ...ad.Role) bool {
	user := From(ctx).User
	for _, role := range roles {
		if user != nil && user.Role == role {
			return true
		}
	}
	return false
}

// Moment writes a time in a zone, with the zone's name; the zero time is a dash.
func Moment(at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return "–"
	}
	return at.In(zone).Format("2006-01-02 15:04 MST")
}
