package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// statusActions are the buttons that pause, resume and archive a thing.
func statusActions(lang, path string, s ad.Status, version int64) []views.Action {
	button := func(to ad.Status, key string) views.Action {
		return views.Action{
			Text: views.T(lang, key), URL: path + "/status", Post: true,
			Fields: []views.Link{{Text: "status", URL: string(to)}, {Text: "version", URL: fmt.Sprint(version)}},
		}
	}
	archive := button(ad.Archived, "status.archive")
	archive.Danger, archive.Confirm = true, views.T(lang, "status.archive_confirm")
	switch s {
	case ad.Active:
		return []views.Action{archive, button(ad.Paused, "status.pause")}
	case ad.Paused:
		return []views.Action{archive, button(ad.Active, "status.resume")}
	}
	return nil
}

// statusCell is a list's cell with the status, and with the button that changes
// it where the visitor may.
func statusCell(ctx context.Context, path string, s ad.Status, version int64) views.Cell {
	lang := views.From(ctx).Language
	toggle := views.StatusToggle{Badge: views.StatusBadge(lang, s), URL: path + "/status", Version: version}
	if mayEditDemand(ctx) || mayEditSupply(ctx) {
		switch s {
		case ad.Active:
			toggle.Next, toggle.Label = string(ad.Paused), views.T(lang, "status.pause")
		case ad.Paused:
			toggle.Next, toggle.Label = string(ad.Active), views.T(lang, "status.resume")
		}
	}
	return views.Cell{Toggle: &toggle}
}

type statusInput struct {
	Status  string `json:"status"`
	Version int64  `json:"version"`
}

// statusPage answers the buttons of one noun. htmx gets the list's cell back,
// a plain form the thing's page.
func (c *console) statusPage(noun string, set func(ctx context.Context, id ad.ID, version int64, s ad.Status) (int64, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathID(r, "id")
		if err != nil {
			return err
		}
		var in statusInput
		if err := readForm(w, r, maxForm, &in); err != nil {
			return err
		}
		path := fmt.Sprintf("/%s/%d", noun, id)
		version, err := set(r.Context(), id, in.Version, ad.Status(in.Status))
		inline := r.Header.Get("HX-Request") == "true"
		switch {
		case errors.Is(err, postgres.ErrVersion) && inline:
			w.Header().Set("HX-Refresh", "true") // shows what it is now
			return nil
		case err != nil:
			return err
		case inline:
			return c.show(w, r, views.StatusCell(*statusCell(r.Context(), path, ad.Status(in.Status), version).Toggle))
		}
		return c.redirect(w, r, path, "notice.status_"+in.Status)
	}
}
