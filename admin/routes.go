package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
)

// route is one page or action. Roles are those who have use for it; whose things
// they see there is decided by package postgres.
type route struct {
	pattern string // of http.ServeMux: "GET /campaigns/{id}"
	roles   []ad.Role
	handle  handler
}

var (
	anybody   = []ad.Role{ad.RoleOperator, ad.RoleReviewer, ad.RoleAdvertiser, ad.RolePublisher}
	demand    = []ad.Role{ad.RoleOperator, ad.RoleReviewer, ad.RoleAdvertiser}
	buyers    = []ad.Role{ad.RoleOperator, ad.RoleAdvertiser}
	sellers   = []ad.Role{ad.RoleOperator, ad.RolePublisher}
	reviewers = []ad.Role{ad.RoleOperator, ad.RoleReviewer}
	operators = []ad.Role{ad.RoleOperator}
)

// strangers are the pages that need no sign-in.
func (c *console) strangers() []route {
	return []route{
		{"GET /sign-in", nil, c.signInPage},
		{"POST /sign-in", nil, c.signIn},
		{"POST /sign-out", nil, c.signOut},
		{"POST /language", nil, c.setLanguage},
	}
}

// pages are all others. A test goes through this list: every route is tried by
// every role, with things of their own and of others.
func (c *console) pages() []route {
	return slices.Concat(c.demandPages(), c.whyPages(), c.supplyPages(), c.creditPages(), []route{
		{"GET /{$}", anybody, c.homePage},
		{"GET /report", buyers, c.reportPage},
		{"GET /report.csv", buyers, c.reportCSV},
		{"GET /supply", sellers, c.supplyPage},
		{"GET /supply.csv", sellers, c.supplyCSV},
		{"GET /reviews", reviewers, c.reviewsPage},
		{"GET /reviews/{id}", reviewers, c.reviewPage},
		{"POST /reviews/{id}", reviewers, c.postReview},
		{"GET /users", operators, c.usersPage},
		{"GET /users/new", operators, c.newUserPage},
		{"POST /users", operators, c.postUser},
		{"GET /users/{id}", operators, c.userPage},
		{"GET /users/{id}/edit", operators, c.editUserPage},
		{"POST /users/{id}", operators, c.postUser},
		{"POST /users/{id}/status", operators, c.statusPage("users", c.setUserStatus)},
		{"GET /exchange-rates", operators, c.exchangeRatesPage},
		{"POST /exchange-rates", operators, c.postExchangeRate},
		{"GET /jobs", operators, c.jobsPage},
		{"GET /account", anybody, c.accountPage},
		{"POST /account/password", anybody, c.setPassword},
		{"POST /account/tokens", anybody, c.createToken},
		{"POST /account/tokens/{id}/revoke", anybody, c.revokeToken},
	})
}

func (c *console) demandPages() []route {
	return []route{
		{"GET /advertisers", demand, c.advertisersPage},
		{"GET /advertisers/new", operators, c.newAdvertiserPage},
		{"POST /advertisers", operators, c.postAdvertiser},
		{"GET /advertisers/{id}", demand, c.advertiserPage},
		{"GET /advertisers/{id}/edit", operators, c.editAdvertiserPage},
		{"POST /advertisers/{id}", operators, c.postAdvertiser},
		{"POST /advertisers/{id}/status", operators, c.statusPage("advertisers", c.setAdvertiserStatus)},
		{"GET /advertisers/{id}/campaigns/new", buyers, c.newCampaignPage},
		{"POST /advertisers/{id}/campaigns", buyers, c.createCampaign},
		{"GET /campaigns/{id}", demand, c.campaignPage},
		{"GET /campaigns/{id}/edit", buyers, c.editCampaignPage},
		{"POST /campaigns/{id}", buyers, c.updateCampaign},
		{"POST /campaigns/{id}/status", buyers, c.statusPage("campaigns", c.setCampaignStatus)},
		{"GET /campaigns/{id}/line-items/new", buyers, c.newLineItemPage},
		{"POST /campaigns/{id}/line-items", buyers, c.createLineItem},
		{"GET /line-items/{id}", demand, c.lineItemPage},
		{"GET /line-items/{id}/edit", buyers, c.editLineItemPage},
		{"POST /line-items/{id}", buyers, c.updateLineItem},
		{"POST /line-items/{id}/status", buyers, c.statusPage("line-items", c.setLineItemStatus)},
		{"POST /targeting/check", buyers, c.checkExpression},
		{"GET /line-items/{id}/creatives/new", buyers, c.newCreativePage},
		{"POST /line-items/{id}/creatives", buyers, c.createCreative},
		{"GET /creatives/{id}", demand, c.creativePage},
		{"GET /creatives/{id}/edit", buyers, c.editCreativePage},
		{"POST /creatives/{id}", buyers, c.updateCreative},
		{"POST /creatives/{id}/status", buyers, c.statusPage("creatives", c.setCreativeStatus)},
		{"POST /creatives/{id}/submit", buyers, c.submitCreative},
		{"GET /creatives/{id}/revisions/{number}/frame", demand, c.framePage},
		{"GET /creatives/{id}/revisions/{number}/image", demand, c.imagePage},
		{"GET /creatives/{id}/revisions/{number}/landing", demand, c.landingPage},
	}
}

