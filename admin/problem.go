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
// like ours, and field names exact; huma knows no other way to say so than these
// variables.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := newProblem(status, codeOf(status), humaText(status, message))
		for _, err := range errs {
			if err != nil && status != http.StatusUnsupportedMediaType { // the detail has said it
				p.Errors = append(p.Errors, fieldProblem(err))
			}
		}
		return p
	}
}

// humaText says in our words what huma says of a request as a whole.
func humaText(status int, message string) string {
	switch {
	case status == http.StatusBadRequest && message == "request body is required":
		return "Send a body: the fields, as JSON."
	case status == http.StatusBadRequest:
		return "The body cannot be read as JSON. Nothing was changed."
	case status == http.StatusRequestTimeout:
		return "The body came too slowly. Nothing was changed."
	case status == http.StatusRequestEntityTooLarge:
		return "The body is too large: at most 2 MB are taken. Nothing was changed."
	case status == http.StatusUnsupportedMediaType:
		return "Send application/json: the body as JSON, and the header Content-Type: application/json."
	case status == http.StatusUnprocessableEntity:
		return views.T("en", "problem.invalid.text")
	}
	return message
}

// apiTexts are for programs, where the text of the page speaks of pages.
var apiTexts = map[string]string{
	"problem.bad_request": "The request cannot be read. Nothing was changed.",
	"problem.conflict":    "Somebody else has changed this since the version that was sent. Nothing was changed. GET it again, and repeat the edit with the version it has now.",
}

func apiText(key string) string {
	if text, ok := apiTexts[key]; ok {
		return text
	}
	return views.T("en", key+".text")
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

// problem turns an error into the API's, by the rules of [console.classify].
func (c *console) problem(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	return c.problemOf(ctx, operation, err)
}

func (c *console) problemOf(ctx context.Context, operation string, err error) *Problem {
	status, key := c.classify(ctx, operation, err)
	p := newProblem(status, strings.TrimPrefix(key, "problem."), apiText(key))
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

// isAPI tells a program, which reads problems, from a person, who reads pages.
func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || hasToken(r) && isCSV(r)
}

// isCSV tells of the reports that people and programs get at one address.
func isCSV(r *http.Request) bool { return r.URL.Path == "/report.csv" || r.URL.Path == "/supply.csv" }

// hasToken tells whether a request brings an API token. Other schemes may be a
// proxy's in front of the console.
func hasToken(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}
