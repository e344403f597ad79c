package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// accountPage is the visitor's own: who they are, password, API tokens.
func (c *console) accountPage(w http.ResponseWriter, r *http.Request) error {
	return c.showAccount(w, r, http.StatusOK, problems{lang: langOf(r)}, "")
}

// showAccount shows secret, a new token's text, this once.
func (c *console) showAccount(w http.ResponseWriter, r *http.Request, status int, p problems, secret string) error {
	ctx, user := r.Context(), userOf(r.Context())
	tokens, err := c.db.Tokens(ctx, actorOf(ctx), postgres.Page{Limit: 1000})
	if err != nil {
		return err
	}
	page := views.Page{Title: user.Name, Kind: p.t("nav.account"), Section: "account"}
	c.render(w, r, status, views.AccountPage(page, userDetails(p.lang, *user), passwordForm(p), tokenForm(p), tokenTable(p.lang, user.ID, tokens), secret))
	return nil
}

func passwordForm(p problems) views.Form {
	field := func(name, key, complete string) views.Field {
		f := p.required(name, key, "password", "")
		f.Complete, f.Wide = complete, true
		return f
	}
	fresh := p.hint(field("new_password", "account.new_password", "new-password"), "user.password_hint", auth.MinPassword)
	f := views.Form{Action: "/account/password", Submit: p.t("account.set_password")}
	f.Sections = []views.Section{{Title: p.t("account.password"), Hint: p.t("account.password_text"), Fields: []views.Field{
		field("old_password", "account.old_password", "current-password"), fresh,
	}}}
	return f
}

func tokenForm(p problems) views.Form {
	name := p.required("name", "token.name", "text", "")
	name.Wide = true
	return views.Form{Action: "/account/tokens", Submit: p.t("token.create"), Sections: []views.Section{{
		Title: p.t("token.new"), Hint: p.t("token.text"), Fields: []views.Field{name},
	}}}
}

func tokenTable(lang string, owner ad.ID, tokens []ad.Token) views.Table {
	table := views.Table{
		Title:   views.T(lang, "token.list"),
		Columns: names(column(lang, "token.name"), column(lang, "token.made_at"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "token.none"), Text: views.T(lang, "token.none_text")},
	}
	for _, t := range tokens {
		if t.UserID != owner { // operators see everybody's
			continue
		}
		state := views.Cell{Badges: []views.Badge{{Text: views.T(lang, "token.revoked"), Kind: "off"}}}
		if t.RevokedAt.IsZero() {
			state = views.Cell{Toggle: &views.StatusToggle{
				Badge: views.Badge{Text: views.T(lang, "token.in_force"), Kind: "good"}, URL: fmt.Sprintf("/account/tokens/%d/revoke", t.ID),
				Next: string(ad.Archived), Label: views.T(lang, "token.revoke"),
			}}
		}
		table.Rows = append(table.Rows, []views.Cell{{Text: t.Name}, {Text: views.Moment(t.CreatedAt, time.UTC)}, state})
	}
	return table
}

type passwordInput struct {
	Old string `json:"old_password"`
	New string `json:"new_password"`
}

// setPassword changes the visitor's own. Their other sessions end with it.
func (c *console) setPassword(w http.ResponseWriter, r *http.Request) error {
	ctx, user := r.Context(), userOf(r.Context())
	var in passwordInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	err := c.changePassword(r, in)
	if p, status := problemsOf(err, langOf(r)); status != 0 {
		return c.showAccount(w, r, status, p, "")
	}
	if err != nil {
		return err
	}
	_, hash, err := c.db.UserByEmail(ctx, user.Email)
	if err != nil {
		return err
	}
	if err := c.startSession(ctx, user.Email, hash); err != nil {
		return err
	}
	return c.redirect(w, r, "/account", "notice.password")
}

func (c *console) changePassword(r *http.Request, in passwordInput) error {
	ctx, user, now := r.Context(), userOf(r.Context()), c.now()
	wrong := ad.Invalid{{Field: "old_password", Code: "wrong", Message: "is not your present password"}}
	// Whoever found an open browser must not guess here what the sign-in refuses.
	key := "password of " + user.Email
	if c.accounts.Wait(now, key) > 0 {
		return wrong
	}
	c.accounts.Fail(now, key)
	_, stored, err := c.db.UserByEmail(ctx, user.Email)
	if err != nil {
		return err
	}
	if ok, err := c.hasher.Check(ctx, stored, in.Old); err != nil || !ok {
		if err != nil {
			return err
		}
		return wrong
	}
	c.accounts.Clear(key)
	hash, err := c.hash(ctx, "new_password", in.New)
	if err != nil {
		return err
	}
	return c.db.SetPassword(ctx, actorOf(ctx), user.ID, hash)
}

type tokenInput struct {
	Name string `json:"name" doc:"What the token is for, 1 to 100 characters." example:"nightly import"`
}

func (c *console) createToken(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in tokenInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	text, _, err := c.db.CreateToken(ctx, actorOf(ctx), in.Name)
	if p, status := problemsOf(err, langOf(r)); status != 0 {
		return c.showAccount(w, r, status, p, "")
	}
	if err != nil {
		return err
	}
	// No redirect here: the text would have to be kept somewhere until the next request.
	return c.showAccount(w, r, http.StatusOK, problems{lang: langOf(r)}, text)
}

func (c *console) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if _, err := c.db.RevokeToken(r.Context(), actorOf(r.Context()), id); err != nil {
		return err
	}
	if r.Header.Get("HX-Request") == "true" {
		return c.show(w, r, views.StatusCell(views.StatusToggle{Badge: views.Badge{Text: views.T(langOf(r), "token.revoked"), Kind: "off"}}))
	}
	return c.redirect(w, r, "/account", "notice.revoked")
}