func (c *console) creditPages() []route {
	return []route{
		{"GET /corrections", operators, c.correctionsPage},
		{"GET /corrections/new", operators, c.newCorrectionPage},
		{"POST /corrections/preview", operators, c.postCorrectionPreview},
		{"POST /corrections", operators, c.postCorrection},
		{"GET /corrections/{id}", operators, c.correctionPage},
		{"GET /invoices", buyers, c.invoicesPage},
		{"GET /invoices/{id}/{month}", buyers, c.invoicePage},
		{"GET /invoices/{id}/{month}/csv", buyers, c.invoiceCSV},
		{"GET /advertisers/{id}/conversions", buyers, c.conversionsPage},
	}
}

func (c *console) supplyPages() []route {
	return []route{
		{"GET /publishers", sellers, c.publishersPage},
		{"GET /publishers/new", operators, c.newPublisherPage},
		{"POST /publishers", operators, c.postPublisher},
		{"GET /publishers/{id}", sellers, c.publisherPage},
		{"GET /publishers/{id}/edit", operators, c.editPublisherPage},
		{"POST /publishers/{id}", operators, c.postPublisher},
		{"POST /publishers/{id}/status", operators, c.statusPage("publishers", c.setPublisherStatus)},
		{"GET /publishers/{id}/properties/new", operators, c.newPropertyPage},
		{"POST /publishers/{id}/properties", operators, c.createProperty},
		{"GET /properties/{id}", sellers, c.propertyPage},
		{"GET /properties/{id}/edit", sellers, c.editPropertyPage},
		{"POST /properties/{id}", sellers, c.updateProperty},
		{"POST /properties/{id}/status", sellers, c.statusPage("properties", c.setPropertyStatus)},
		{"GET /properties/{id}/placements/new", sellers, c.newPlacementPage},
		{"POST /properties/{id}/placements", sellers, c.createPlacement},
		{"GET /placements/{id}", sellers, c.placementPage},
		{"GET /placements/{id}/edit", sellers, c.editPlacementPage},
		{"POST /placements/{id}", sellers, c.updatePlacement},
		{"POST /placements/{id}/status", sellers, c.statusPage("placements", c.setPlacementStatus)},
	}
}

// routes is the console's whole surface, outermost guard first.
func (c *console) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.strangers() {
		mux.HandleFunc(r.pattern, c.page(r.handle))
	}
	for _, r := range c.pages() {
		mux.HandleFunc(r.pattern, c.page(c.signedIn(r.roles, r.handle)))
	}
	api := http.NewServeMux()
	c.api(api)

	outer := http.NewServeMux()
	mux.Handle("/", c.nothingHere(mux, outer))
	outer.Handle("GET /static/", c.files)
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	outer.HandleFunc("GET /readyz", c.ready)
	known := c.knownUser(api)
	outer.Handle("/api/", c.byToken(known, c.withSession(c.identify(c.sameOrigin(known)))))
	// The reports' CSV is for both: a token is a program's, anything else a session.
	byToken, bySession := c.byToken(mux, nil), c.withSession(c.identify(c.sameOrigin(mux)))
	for _, pattern := range []string{"GET /report.csv", "GET /supply.csv"} {
		outer.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if hasToken(r) {
				byToken.ServeHTTP(w, r)
				return
			}
			bySession.ServeHTTP(w, r)
		})
	}
	outer.Handle("/", bySession)
	return c.recovered(c.bounded(c.secured(outer)))
}

// methods are those that something here may answer.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// nothingHere answers what no route of the muxes does: 405 where another method
// would be answered, else 404. It stands at "/", which keeps a mux from telling
// the two apart itself.
func (c *console) nothingHere(muxes ...*http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range methods {
			other := r.Clone(r.Context())
			other.Method = method
			for _, mux := range muxes {
				// Patterns without a method catch what is left over.
				if _, pattern := mux.Handler(other); strings.Contains(pattern, " ") && !slices.Contains(allowed, method) {
					allowed = append(allowed, method)
				}
			}
		}
		if len(allowed) == 0 {
			c.message(w, r, http.StatusNotFound, "problem.not_found")
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.message(w, r, http.StatusMethodNotAllowed, "problem.method_not_allowed")
	})
}

// signedIn keeps strangers from a page, and roles that have no use for it.
func (c *console) signedIn(roles []ad.Role, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		user := userOf(r.Context())
		switch {
		case user == nil && r.Method == http.MethodGet:
			http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return nil
		case user == nil:
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return nil
		case !slices.Contains(roles, user.Role):
			c.message(w, r, http.StatusForbidden, "problem.forbidden")
			return nil
		}
		return h(w, r)
	}
}

// sameOrigin refuses what another site's page sends in a visitor's name.
func (c *console) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.message(w, r, http.StatusForbidden, "problem.cross_origin")
	}))
	return protection.Handler(next)
}

// withSession loads and saves the session; a database that is away is a page.
func (c *console) withSession(next http.Handler) http.Handler {
	c.sessions.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		r = r.WithContext(views.With(r.Context(), c.visitor(r)))
		c.fail(w, r, err)
	}
	return c.sessions.LoadAndSave(next)
}

// secured sets what every answer carries.
func (c *console) secured(next http.Handler) http.Handler {
	images := "'self' data:"
	if u, err := url.Parse(c.config.AssetURL); err == nil && u.Host != "" {
		images += " " + u.Scheme + "://" + u.Host
	}
	policy := strings.Join([]string{
		"default-src 'self'", "script-src 'self'", "style-src 'self'", "img-src " + images, "frame-src 'self'", "object-src 'none'",
		"base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if c.config.CookieSecure {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
