package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The API's requests and answers around the nouns' inputs and bodies.
type (
	idRequest struct {
		ID ad.ID `path:"id" doc:"The thing's id."`
	}
	newRequest[T any] struct {
		Body T
	}
	editRequest[T any] struct {
		ID   ad.ID `path:"id" doc:"The thing's id."`
		Body T
	}
	answer[T any] struct {
		Body T
	}
	listAnswer[T any] struct {
		Body listBody[T]
	}
	listBody[T any] struct {
		Items []T   `json:"items" nullable:"false"`
		Next  ad.ID `json:"next,omitempty" doc:"More follows: ask again with after set to this."`
	}
)

// PageQuery is the part of a list that is asked for.
type PageQuery struct {
	After ad.ID `query:"after" minimum:"0" doc:"The last id of the page before."`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

func (q PageQuery) page() postgres.Page { return postgres.Page{After: q.After, Limit: q.Limit} }

// StampBody is what every noun's body carries.
type StampBody struct {
	Version   int64     `json:"version" doc:"Rises with every change; an edit names the one it was made from."`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func stampBody(s ad.Stamp) StampBody {
	return StampBody{Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
}

// maybe leaves the zero time out of JSON.
func maybe(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// api registers all operations on a mux.
func (c *console) api(mux *http.ServeMux) huma.API {
	config := huma.DefaultConfig("Hayate", "1.0.0")
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/openapi", "", ""
	config.CreateHooks = nil // no $schema links in answers
	config.Info.Description = "The nouns of the console. Money is a decimal in a string, times are RFC 3339. An edit names the version that it was made from, and changes only the fields that it sends."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token, made on the account page."},
		"session": {Type: "apiKey", In: "cookie", Name: c.sessions.Cookie.Name},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	api := humago.New(mux, config)
	c.apiDemand(api)
	c.apiSupply(api)
	c.apiCreatives(api)
	c.apiExchangeRates(api)
	c.apiAccount(api)
	c.apiReport(api)
	c.apiWhy(api)
	c.apiCredits(api)
	c.apiJobs(api)
	mux.Handle("/", c.nothingHere(mux))
	return api
}

// resource is the operations that every noun has.
type resource[In, Body any] struct {
	c    *console
	api  huma.API
	name string // in the path: "line-items"
	save func(ctx context.Context, id ad.ID, in In) (Body, error)
	find func(ctx context.Context, id ad.ID) (Body, error)
	last func(ctx context.Context, id ad.ID) (In, error) // what an edit starts from
}

// maxBody is the largest JSON body; a creative's markup and a targeting fit.
const maxBody = 2 << 20

func (r resource[In, Body]) operation(method, path, does string) huma.Operation {
	return huma.Operation{
		OperationID: strings.ToLower(does) + "-" + r.name, Method: method, Path: "/api/v1/" + r.name + path, Tags: []string{r.name},
		Summary: does + " " + strings.ReplaceAll(r.name, "-", " "), MaxBodyBytes: maxBody, BodyReadTimeout: 15 * time.Second,
	}
}

func (r resource[In, Body]) register() {
	create := r.operation(http.MethodPost, "", "Create")
	create.DefaultStatus = http.StatusCreated
	huma.Register(r.api, create, func(ctx context.Context, in *newRequest[In]) (*answer[Body], error) {
		return respond(ctx, r.c, create.OperationID, func() (Body, error) { return r.save(ctx, 0, in.Body) })
	})
	get := r.operation(http.MethodGet, "/{id}", "Get")
	huma.Register(r.api, get, func(ctx context.Context, in *idRequest) (*answer[Body], error) {
		return respond(ctx, r.c, get.OperationID, func() (Body, error) { return r.find(ctx, in.ID) })
	})
	update := r.operation(http.MethodPut, "/{id}", "Update")
	update.Description = changeText
	huma.Register(r.api, update, func(ctx context.Context, in *editRequest[change[In]]) (*answer[Body], error) {
		return respond(ctx, r.c, update.OperationID, func() (Body, error) { return r.change(ctx, in.ID, in.Body) })
	})
}

// change edits a thing. Who else edits it in between makes the version an old
// one, which save refuses.
func (r resource[In, Body]) change(ctx context.Context, id ad.ID, edit change[In]) (body Body, err error) {
	in, err := r.last(ctx, id)
	if err != nil {
		return body, err
	}
	if err := edit.over(&in); err != nil {
		return body, err
	}
	return r.save(ctx, id, in)
}

// registerList adds the operation that lists; each noun filters by its own parent.
func registerList[In, Body, Query any](r resource[In, Body], list func(ctx context.Context, q Query) (listBody[Body], error)) {
	op := r.operation(http.MethodGet, "", "List")
	huma.Register(r.api, op, func(ctx context.Context, q *Query) (*listAnswer[Body], error) {
		found, err := list(ctx, *q)
		if err != nil {
			return nil, r.c.problem(ctx, op.OperationID, err)
		}
		return &listAnswer[Body]{found}, nil
	})
}

// respond runs an operation and turns its error into a problem.
func respond[Body any](ctx context.Context, c *console, operation string, run func() (Body, error)) (*answer[Body], error) {
	body, err := run()
	if err != nil {
		return nil, c.problem(ctx, operation, err)
	}
	return &answer[Body]{body}, nil
}

// listOf makes a list's body out of nouns.
func listOf[T, Body any](items []T, q PageQuery, body func(T) Body, id func(T) ad.ID) listBody[Body] {
	list := listBody[Body]{Items: []Body{}}
	for _, item := range items {
		list.Items = append(list.Items, body(item))
	}
	if limit := q.page().Limit; limit > 0 && len(items) == limit {
		list.Next = id(items[len(items)-1])
	}
	return list
}

// byToken lets programs in by bearer token; what brings none goes on to the session.
func (c *console) byToken(api, session http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		if header == "" {
			session.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || len(token) > 200 {
			c.message(w, r, http.StatusUnauthorized, "problem.unauthorized")
			return
		}
		user, err := c.db.UserByToken(r.Context(), strings.TrimSpace(token))
		switch {
		case err == postgres.ErrNotFound:
			c.message(w, r, http.StatusUnauthorized, "problem.unauthorized")
		case err != nil:
			c.fail(w, r, err)
		default:
			v := views.Visitor{Language: "en", User: &user, Path: "/"}
			api.ServeHTTP(w, r.WithContext(views.With(r.Context(), v)))
		}
	})
}

// knownUser keeps strangers from the API; its description is for everybody.
func (c *console) knownUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if userOf(r.Context()) == nil && !strings.HasPrefix(r.URL.Path, "/api/openapi") {
			c.message(w, r, http.StatusUnauthorized, "problem.unauthorized")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
