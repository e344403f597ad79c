package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/admin/assets"
	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// console is what the handlers share. It has no state of its own but the
// lockouts: sessions and everything else are in Postgres.
type console struct {
	config    Config
	db        *postgres.DB
	bucket    *blob.Bucket
	files     *assets.Files
	sessions  *scs.SessionManager
	hasher    *auth.Hasher
	accounts  *auth.Lockout // by e-mail address
	addresses *auth.Lockout // by client address
	proxies   []netip.Prefix
	uploads   chan struct{} // turns: decoding an image takes tens of megabytes
	log       *slog.Logger
	metrics   *telemetry.Client // nil: none
	now       func() time.Time
}

// handler is an http.HandlerFunc that may leave its error to [console.page].
type handler func(w http.ResponseWriter, r *http.Request) error

// page turns errors into pages.
func (c *console) page(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			c.fail(w, r, err)
		}
	}
}

// fail answers with a page that says what happened, and nothing internal.
func (c *console) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isAPI(r) {
		p := c.problemOf(r.Context(), r.Pattern, err)
		retryLater(w, p.Status)
		writeProblem(w, p)
		return
	}
	status, key := c.classify(r.Context(), r.Pattern, err)
	retryLater(w, status)
	c.message(w, r, status, key)
}

func retryLater(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
}

// message answers with one sentence: a page, or the API's problem.
func (c *console) message(w http.ResponseWriter, r *http.Request, status int, key string) {
	if isAPI(r) {
		writeProblem(w, newProblem(status, strings.TrimPrefix(key, "problem."), apiText(key)))
		return
	}
	lang := views.From(r.Context()).Language
	c.render(w, r, status, views.Message(views.T(lang, key+".title"), views.T(lang, key+".text")))
}

// classify is the one place where errors become statuses, for pages and API.
// What nobody expected is logged here, once.
func (c *console) classify(ctx context.Context, where string, err error) (status int, key string) {
	var invalid ad.Invalid
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return http.StatusNotFound, "problem.not_found"
	case errors.Is(err, postgres.ErrForbidden):
		return http.StatusForbidden, "problem.forbidden"
	case errors.Is(err, postgres.ErrVersion):
		return http.StatusConflict, "problem.conflict"
	case errors.Is(err, postgres.ErrFigures):
		return http.StatusConflict, "problem.figures"
	case errors.As(err, &invalid):
		return http.StatusUnprocessableEntity, "problem.invalid"
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "problem.too_large"
	case errors.Is(err, errForm):
		return http.StatusBadRequest, "problem.bad_request"
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return http.StatusServiceUnavailable, "problem.unavailable" // nobody reads it
	case unavailable(err):
		c.log.Warn("admin: unavailable", "error", clip(err.Error(), 500), "where", where)
		return http.StatusServiceUnavailable, "problem.unavailable"
	}
	c.log.Error("admin: request failed", "error", clip(err.Error(), 900), "where", where)
	return http.StatusInternalServerError, "problem.internal"
}

// unavailable tells a database that is away from a fault of ours.
func unavailable(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	var server *pgconn.PgError
	switch {
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	case errors.As(err, &server):
		// 57: shut down by an operator; 53: out of connections, disk or memory; 08: connection.
		return server.Code[:2] == "57" || server.Code[:2] == "53" || server.Code[:2] == "08"
	}
	return false
}

// render writes a component. It is rendered before the first byte leaves, so
// that a failing one cannot follow half a page.
func (c *console) render(w http.ResponseWriter, r *http.Request, status int, component templ.Component) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	templ.Handler(component, templ.WithStatus(status)).ServeHTTP(w, r)
}

func (c *console) show(w http.ResponseWriter, r *http.Request, component templ.Component) error {
	c.render(w, r, http.StatusOK, component)
	return nil
}

// redirect ends a successful POST: the page is read anew, with a notice.
func (c *console) redirect(w http.ResponseWriter, r *http.Request, url, noticeKey string) error {
	if noticeKey != "" {
		c.sessions.Put(r.Context(), noticeSlot, noticeKey)
	}
	http.Redirect(w, r, url, http.StatusSeeOther)
	return nil
}

// refill shows a form again with what was typed and what is wrong with it; any
// other error goes on.
func (c *console) refill(w http.ResponseWriter, r *http.Request, err error, form func(problems) templ.Component) error {
	p, status := problemsOf(err, langOf(r))
	if status == 0 {
		return err
	}
	c.render(w, r, status, form(p))
	return nil
}

// problemsOf is what a form says about an error, and the status it says it with;
// 0 when the error is none of the form's.
func problemsOf(err error, lang string) (problems, int) {
	var invalid ad.Invalid
	switch {
	case errors.As(err, &invalid):
		return problems{lang: lang, fields: invalid}, http.StatusUnprocessableEntity
	case errors.Is(err, postgres.ErrVersion):
		return problems{lang: lang, whole: views.T(lang, "problem.conflict.text")}, http.StatusConflict
	}
	return problems{}, 0
}

// pathID is the id in a page's path. What is no id is not found.
func pathID(r *http.Request, name string) (ad.ID, error) {
	id, err := ad.ParseID(r.PathValue(name))
	if err != nil {
		return 0, postgres.ErrNotFound
	}
	return id, nil
}

// pageOf reads a list's position from the query; nonsense is the first page.
func pageOf(r *http.Request) postgres.Page {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	return postgres.Page{After: ad.ID(max(after, 0)), Limit: listLimit + 1}
}

// listLimit is how many rows a page's list shows.
const listLimit = 50

// cut shortens a list that was asked for with one row more than is shown, and
// says where the next page begins.
func cut[T any](items []T, path string, id func(T) ad.ID) ([]T, string) {
	if len(items) <= listLimit {
		return items, ""
	}
	items = items[:listLimit]
	return items, fmt.Sprintf("%s?after=%d", path, id(items[listLimit-1]))
}

func clip(text string, limit int) string {
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}

// recovered answers a panic with 500 instead of a broken connection.
func (c *console) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if fault := recover(); fault != nil && fault != http.ErrAbortHandler {
				c.log.Error("admin: panic", "fault", clip(fmt.Sprint(fault), 200), "stack", clip(string(debug.Stack()), 700), "path", r.Pattern)
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
