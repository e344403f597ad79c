package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/admin/assets"
	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

const password = "correct horse"

// passwordHash is computed once: every user of every test has it.
var passwordHash = sync.OnceValues(func() (string, error) {
	return auth.NewHasher(1).Hash(context.Background(), password)
})

// house is a console on a database of its own, with two of everything: things of
// the users who sign in, and foreign ones, whose names all begin with FOREIGN.
type house struct {
	t       *testing.T
	console *console
	server  *httptest.Server
	db      *postgres.DB
	bucket  *blob.Bucket
	log     *bytes.Buffer
	own     things
	foreign things
	users   map[ad.Role]ad.User
	clients map[ad.Role]*client
}

// things are one of each noun.
type things struct {
	advertiser ad.Advertiser
	campaign   ad.Campaign
	lineItem   ad.LineItem
	creative   ad.Creative
	publisher  ad.Publisher
	property   ad.Property
	placement  ad.Placement
	user       ad.User
	token      ad.Token
	correction ad.ID
}

// invoiceMonth is the month in which everybody was charged, and credited, something.
const invoiceMonth = "2026-04"

func newHouse(t *testing.T) *house {
	t.Helper()
	db := &postgres.DB{Pool: postgrestest.New(t)}
	files, err := assets.Load()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, db: db, bucket: memblob.OpenBucket(nil), log: &bytes.Buffer{}, users: map[ad.Role]ad.User{}, clients: map[ad.Role]*client{}}
	cfg := Config{}.withDefaults()
	h.console = &console{
		config: cfg, db: db, bucket: h.bucket, files: files, sessions: newSessions(cfg, db.Sessions()), hasher: auth.NewHasher(2),
		accounts: auth.NewLockout(), addresses: auth.NewLockout(), uploads: make(chan struct{}, 1),
		log: slog.New(slog.NewTextHandler(&lockedWriter{w: h.log}, nil)), now: time.Now,
	}
	h.server = httptest.NewServer(h.console.routes())
	t.Cleanup(h.server.Close)
	h.own, h.foreign = h.things("Own"), h.things("FOREIGN")
	for role, u := range map[ad.Role]ad.User{
		ad.RoleOperator: {}, ad.RoleReviewer: {}, ad.RoleAdvertiser: {AdvertiserID: h.own.advertiser.ID}, ad.RolePublisher: {PublisherID: h.own.publisher.ID},
	} {
		u.Email, u.Name, u.Role = string(role)+"@example.com", "The "+string(role), role
		h.users[role] = h.user(u)
	}
	return h
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (h *house) user(u ad.User) ad.User {
	h.t.Helper()
	hash, err := passwordHash()
	if err != nil {
		h.t.Fatal(err)
	}
	u.Language, u.Status = "en", ad.Active
	created, err := h.db.CreateUser(h.t.Context(), postgres.System, u, hash)
	return must(h.t, created, err)
}

