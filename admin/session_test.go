package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.stranger()
	c.get("/sign-in").want(t, 200).has(t, `autocomplete="current-password"`, `lang="en"`)
	got := c.post("/sign-in", url.Values{"email": {"OPERATOR@example.com"}, "password": {password}, "next": {"/users"}}).want(t, 303)
	if location := got.header.Get("Location"); location != "/users" {
		t.Errorf("sent to %q", location)
	}
	cookie := got.header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.HasPrefix(cookie, "session=") {
		t.Errorf("cookie = %q", cookie)
	}
	c.get("/").want(t, 200).has(t, "The operator", "/users").lacks(t, password)
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.console.sessions = newSessions(Config{CookieSecure: true}.withDefaults(), h.db.Sessions())
	h.server.Config.Handler = h.console.routes()
	got := h.stranger().signIn(h.users[ad.RoleOperator].Email, password)
	cookie := got.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-session=") || !strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "Path=/;") || strings.Contains(cookie, "Domain") {
		t.Errorf("cookie = %q", cookie)
	}
}

// Hostile input 64: a planted session id, one used after sign-out, and sessions
// of users who are gone or have a new password.
func TestHostile64Sessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	email := h.users[ad.RoleReviewer].Email
	c := h.stranger()
	planted := c.request("POST", "/sign-in", "application/x-www-form-urlencoded", url.Values{"email": {email}, "password": {password}}.Encode())
	planted.AddCookie(&http.Cookie{Name: "session", Value: "planted"})
	if got := c.do(planted).want(t, 303); strings.Contains(got.header.Get("Set-Cookie"), "planted") {
		t.Error("a planted session id was kept")
	}
	withCookie := func(value string) result {
		r := h.stranger().request("GET", "/account", "", "")
		r.AddCookie(&http.Cookie{Name: "session", Value: value})
		return h.stranger().do(r)
	}
	withCookie("planted").want(t, 303)
	// An attacker plants the id of a session of their own.
	server, _ := url.Parse(h.server.URL)
	attacker := h.stranger()
	attacker.signIn(h.users[ad.RolePublisher].Email, password).want(t, 303)
	mine := attacker.http.Jar.Cookies(server)[0]
	planted = c.request("POST", "/sign-in", "application/x-www-form-urlencoded", url.Values{"email": {email}, "password": {password}}.Encode())
	planted.AddCookie(mine)
	h.stranger().do(planted).want(t, 303)
	withCookie(mine.Value).want(t, 303)
	stolen := c.http.Jar.Cookies(server)[0].Value
	withCookie(stolen).want(t, 200)
	c.post("/sign-out", nil).want(t, 303)
	withCookie(stolen).want(t, 303)

	first, second := h.stranger(), h.stranger()
	first.signIn(email, password).want(t, 303)
	second.signIn(email, password).want(t, 303)
	first.post("/account/password", url.Values{"old_password": {"wrong"}, "new_password": {"a new password"}}).want(t, 422).has(t, "Is not your present password")
	first.post("/account/password", url.Values{"old_password": {password}, "new_password": {"short"}}).want(t, 422).has(t, "characters")
	first.post("/account/password", url.Values{"old_password": {password}, "new_password": {"a new password"}}).want(t, 303)
	first.get("/account").want(t, 200).has(t, "Your password is changed.")
	second.get("/account").want(t, 303)

	user := must(t, h.users[ad.RoleReviewer], nil)
	user, err := h.db.FindUser(t.Context(), postgres.System, user.ID)
	must(t, 0, err)
	user.Status = ad.Paused
	_, err = h.db.UpdateUser(t.Context(), postgres.System, user)
	must(t, 0, err)
	first.get("/account").want(t, 303)
	h.stranger().signIn(email, "a new password").want(t, 422)
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.console.sessions.IdleTimeout = 300 * time.Millisecond
	c := h.stranger()
	c.signIn(h.users[ad.RoleOperator].Email, password).want(t, 303)
	deadline := time.Now().Add(20 * time.Second)
	var live int
	for live = 1; live > 0 && time.Now().Before(deadline); {
		must(t, 0, h.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM session WHERE expires_at > now()").Scan(&live))
	}
	c.get("/").want(t, 303)
}

