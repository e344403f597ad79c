package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
)

// Problem is the API's error (RFC 9457), as application/problem+json.
type Problem struct {
	Title  string         `json:"title" example:"Unprocessable Entity"`
	Status int            `json:"status" example:"422"`
	Code   string         `json:"code" doc:"Stable, for programs: invalid, not_found, forbidden, conflict, unauthorized, …" example:"invalid"`
	Detail string         `json:"detail" doc:"For people: what happened and what would help."`
	Errors []FieldProblem `json:"errors,omitempty" doc:"What is wrong with which field."`
}

// FieldProblem is one thing that is wrong with one field.
type FieldProblem struct {
	Field   string `json:"field" example:"daily_budget"`
	Code    string `json:"code" example:"out_of_range"`
	Message string `json:"message" example:"has to be above 0"`
}

func (p *Problem) Error() string  { return p.Detail }
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is RFC 9457's.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// init makes huma's own errors (malformed JSON, unknown fields, wrong types) look
// like ours; huma knows no other way to say so than this variable.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := newProblem(status, codeOf(status), message)
		for _, err := range errs {
			if err != nil {
				p.Errors = append(p.Errors, fieldProblem(err))
			}
		}
		return p
	}
}

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: clip(detail, 256)}
}

func codeOf(status int) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusInternalServerError:
		return "internal"
	}
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}

// fieldProblem translates what huma's schema check says.
func fieldProblem(err error) FieldProblem {
	var detailer huma.ErrorDetailer
	if !errors.As(err, &detailer) {
		return FieldProblem{Field: "body", Code: ad.BadSyntax, Message: clip(err.Error(), 256)}
	}
	d := detailer.ErrorDetail()
	field := strings.TrimPrefix(strings.TrimPrefix(d.Location, "body."), "query.")
	code := ad.BadSyntax
	if name, found := strings.CutPrefix(d.Message, "expected required property "); found {
		name, _, _ = strings.Cut(name, " ")
		return FieldProblem{Field: name, Code: ad.Required, Message: "has to be given"}
	}
	if d.Message == "unexpected property" {
		code = ad.Unknown
	}
	return FieldProblem{Field: clip(field, 100), Code: code, Message: clip(d.Message, 256)}
}

// problem turns an error into the API's, by the rules of [console.classify].
func (c *console) problem(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	status, key := c.classify(ctx, operation, err)
	p := newProblem(status, strings.TrimPrefix(key, "problem."), views.T("en", key+".text"))
	var invalid ad.Invalid
	if errors.As(err, &invalid) {
		for _, e := range invalid {
			p.Errors = append(p.Errors, FieldProblem{Field: e.Field, Code: e.Code, Message: clip(e.Message, 256)})
		}
	}
	return p
}

// writeProblem answers outside of huma: before a request has reached it.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="hayate"`)
	}
	w.WriteHeader(p.Status)
	text, err := json.Marshal(p)
	if err != nil {
		text = fmt.Appendf(nil, `{"status":%d}`, p.Status)
	}
	_, _ = w.Write(text)
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