func (h *house) things(prefix string) (x things) {
	t, ctx, system := h.t, h.t.Context(), postgres.System
	t.Helper()
	var err error
	domain := strings.ToLower(prefix) + ".example.com"
	x.advertiser, err = h.db.CreateAdvertiser(ctx, system, ad.Advertiser{Name: prefix + " advertiser", Domain: domain, TimeZone: "Asia/Tokyo", Status: ad.Active})
	must(t, 0, err)
	start := time.Now().UTC().Add(-time.Hour)
	x.campaign, err = h.db.CreateCampaign(ctx, system, ad.Campaign{AdvertiserID: x.advertiser.ID, Name: prefix + " campaign", StartsAt: start, Status: ad.Active})
	must(t, 0, err)
	daily := 10 * money.Unit
	x.lineItem, err = h.db.CreateLineItem(ctx, system, ad.LineItem{CampaignID: x.campaign.ID, Name: prefix + " line item", Tier: ad.Auction, CPM: money.Unit, DailyBudget: &daily, StartsAt: start, Status: ad.Active})
	must(t, 0, err)
	x.creative, err = h.db.CreateCreative(ctx, system, ad.Creative{LineItemID: x.lineItem.ID, Name: prefix + " creative", Status: ad.Active, Latest: ad.Revision{
		Format: ad.HTML, Width: 300, Height: 250, LandingURL: "https://" + domain + "/" + prefix, Markup: "<p>" + prefix + " markup</p>",
	}})
	must(t, 0, err)
	x.publisher, err = h.db.CreatePublisher(ctx, system, ad.Publisher{Name: prefix + " publisher", Domain: domain, Status: ad.Active})
	must(t, 0, err)
	x.property, err = h.db.CreateProperty(ctx, system, ad.Property{PublisherID: x.publisher.ID, Name: prefix + " property", Kind: ad.Site, Domain: domain, RevenueShare: 7000, Status: ad.Active})
	must(t, 0, err)
	x.placement, err = h.db.CreatePlacement(ctx, system, ad.Placement{PropertyID: x.property.ID, Name: prefix + " placement", Formats: []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 300, Height: 250}}, Status: ad.Active})
	must(t, 0, err)
	x.user = h.user(ad.User{Email: prefix + "@things.example.com", Name: prefix + " user", Role: ad.RoleAdvertiser, AdvertiserID: x.advertiser.ID})
	_, x.token, err = h.db.CreateToken(ctx, postgres.ActorOf(x.user), prefix+" token")
	must(t, 0, err)
	x.correction = h.delivered(x)
	return x
}

// delivered adds a charge, a credit and a conversion.
func (h *house) delivered(x things) (correction ad.ID) {
	h.t.Helper()
	err := h.db.Pool.QueryRow(h.t.Context(), `
		WITH made AS (
			INSERT INTO correction (advertiser_id, line_item_id, from_hour, to_hour, why, impressions, credited_micros, credited_revenue_micros, user_id, at)
			VALUES ($1, $2, '2026-04-02T00:00Z', '2026-04-02T03:00Z', $3 || ' robots', 321, 654321, 111111, NULL, '2026-04-10T00:00Z') RETURNING id
		), charged AS (
			INSERT INTO ledger (batch, correction_id, line_item_id, day, charged_micros, charged_impressions)
			SELECT 1, NULL::bigint, $2::bigint, date '2026-04-02', 7654321, 4321 UNION ALL SELECT 0, id, $2, '2026-04-02', -654321, -321 FROM made
		), converted AS (
			INSERT INTO conversion (advertiser_id, order_id, line_item_id, creative_id, placement_id, post_view, value_micros, decided_at, touched_at, converted_at, batch)
			VALUES ($1, $3 || ' order', $2, $4, $5, false, 49900000, now(), now(), now(), 1)
		)
		SELECT id FROM made`, x.advertiser.ID, x.lineItem.ID, x.advertiser.Name, x.creative.ID, x.placement.ID).Scan(&correction)
	return must(h.t, correction, err)
}

// client is a browser or a program.
type client struct {
	h     *house
	http  *http.Client
	token string
}

func (h *house) stranger() *client {
	jar, _ := cookiejar.New(nil)
	return &client{h: h, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is a browser in which a user of this role is signed in.
func (h *house) as(role ad.Role) *client {
	h.t.Helper()
	if h.clients[role] == nil {
		c := h.stranger()
		c.signIn(h.users[role].Email, password).want(h.t, http.StatusSeeOther)
		h.clients[role] = c
	}
	return h.clients[role]
}

// program is a client with an API token of a user of this role.
func (h *house) program(role ad.Role) *client {
	h.t.Helper()
	text, _, err := h.db.CreateToken(h.t.Context(), postgres.ActorOf(h.users[role]), "test")
	c := h.stranger()
	c.token = must(h.t, text, err)
	return c
}

func (c *client) signIn(email, password string) result {
	return c.post("/sign-in", url.Values{"email": {email}, "password": {password}})
}

// result is an answer, read to its end.
type result struct {
	status int
	header http.Header
	body   string
	what   string
}

// content is the body without the frame that all pages share.
func (r result) content() string {
	if at := strings.Index(r.body, "<main"); at > 0 {
		return r.body[at:]
	}
	return r.body
}

func (r result) want(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("%s = %d, want %d\n%.1500s", r.what, r.status, status, r.content())
	}
	return r
}

func (r result) has(t *testing.T, needles ...string) result {
	t.Helper()
	for _, needle := range needles {
		if !strings.Contains(r.body, needle) {
			t.Errorf("%s lacks %q\n%.3000s", r.what, needle, r.content())
		}
	}
	return r
}

func (r result) lacks(t *testing.T, needles ...string) result {
	t.Helper()
	for _, needle := range needles {
		if strings.Contains(r.body, needle) {
			t.Errorf("%s contains %q\n%.3000s", r.what, needle, r.content())
		}
	}
	return r
}

func (c *client) do(r *http.Request) result {
	c.h.t.Helper()
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.h.t.Fatal(err)
	}
	return result{response.StatusCode, response.Header, string(body), r.Method + " " + r.URL.RequestURI()}
}