// Hostile input 65: guessing, from one address and many, and finding out who
// has an account.
func TestHostile65Guessing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	email := h.users[ad.RoleOperator].Email
	wrong := h.stranger().signIn(email, "wrong password").want(t, 422)
	unknown := h.stranger().signIn("nobody@example.com", "wrong password").want(t, 422)
	if strings.ReplaceAll(wrong.body, email, "") != strings.ReplaceAll(unknown.body, "nobody@example.com", "") {
		t.Error("a wrong password and an unknown address are told apart")
	}
	h.console.addresses.Clear("127.0.0.1")
	for range 9 {
		h.stranger().signIn(email, "wrong password").want(t, 422)
		h.console.addresses.Clear("127.0.0.1") // as if from many addresses
	}
	locked := h.stranger().signIn(email, password).want(t, http.StatusTooManyRequests).has(t, "Too many attempts")
	if locked.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.stranger().signIn(h.users[ad.RoleReviewer].Email, password).want(t, 303)
	for i := range 10 {
		h.stranger().signIn(strings.Repeat("x", i)+"@example.com", "wrong password").want(t, 422)
	}
	h.stranger().signIn(h.users[ad.RoleReviewer].Email, password).want(t, http.StatusTooManyRequests)
}

// Hostile input 59: requests that another site's page sends in a visitor's name.
func TestHostile59CrossSite(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleOperator), h.rows()
	f := func(path, contentType, body, header, value string) {
		t.Helper()
		r := c.request("POST", path, contentType, body)
		r.Header.Set(header, value)
		c.do(r).want(t, http.StatusForbidden)
	}
	form := url.Values{"name": {"Evil"}, "domain": {"evil.example.com"}, "time_zone": {"UTC"}}.Encode()
	f("/advertisers", "application/x-www-form-urlencoded", form, "Sec-Fetch-Site", "cross-site")
	f("/advertisers", "application/x-www-form-urlencoded", form, "Sec-Fetch-Site", "same-site")
	f("/advertisers", "application/x-www-form-urlencoded", form, "Origin", "https://evil.example")
	f("/advertisers", "application/x-www-form-urlencoded", form, "Origin", "null")
	f("/sign-in", "application/x-www-form-urlencoded", form, "Sec-Fetch-Site", "cross-site")
	f("/language", "application/x-www-form-urlencoded", "language=ja", "Sec-Fetch-Site", "cross-site")
	f("/api/v1/publishers", "application/json", `{"name":"Evil","domain":"evil.example.com"}`, "Origin", "https://evil.example")
	c.do(c.request("POST", "/api/v1/publishers", "text/plain", `{"name":"Evil","domain":"evil.example.com"}`)).want(t, http.StatusUnsupportedMediaType)
	if h.rows() != before {
		t.Error("another site changed something")
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.stranger()
	r := c.request("GET", "/sign-in", "", "")
	r.Header.Set("Accept-Language", "ja-JP,ja;q=0.9,en;q=0.5")
	c.do(r).want(t, 200).has(t, `<html lang="ja">`, "サインイン")
	c.post("/language", url.Values{"language": {"ja"}, "back": {"/sign-in"}}).want(t, 303)
	c.get("/sign-in").want(t, 200).has(t, `<html lang="ja">`)
	c.post("/language", url.Values{"language": {"xx"}}).want(t, 422)
	user := h.as(ad.RoleAdvertiser)
	user.post("/language", url.Values{"language": {"ja"}, "back": {"https://evil.example/"}}).want(t, 303)
	user.get("/").want(t, 200).has(t, "ようこそ")
	h2 := h.stranger()
	h2.signIn(h.users[ad.RoleAdvertiser].Email, password).want(t, 303)
	h2.get("/report").want(t, 200).has(t, "レポート", "消化額")
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		if got := localPath(text); got != want {
			t.Errorf("localPath(%q) = %q, want %q", text, got, want)
		}
	}
	f("/report?from=2026-01-01", "/report?from=2026-01-01")
	for _, evil := range []string{"", "x", "//evil", "/\\evil", "https://evil", "https:evil", "javascript:alert(1)", "/\t/evil", "/\n/evil", "/" + strings.Repeat("x", 3000)} {
		f(evil, "/")
	}
}
