package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// What a session holds. The mark is a hash of the user's password hash, so that a
// new password ends all other sessions.
const (
	emailSlot  = "email"
	markSlot   = "mark"
	noticeSlot = "notice"
)

const languageCookie = "language"

func newSessions(cfg Config, store scs.Store) *scs.SessionManager {
	s := scs.New()
	s.Store = store
	s.IdleTimeout, s.Lifetime = cfg.SessionIdle, cfg.SessionLifetime
	s.Cookie.Name = "session"
	s.Cookie.SameSite = http.SameSiteLaxMode
	s.Cookie.HttpOnly = true
	s.Cookie.Persist = false
	if cfg.CookieSecure {
		s.Cookie.Name, s.Cookie.Secure = "__Host-session", true
	}
	return s
}

func markOf(passwordHash string) string {
	sum := sha256.Sum256([]byte(passwordHash))
	return hex.EncodeToString(sum[:8])
}

// identify finds out who asks, by session, and puts it into the context. A session whose user is
// gone, paused or has a new password is over.
func (c *console) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.visitor(r)
		user, err := c.userOfSession(r.Context())
		if err != nil {
			c.fail(w, r.WithContext(views.With(r.Context(), v)), err)
			return
		}
		if user != nil {
			v.User, v.Language = user, user.Language
			if r.Method == http.MethodGet && r.Header.Get("HX-Request") == "" {
				if key := c.sessions.PopString(r.Context(), noticeSlot); key != "" {
					v.Notice = views.T(v.Language, key)
				}
			}
		}
		next.ServeHTTP(w, r.WithContext(views.With(r.Context(), v)))
	})
}

func (c *console) visitor(r *http.Request) views.Visitor {
	lang := views.Language(r.Header.Get("Accept-Language"))
	if cookie, err := r.Cookie(languageCookie); err == nil && (cookie.Value == "en" || cookie.Value == "ja") {
		lang = cookie.Value
	}
	return views.Visitor{
		Language: lang, Path: r.URL.RequestURI(),
		Script: c.files.URL("console.js"), Style: c.files.URL("console.css"), Logo: c.files.URL("logo.svg"),
	}
}

func (c *console) userOfSession(ctx context.Context) (*ad.User, error) {
	email := c.sessions.GetString(ctx, emailSlot)
	if email == "" {
		return nil, nil
	}
	user, hash, err := c.db.UserByEmail(ctx, email)
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return nil, c.sessions.Destroy(ctx)
	case err != nil:
		return nil, err
	case user.Status != ad.Active || markOf(hash) != c.sessions.GetString(ctx, markSlot):
		return nil, c.sessions.Destroy(ctx)
	}
	return &user, nil
}

func (c *console) signInPage(w http.ResponseWriter, r *http.Request) error {
	if userOf(r.Context()) != nil {
		return c.redirect(w, r, "/", "")
	}
	return c.show(w, r, views.SignIn("", "", localPath(r.URL.Query().Get("next"))))
}

// localPath is where to go after signing in: a path of the console, never
// another host's ("//evil", "/\evil").
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") || len(text) > 2000 {
		return "/"
	}
	return text
}

type signInInput struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Next     string `json:"next"`
}

func (c *console) signIn(w http.ResponseWriter, r *http.Request) error {
	var in signInInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	email := strings.ToLower(strings.TrimSpace(in.Email))
	user, hash, err := c.checkPassword(r, email, in.Password)
	var wrong signInError
	if errors.As(err, &wrong) {
		if wrong.wait > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(wrong.wait.Seconds())+1))
		}
		c.render(w, r, wrong.status, views.SignIn(clip(in.Email, 254), wrong.text(langOf(r)), localPath(in.Next)))
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.startSession(r.Context(), user.Email, hash); err != nil {
		return err
	}
	return c.redirect(w, r, localPath(in.Next), "")
}

// startSession rotates the session's token, so that one planted before is worthless.
func (c *console) startSession(ctx context.Context, email, hash string) error {
	if err := c.sessions.RenewToken(ctx); err != nil {
		return err
	}
	c.sessions.Put(ctx, emailSlot, email)
	c.sessions.Put(ctx, markSlot, markOf(hash))
	return nil
}

// signInError is the one answer to everything that is wrong with a sign-in.
type signInError struct {
	status int
	wait   time.Duration
}

func (e signInError) Error() string { return "sign-in refused" }

func (e signInError) text(lang string) string {
	if e.wait > 0 {
		return views.T(lang, "signin.locked", int(e.wait.Minutes())+1)
	}
	return views.T(lang, "signin.wrong")
}

// checkPassword says who signs in. The attempt counts before it is judged, and
// an unknown address takes as long and answers the same as a wrong password.
func (c *console) checkPassword(r *http.Request, email, password string) (ad.User, string, error) {
	ctx, now := r.Context(), c.now()
	account, address := clip(email, 300), auth.AddressKey(auth.Address(r, c.proxies))
	if wait := max(c.accounts.Wait(now, account), c.addresses.Wait(now, address)); wait > 0 {
		return ad.User{}, "", signInError{http.StatusTooManyRequests, wait}
	}
	c.accounts.Fail(now, account)
	c.addresses.Fail(now, address)
	user, hash, err := c.db.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, postgres.ErrNotFound) {
		c.accounts.Forgive(account)
		c.addresses.Forgive(address)
		return user, "", err
	}
	ok, err := c.hasher.Check(ctx, hash, password)
	if err != nil {
		return user, "", err
	}
	if !ok || user.Status != ad.Active {
		c.auditSignIn(ctx, user, "sign_in_failed", address)
		return user, "", signInError{status: http.StatusUnprocessableEntity}
	}
	c.accounts.Clear(account)
	c.addresses.Forgive(address)
	c.auditSignIn(ctx, user, "sign_in", address)
	return user, hash, nil
}

// auditSignIn records attempts on accounts that exist; others would let anybody
// write to the log.
func (c *console) auditSignIn(ctx context.Context, user ad.User, action, address string) {
	if user.ID == 0 {
		return
	}
	detail, _ := json.Marshal(map[string]string{"address": address}) // a map of strings always marshals
	entry := postgres.Entry{Action: action, Kind: "user", ItemID: user.ID, Detail: detail}
	if err := c.db.Audit(ctx, postgres.ActorOf(user), entry); err != nil {
		c.log.Warn("admin: sign-in not recorded", "error", clip(err.Error(), 300))
	}
}

func (c *console) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := c.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	return nil
}

type languageInput struct {
	Language string `json:"language"`
	Back     string `json:"back"`
}

// setLanguage keeps the choice with the user, and in a cookie for before sign-in.
func (c *console) setLanguage(w http.ResponseWriter, r *http.Request) error {
	var in languageInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	if in.Language != "en" && in.Language != "ja" {
		return ad.Invalid{{Field: "language", Code: ad.Unknown, Message: "has to be en or ja"}}
	}
	if user := userOf(r.Context()); user != nil && user.Language != in.Language {
		changed := *user
		changed.Language = in.Language
		if _, err := c.db.UpdateUser(r.Context(), actorOf(r.Context()), changed); err != nil {
			return err
		}
	}
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: in.Language, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.config.CookieSecure,
	})
	return c.redirect(w, r, localPath(in.Back), "")
}