func (c *client) request(method, path, contentType, body string) *http.Request {
	c.h.t.Helper()
	r, err := http.NewRequestWithContext(c.h.t.Context(), method, c.h.server.URL+path, strings.NewReader(body))
	if err != nil {
		c.h.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func (c *client) get(path string) result {
	c.h.t.Helper()
	return c.do(c.request(http.MethodGet, path, "", ""))
}

func (c *client) post(path string, form url.Values) result {
	c.h.t.Helper()
	return c.do(c.request(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode()))
}

// call sends JSON; body is marshalled unless it is text already.
func (c *client) call(method, path string, body any) result {
	c.h.t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		marshalled, err := json.Marshal(body)
		if err != nil {
			c.h.t.Fatal(err)
		}
		text = string(marshalled)
	}
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	return c.do(c.request(method, path, contentType, text))
}

// upload sends a form with an image.
func (c *client) upload(path string, form url.Values, name string, image []byte) result {
	c.h.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for key, values := range form {
		for _, value := range values {
			_ = w.WriteField(key, value)
		}
	}
	if image != nil {
		part, err := w.CreateFormFile("image", name)
		if err != nil {
			c.h.t.Fatal(err)
		}
		_, _ = part.Write(image)
	}
	_ = w.Close()
	return c.do(c.request(http.MethodPost, path, w.FormDataContentType(), body.String()))
}

// id is the last number of a redirect's address.
func (r result) id(t *testing.T) ad.ID {
	t.Helper()
	r.want(t, http.StatusSeeOther)
	location := r.header.Get("Location")
	id, err := ad.ParseID(location[strings.LastIndexByte(location, '/')+1:])
	return must(t, id, err)
}

// objects counts what is in the bucket.
func (h *house) objects() (count int) {
	h.t.Helper()
	for list := h.bucket.List(nil); ; count++ {
		if _, err := list.Next(h.t.Context()); err == io.EOF {
			return count
		} else if err != nil {
			h.t.Fatal(err)
		}
	}
}

// rows is a fingerprint of all that people can change, to prove that nothing was.
func (h *house) rows() string {
	h.t.Helper()
	var text string
	err := h.db.Pool.QueryRow(h.t.Context(), `
		SELECT concat_ws(' ', (SELECT sum(version) FROM advertiser), (SELECT sum(version) FROM campaign), (SELECT sum(version) FROM line_item),
			(SELECT sum(version) FROM creative), (SELECT count(*) FROM creative_revision), (SELECT sum(version) FROM publisher),
			(SELECT sum(version) FROM property), (SELECT sum(version) FROM placement), (SELECT sum(version) FROM app_user),
			(SELECT count(*) FROM api_token WHERE revoked_at IS NOT NULL), (SELECT count(*) FROM correction), (SELECT sum(charged_micros) FROM ledger))`).Scan(&text)
	return must(h.t, text, err)
}

func (x things) path(noun string) string {
	ids := map[string]ad.ID{
		"advertisers": x.advertiser.ID, "campaigns": x.campaign.ID, "line-items": x.lineItem.ID, "creatives": x.creative.ID, "reviews": x.creative.ID,
		"publishers": x.publisher.ID, "properties": x.property.ID, "placements": x.placement.ID, "users": x.user.ID, "account": x.token.ID,
		"corrections": x.correction, "invoices": x.advertiser.ID,
	}
	return fmt.Sprint(ids[noun])
}
